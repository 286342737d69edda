"""Texts without labels: each token is foreseen from those before it, and new texts are continued."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mla_train.baselines import Baselines
from mla_train.data.examples import RawData, selected
from mla_train.data.mapped import Mapped
from mla_train.data.splits import SPLITS
from mla_train.data.tokenizers import START_ID
from mla_train.dataset import Dataset, Split, raw_batch
from mla_train.heads import Predictions
from mla_train.heads.next_tokens import NextTokens
from mla_train.modalities.text import ExactText, PieceColumn, TextColumn
from mla_train.modalities.text.pieces import count_tokens, decoded
from mla_train.model import Model
from mla_train.preparation import prepare_unlabelled
from mla_train.safe_files import write_atomically
from mla_train.task import Task

TEXT = "text"
SAMPLES, BEGINNING = 5, 24  # in samples.md; tokens that are continued


class CausalLM(Task):
    """Texts, foreseen token by token."""

    inputs = {TEXT: ExactText}
    head = NextTokens

    def prepare(self, raw: RawData) -> Dataset:
        """Pieces of at most `data.max_length` tokens; the last of a text ends with an end token."""
        texts = {split: replace(part, inputs={TEXT: part.inputs[TEXT]}) for split, part in raw.splits.items()}
        raw = replace(raw, splits=texts)
        data = prepare_unlabelled(raw, {TEXT: ExactText}, NextTokens, self.head_of_labels(raw), self.config)
        text = data.spec.inputs[TEXT]
        assert isinstance(text, ExactText)
        train, val, test = (pieces(getattr(data, split), text) for split in SPLITS)
        counts = [count_tokens(split.columns[TEXT]) for split in (train, val, test)]
        note = "{:,} training, {:,} validation and {:,} test tokens".format(*counts)
        return replace(data, train=train, val=val, test=test, notes=[*data.notes, note])

    def baselines(self, data: Dataset) -> Baselines:
        """Frequencies of bytes after others, and general compressors."""
        from tasks.causal_lm.baselines import byte_baselines

        return byte_baselines(data)

    def prediction_rows(self, model: Model, predictions: Predictions, data: Dataset) -> list[dict[str, Any]]:
        """Rows of predictions.jsonl: each piece of text with its metrics."""
        rows = super().prediction_rows(model, predictions, data)
        return [{name: value for name, value in row.items() if name != "label"} for row in rows]

    def figures(self, model: Model, predictions: Predictions, data: Dataset, folder: Path) -> None:
        """Some beginnings of test texts, continued."""
        super().figures(model, predictions, data, folder)
        column: TextColumn = data.test.columns[TEXT]
        places = np.linspace(0, len(column.tokens) - 1, min(SAMPLES, len(column.tokens))).astype(int)
        beginnings = [model.head.tokenizer.decode(column.tokens[place][1 : 1 + BEGINNING].tolist()) for place in places]  # type: ignore[union-attr, operator]
        beginnings = [text for text in beginnings if text.strip()]
        lines = ["# Continued texts", "", "Beginnings of test texts, and below each what the model writes."]
        if beginnings:
            device = next(model.parameters()).device
            batch = raw_batch(model.spec, [{TEXT: text} for text in beginnings]).to(device)
            for text, written in zip(beginnings, model.predict(batch)["predicted"], strict=True):
                lines += ["", "---", "", *_quoted(text), "", "goes on as", "", *_quoted(written)]
        write_atomically(folder / "samples.md", "\n".join(lines) + "\n")


def pieces(split: Split, text: ExactText) -> Split:
    """The texts of a split in pieces of at most `max_length` tokens: what is read, and the tokens that follow.

    A piece begins with a start token; that of the end stands behind the last of a text. Intervals draw whole texts.
    """
    following, places = split.columns[TEXT].tokens.cut(text.spec.max_length)
    texts = Mapped(partial(decoded, tokenizer=text.tokenizer), following)
    column = PieceColumn(texts, tokens=Mapped(_read_before, following), pieces=following)
    names = selected(split.names, places) if split.names else ()
    own = places if split.groups is None else split.groups[places]
    is_alone = len(np.unique(own)) == len(own)
    return Split({TEXT: column}, following, names, groups=None if is_alone else own)


def _read_before(piece: np.ndarray) -> np.ndarray:
    """What is read where the tokens of a piece follow: a start token, and all but the last."""
    return np.append(np.int32(START_ID), piece[:-1]).astype(np.int32)


def _quoted(text: str) -> list[str]:
    """Lines of Markdown that show a text as it is."""
    return ["    " + "".join(sign if sign.isprintable() else " " for sign in line) for line in text.split("\n")]
