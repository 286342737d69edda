"""Bundled data: docstrings of installed packages, read from their sources; nothing of them is imported."""

import ast
import re
import warnings
from collections.abc import Iterator
from hashlib import blake2b
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from mla_train.checks.near_duplicates import near_texts, normalized
from mla_train.data.cache import cached
from mla_train.data.examples import Examples, RawData
from mla_train.data.splits import SPLITS
from mla_train.errors import UserError, require
from tasks.summarization.config import DocstringsConfig

DISTRIBUTIONS = {"sklearn": "scikit-learn"}
"""Names on the package index, where they differ from that of the folder."""
LEFT_OUT = {"migrations", "test", "testing", "tests", "_vendor", "vendor"}
ENDS = {"train": 0.88, "val": 0.92, "test": 1.0}
SUMMARY = re.compile(r"[A-Z`*]\S*( \S+){2,24}")
"""A capital letter and three to 25 words."""
EXAMPLES = re.compile(r"\n\s*(?:>>>|Examples?\b|References\b)")
RULES = re.compile(r"[-=~^]{3,}")
"""Lines below headings."""


def read_docstrings(options: DocstringsConfig) -> RawData:
    """Name and body of each docstring with its first line; the files of the packages are cut into splits.

    Raises:
        UserError: None of the packages is installed, or they have too few docstrings.
    """
    installed = {name: find_spec(name) for name in options.packages}
    roots = {name: str(Path(spec.origin).parent) for name, spec in installed.items() if spec and spec.origin}
    if not roots:
        raise UserError(
            f"data=docstrings reads sources of installed packages, and has none of {', '.join(options.packages)}: pip install -e "
            "'.[demo]', or name others with data.packages="
        )
    key = [Path(__file__).read_text("utf-8"), *(f"{name} {version(DISTRIBUTIONS.get(name, name))}" for name in roots)]
    names, texts, summaries = cached(collect_pairs, ignore=("roots",))(roots, options.min_words, key)
    share = np.array([_share(name.rpartition(":")[0]) for name in names])
    parts = np.searchsorted(list(ENDS.values()), share, side="right")
    order = np.argsort(parts, kind="stable")  # so that what repeats a training text is in val or test
    parts, texts, summaries, names = (
        parts[order],
        *([each[place] for place in order] for each in (texts, summaries, names)),
    )
    repeated = np.zeros(len(texts), bool)
    bodies = [text.partition(". ")[2] for text in texts]
    repeated[cached(near_texts)(bodies)[:, 1]] = True
    known = {normalized(text) for text, part in zip(summaries, parts, strict=True) if part == 0}
    is_known = np.array([normalized(text) in known for text in summaries])
    kept = (parts == 0) | ~(repeated | is_known)
    require(
        all((kept & (parts == number)).any() for number in range(len(SPLITS))),
        f"data.packages={options.packages} have too few docstrings for three splits: name more",
    )
    counts = [f"{(kept & (parts == number)).sum():,} {split}" for number, split in enumerate(SPLITS)]
    notes = [
        f"docstrings of {', '.join(roots)}: {', '.join(counts)}, split by file",
        f"left out {(~kept).sum():,} of val and test: {((parts > 0) & repeated).sum():,} nearly repeat an earlier body, "
        f"{((parts > 0) & is_known).sum():,} have the summary of a training text",
    ]
    if missing := [name for name in options.packages if name not in roots]:
        notes.append(f"not installed, and left out: {', '.join(missing)}; scores are of other data then")
    whole = Examples({"text": texts}, summaries, names)
    return RawData(
        {split: whole.select(np.flatnonzero(kept & (parts == number))) for number, split in enumerate(SPLITS)}, notes
    )


def collect_pairs(roots: dict[str, str], min_words: int, key: list[str]) -> tuple[list[str], list[str], list[str]]:
    """Name, text and summary of each docstring that has a body; the key tells versions apart in the cache."""
    rows = []
    for root in map(Path, roots.values()):
        for file in sorted(root.rglob("*.py")):
            path = file.relative_to(root.parent)
            if not LEFT_OUT & set(path.parts):
                rows += [
                    (f"{path.as_posix()}:{name}", *pair) for name, *pair in find_pairs(file.read_bytes(), min_words)
                ]
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]


def find_pairs(source: bytes, min_words: int) -> Iterator[tuple[str, str, str]]:
    """Name, text and summary of each function and class of a file whose docstring has a body.

    The text begins with the words of the name; examples and references at its end are left out.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of others' string escapes
            tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            summary, _, body = (ast.get_docstring(node) or "").partition("\n\n")
            summary = " ".join(summary.split())
            body = " ".join(RULES.sub(" ", EXAMPLES.split(body)[0]).split())
            if SUMMARY.fullmatch(summary) and len(body.split()) >= min_words:
                yield node.name, f"{' '.join(words_of(node.name))}. {body}", summary


def words_of(name: str) -> list[str]:
    """Words of an identifier, in lower case: those of `from_csv` and of `FromCSV` are from and csv."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]


def _share(path: str) -> float:
    """A number from 0 to 1 that depends on a path alone."""
    return int.from_bytes(blake2b(path.encode(), digest_size=7).digest(), "big") / 2**56
