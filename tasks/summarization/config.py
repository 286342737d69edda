"""Options of the task and of its data sets; no torch here."""

from dataclasses import dataclass, field

from mla_train.config import FileOptions, GeneratedTextOptions, GenerationOptions, SplitOptions, number
from mla_train.errors import require

PACKAGES = (
    "django", "matplotlib", "networkx", "numpy", "pandas", "scipy", "sklearn", "statsmodels", "sympy", "torch", "torchmetrics",
    "torchvision",
)  # fmt: skip


@dataclass
class SummarizationConfig(GenerationOptions):
    """Summaries of texts."""

    _target_: str = "tasks.summarization.Summarization"
    name: str = "summarization"
    copy: bool = True


@dataclass
class DocstringsConfig(GeneratedTextOptions):
    """Docstrings of installed packages: name and body to the first line.

    Attributes:
        packages: Names of packages, as they are imported; those that are not installed are left out and named.
        min_words: Fewest words of a body.
    """

    _target_: str = "tasks.summarization.read_docstrings"
    name: str = "docstrings"
    vocab_size: int = number(4000, least=2, usual="4000")
    max_length: int = number(48, least=2)
    packages: list[str] = field(default_factory=lambda: [*PACKAGES])
    min_words: int = number(15, least=1)


@dataclass
class SummaryFilesConfig(FileOptions, GeneratedTextOptions, SplitOptions):
    """Tables with a text and its summary in each row, or a data set on the hub.

    Attributes:
        text_column: Column of the text; null finds text, article, document, dialogue and the like.
        target_column: Column of the summary; null finds summary, highlights, abstract or headline.
    """

    _target_: str = "tasks.summarization.read_summary_files"
    name: str = "summary_files"
    text_column: str | None = None
    target_column: str | None = None
    max_length: int = number(400, least=2)
    val_share: float = 0.05
    test_share: float = 0.05

    def check(self) -> None:
        """Raises UserError where both columns are one."""
        require(
            self.text_column is None or self.text_column != self.target_column,
            f"data.text_column and data.target_column are both {self.text_column}",
        )
