"""Texts of several columns as one."""

from collections.abc import Sequence

from mla_train.config import Texts

SEPARATOR = "\N{SYMBOL FOR RECORD SEPARATOR}"
"""Token between the two texts of a pair; in a text it becomes a blank."""


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
