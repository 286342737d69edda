"""Texts without labels: some words are hidden, and the network fills them in."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import Any, cast

import numpy as np

from mla_train.baselines import Baselines
from mla_train.config import LongTexts
from mla_train.data.examples import RawData, selected
from mla_train.data.mapped import Mapped
from mla_train.data.ragged import Ragged
from mla_train.data.splits import SPLITS
from mla_train.data.tokenizers import PAD_ID, UNK_ID
from mla_train.dataset import Dataset, Split
from mla_train.heads import Predictions
from mla_train.heads.masked_tokens import MaskedTokens, MaskedTokenSpec, hidden_split, hide_batch, word_starts
from mla_train.modalities import Text
from mla_train.modalities.text import PieceColumn, TextColumn, clean
from mla_train.modalities.text.pieces import count_tokens, decoded
from mla_train.model import Model
from mla_train.preparation import prepare_unlabelled
from mla_train.safe_files import write_atomically
from mla_train.task import Task
from tasks.masked_lm.config import Corruption, MaskedLMConfig

TEXT = "text"
MOST_EXAMPLES = 20  # in gaps.md


class GapText(Text):
    """A text in which [MASK] is a gap, as is a word that the vocabulary lacks."""

    def preprocess(self, values: Sequence[Any]) -> TextColumn:
        """Reads texts; each [MASK] becomes an unknown token."""
        texts = [self._one_text(value) for value in values]
        tokens = []
        for text in texts:
            pieces = [self.tokenizer.encode(piece).ids for piece in re.split(r"\s*\[MASK\]", text)]
            joined = [token for number, piece in enumerate(pieces) for token in ([UNK_ID] * (number > 0) + piece)]
            tokens.append(np.array(joined[: self.spec.max_length], np.int32))
        return TextColumn(texts, [], tokens)


class MaskedLM(Task):
    """Texts with hidden words to these words."""

    inputs = {TEXT: GapText}
    head = MaskedTokens

    def prepare(self, raw: RawData) -> Dataset:
        """Pieces of at most `data.max_length` tokens; val and test hide the same words each time."""
        options: Any = replace(self.config.data, long_texts=LongTexts.windows, tfidf_features=0)
        texts = {split: replace(part, inputs={TEXT: part.inputs[TEXT]}) for split, part in raw.splits.items()}
        raw, config = replace(raw, splits=texts), replace(self.config, data=options)
        data = prepare_unlabelled(raw, {TEXT: GapText}, MaskedTokens, self.head_of_labels(raw), config)
        task = cast(MaskedLMConfig, self.config.task)
        spec = MaskedTokenSpec(TEXT, task.mask_rate, task.whole_words, task.corruption is Corruption.bert)
        text = cast(GapText, data.spec.inputs[TEXT])
        starts = word_starts(text.tokenizer)
        splits = {split: _pieces(getattr(data, split), text) for split in SPLITS}
        for split in ("val", "test"):
            column: TextColumn = splits[split].columns[TEXT]
            read, hidden = hidden_split(column.tokens, starts, spec)
            splits[split] = replace(splits[split], columns={TEXT: replace(column, tokens=read)}, targets=hidden)
        counts = [count_tokens(splits[split].columns[TEXT]) for split in SPLITS]
        text.spec = replace(text.spec, long_texts=LongTexts.head.value)
        notes = [note for note in data.notes if "windows" not in note]
        notes.append("{:,} training, {:,} validation and {:,} test tokens".format(*counts))
        notes.append(f"{spec.rate:.0%} of the {'words' if spec.whole_words else 'tokens'} are hidden (task.mask_rate)")
        vary = partial(hide_batch, starts=starts, spec=spec)
        return replace(data, spec=replace(data.spec, target=spec), **splits, notes=notes, vary=vary)

    def baselines(self, data: Dataset) -> Baselines:
        """The most frequent token, and the likeliest one between its neighbours."""
        from tasks.masked_lm.baselines import filling_baselines

        return filling_baselines(data)

    def figures(self, model: Model, predictions: Predictions, data: Dataset, folder: Path) -> None:
        """Accuracy over the frequency of the token, and some filled texts."""
        super().figures(model, predictions, data, folder)
        column: TextColumn = data.test.columns[TEXT]
        head = cast(MaskedTokens, model.head)
        lines = ["# Filled gaps", "", "Each gap: **what the model says** (what stood there, where it is another)."]
        step = max(1, len(column.tokens) // MOST_EXAMPLES)
        for place in range(0, len(predictions["index"]), step)[:MOST_EXAMPLES]:
            lines += ["", "- " + _filled(head, predictions, place, data.test)]
        write_atomically(folder / "gaps.md", "\n".join(lines) + "\n")


def _pieces(split: Split, text: GapText) -> Split:
    """The texts of a split in pieces of at most `max_length` tokens, without what is empty."""
    column: TextColumn = split.columns[TEXT]
    size = text.spec.max_length
    pieces, places = cast(Ragged, column.tokens).cut(size, even=True)
    written = partial(_text_of, pieces=pieces, places=places, whole=column, size=size, tokenizer=text.tokenizer)
    names = selected(split.names, places) if split.names else ()
    values = Mapped(written, range(len(pieces)))
    return Split({TEXT: PieceColumn(values, tokens=pieces, pieces=pieces)}, pieces, names)


def _text_of(number: int, pieces: Ragged, places: np.ndarray, whole: TextColumn, size: int, tokenizer: Any) -> str:
    """The text of a piece: the whole text where it is not cut, else what its tokens say."""
    place = places[number]
    return (whole.texts[place] or " ") if len(whole.tokens[place]) <= size else decoded(pieces[number], tokenizer)


def _filled(head: MaskedTokens, predictions: Predictions, place: int, split: Split) -> str:
    """A text whose gaps are filled, as Markdown; gaps side by side are one."""
    from mla_train.escaping import markdown_line

    def written(tokens: Sequence[int]) -> str:
        return markdown_line(clean(head.tokenizer.decode(list(tokens), skip_special_tokens=False)))

    index = int(predictions["index"][place])
    tokens, hidden = split.columns[TEXT].tokens[index].tolist(), split.targets[index].tolist()
    pairs = zip(predictions["filled"][place].tolist(), predictions["label"][place].tolist(), strict=True)
    words = []
    for is_gap, run in groupby(zip(tokens, hidden, strict=True), lambda pair: pair[1] != PAD_ID):
        read = [token for token, _ in run]
        if not is_gap:
            words.append(written(read))
            continue
        filled, true = zip(*islice(pairs, len(read)), strict=True)
        words.append(f"**{written(filled)}**" + (f" ({written(true)})" if filled != true else ""))
    return " ".join(words)
