"""Options of the task and of its data; no torch here."""

from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar

from mla_train.config import CorpusOptions, HeadOptions, number


class Corruption(Enum):
    """What becomes of hidden tokens.

    mask: All are made unknown. bert: 80 % are made unknown, 10 % become a random token, 10 % stay as they are (Devlin et al.
    2019, arXiv 1810.04805).
    """

    mask = "mask"
    bert = "bert"


@dataclass
class MaskedLMConfig(HeadOptions):
    """Hidden words are filled in.

    Attributes:
        mask_rate: Share of the words, or tokens, that are hidden.
        whole_words: Whether all tokens of a word are hidden together.
        corruption: What becomes of hidden tokens.
        convolutions: Widths of convolutions over tokens before the encoder, as `text_classification` has them.
    """

    reads: ClassVar = ("text_classification",)  # whose data sets are read, too, without their labels

    _target_: str = "tasks.masked_lm.MaskedLM"
    name: str = "masked_lm"
    mask_rate: float = number(0.3, above=0, below=1, usual="0.15 to 0.4")
    whole_words: bool = True
    corruption: Corruption = Corruption.bert
    convolutions: list[int] = field(default_factory=list)


@dataclass
class CorpusConfig(CorpusOptions):
    """Texts without labels; `causal_lm` reads them, too."""

    _target_: str = "tasks.masked_lm.read_corpus"
    name: str = "text_lines"
