"""Options of the task and of its data; no torch here."""

from dataclasses import dataclass
from typing import Any, ClassVar

from mla_train.config import DataOptions, HeadOptions, Latent, TextOptions, TokenizerKind, number
from mla_train.errors import require


@dataclass
class CausalLMConfig(HeadOptions):
    """Each token of a text is foreseen from those before it, so that the network can write."""

    reads: ClassVar = ("masked_lm", "text_classification")  # whose data sets are read, too, without their labels

    _target_: str = "tasks.causal_lm.CausalLM"
    name: str = "causal_lm"

    def check_run(self, run: Any) -> None:
        """Raises UserError where the encoder cannot be causal."""
        require(
            run.encoder.latent is not Latent.array,
            "encoder.latent=array reads all tokens at once, and here each is foreseen from those before it: use "
            "encoder.latent=plain",
        )


@dataclass
class PythonSourcesConfig(TextOptions, DataOptions):
    """Modules of Python's own standard library.

    Attributes:
        max_bytes_read: Bytes of the files that are read.
    """

    _target_: str = "tasks.causal_lm.read_python_sources"
    name: str = "python_sources"
    tokens: TokenizerKind = TokenizerKind.bpe
    vocab_size: int = number(2000, least=2, usual="2000")
    lowercase: bool = False
    max_length: int = number(256, least=2)
    max_bytes_read: int = number(5_000_000, least=1_000_000)
