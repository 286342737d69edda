"""Texts of several columns as one, and long texts in pieces."""

from collections.abc import Iterator, Sequence

from mla_train.config import Texts

SEPARATOR = "\N{SYMBOL FOR RECORD SEPARATOR}"
"""Token between the two texts of a pair; in a text it becomes a blank."""
PIECE = 1_000_000
"""Characters that are read at a time: meanwhile each takes a hundred bytes."""


def join_texts(texts: Sequence[str | None], how: Texts) -> str | None:
    """Texts as one; None where all are empty.

    Args:
        texts: Texts in the order of their columns; None is missing.
        how: Whether they are joined, without those that are missing, or a pair.
    """
    if not any(text and text.strip() for text in texts):
        return None
    if how is Texts.pair:
        return f" {SEPARATOR} ".join((text or "").replace(SEPARATOR, " ") for text in texts)
    return "\n".join(text for text in texts if text and text.strip())


def in_pieces(text: str) -> Iterator[str]:
    """A long text in pieces that begin with a single blank, so that their words and tokens are those of the text.

    A word without end is cut anywhere.
    """
    start = 0
    while len(text) - start > PIECE:
        end = start + PIECE
        while (end := text.rfind(" ", start + 1, end)) > 0 and (text[end - 1].isspace() or text[end + 1].isspace()):
            pass
        end = end if end > 0 else start + PIECE
        yield text[start:end]
        start = end
    yield text[start:]


def with_single_blanks(text: str) -> str:
    """The words of a text with one blank between each two."""
    parts, is_apart = list[str](), False
    for piece in in_pieces(text):
        words = " ".join(piece.split())
        if words and parts and (is_apart or piece[0].isspace()):
            parts.append(" ")
        parts += [words] * bool(words)
        is_apart = piece[-1:].isspace()
    return "".join(parts)


def in_batches(texts: Sequence[str], most: int = 1000) -> Iterator[list[str]]:
    """Texts in groups of at most so many, and of at most `PIECE` characters; a longer text is alone."""
    batch, held = list[str](), 0
    for text in texts:
        if batch and (len(batch) == most or held + len(text) > PIECE):
            yield batch
            batch, held = [], 0
        batch.append(text)
        held += len(text)
    if batch:
        yield batch
