"""Options of texts without labels, which tasks of language models share."""

from dataclasses import dataclass
from enum import Enum

from mla_train.config.checks import number
from mla_train.config.data import FileOptions, SplitOptions
from mla_train.config.inputs import TextColumnOptions, TextOptions


class Documents(Enum):
    """What is one text of a plain text file: a line, lines up to an empty one, or all of the file."""

    line = "line"
    paragraph = "paragraph"
    file = "file"


@dataclass
class CorpusOptions(FileOptions, TextColumnOptions, TextOptions, SplitOptions):
    """Texts in plain text files, in jsonl, csv, tsv or parquet files, or in a data set on the Hugging Face hub.

    Attributes:
        documents: What is one text of a plain text file.
    """

    documents: Documents = Documents.line
    lowercase: bool = False
    max_length: int = number(128, least=2)
