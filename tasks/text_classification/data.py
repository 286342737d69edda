"""What all sets of texts share: cleaning, tokens, terms, batches of similar length."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
import torch
from tokenizers import Tokenizer
from torch import Tensor

from mla_train.data.batch import Batch
from mla_train.data.cache import cached
from mla_train.data.module import DataModule
from mla_train.data.splits import stratified_cut
from mla_train.data.texts import HIDDEN, clean, hide, read_texts
from mla_train.data.tokenizers import PAD_ID
from mla_train.errors import UserError


@dataclass
class TextFacts:
    """What the network must know of the texts.

    Attributes:
        classes: Their names.
        vocab_size: Number of tokens.
        max_length: Longest text in tokens.
        tokenizer: As the `tokenizers` library writes it, JSON.
        num_terms: Number of terms; 0 is none.
        terms: As `Terms.to_json` writes them.
    """

    classes: list[str]
    vocab_size: int
    max_length: int
    tokenizer: str
    num_terms: int = 0
    terms: str = ""


@dataclass
class TextBatch(Batch):
    """Texts and their classes.

    Attributes:
        tokens: Padded with 0, `(batch, length)`.
        terms: Numbers of the terms of all texts in a row, `(terms,)`.
        weights: Their TF-IDF weights, `(terms,)`.
        offsets: Where the terms of each text begin, `(batch,)`.
        labels: Class numbers, `(batch,)`.
    """

    tokens: Tensor
    terms: Tensor
    weights: Tensor
    offsets: Tensor
    labels: Tensor

    @property
    def key_padding_mask(self) -> Tensor:
        """True at padding, `(batch, length)`."""
        return self.tokens == PAD_ID


@dataclass
class TextSplit:
    """Texts in memory.

    Attributes:
        texts: After cleaning.
        labels: Class numbers, `(examples,)`.
        tokens: Numbers of the tokens of each text.
        terms: Weights of the terms of each text, `(examples, terms)`.
        hidden: Share of tokens that are hidden from training.
    """

    texts: list[str]
    labels: np.ndarray
    tokens: list[np.ndarray] | None = None
    terms: scipy.sparse.csr_matrix | None = None
    hidden: float = 0.0

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.texts)

    def __getitem__(self, index: int) -> tuple[int, Tensor, np.ndarray, np.ndarray, int]:
        """Place, tokens, terms, their weights, and class number."""
        assert self.tokens is not None
        assert self.terms is not None
        tokens = torch.from_numpy(self.tokens[index].astype(np.int64))
        if self.hidden:
            tokens = hide(tokens, self.hidden)
        row = slice(self.terms.indptr[index], self.terms.indptr[index + 1])
        return index, tokens, self.terms.indices[row], self.terms.data[row], int(self.labels[index])

    def part(self, index: np.ndarray) -> "TextSplit":
        """Some of the texts."""
        return TextSplit([self.texts[i] for i in index], self.labels[index])


class TextData(DataModule):
    """Base of text sets: a subclass reads texts, this one does the rest."""

    train: TextSplit
    val: TextSplit
    test: TextSplit

    def finish(self, parts: dict[str, TextSplit], classes: list[str]) -> None:
        """Learns the tokens and terms on train and derives the facts.

        Args:
            parts: After `without_waste`: train, val and test.
            classes: Names of the labels.

        Raises:
            UserError: There is a single class, or train lacks one.
        """
        options = self.config.data
        if len(classes) < 2:
            raise UserError(f"there is a single class ({', '.join(classes)}); a classifier needs at least two")
        counts = np.bincount(parts["train"].labels, minlength=len(classes))
        lacking = [name for name, count in zip(classes, counts, strict=True) if not count]
        if lacking:
            raise UserError(f"the training split has no text of class {', '.join(lacking)}, which val or test has")
        texts = {part: split.texts for part, split in parts.items()}
        tokenizer, tokens, terms, weights = cached(read_texts)(
            texts, options.tokens, options.vocab_size, options.lowercase, options.min_frequency, options.tfidf_features
        )
        cut = 0
        for part, split in parts.items():
            cut += sum(len(ids) > options.max_length for ids in tokens[part])
            split.tokens = [ids[: options.max_length] for ids in tokens[part]]
            split.terms = weights[part]
        if cut:
            self.notes.append(f"cut {cut:,} texts off at {options.max_length} tokens (data.max_length)")
        self.train, self.val, self.test = parts["train"], parts["val"], parts["test"]
        self.train.hidden = HIDDEN[self.config.regularization.augmentation]
        self.facts = TextFacts(
            classes,
            Tokenizer.from_str(tokenizer).get_vocab_size(),
            options.max_length,
            tokenizer,
            weights["train"].shape[1],
            terms,
        )

    def without_waste(self, parts: dict[str, TextSplit]) -> dict[str, TextSplit]:
        """Cleans texts, leaves out empty ones and repeated training texts, counts those that train shares with test.

        Parts are cut from train only after this, so that no row is in two of them.

        Raises:
            UserError: Nothing is left of a part.
        """
        kept = {}
        for name, split in parts.items():
            texts = [clean(text) for text in split.texts]
            seen: set[tuple[str, int]] = set()
            index = []
            for i, text in enumerate(texts):
                row = (text, int(split.labels[i]))
                if text and not (name == "train" and row in seen):
                    index.append(i)
                seen.add(row)
            empty = sum(not text for text in texts)
            repeated = len(texts) - empty - len(index)
            labels_of: dict[str, set[int]] = {}
            for text, label in seen:
                labels_of.setdefault(text, set()).add(label)
            torn = sum(len(labels) > 1 for text, labels in labels_of.items() if text)
            if torn:
                self.notes.append(f"{torn:,} texts of {name} stand there under more than one label; they stay")
            if empty:
                self.notes.append(f"left out {empty:,} empty texts of {name}")
            if repeated:
                self.notes.append(f"left out {repeated:,} repeated texts of {name}")
            if not index:
                raise UserError(f"the {name} part has no text that is not empty")
            kept[name] = TextSplit([texts[i] for i in index], split.labels[index])
        shared = len(set(kept["train"].texts) & set(kept["test"].texts)) if "test" in kept else 0
        if shared:
            self.notes.append(f"{shared:,} texts of test are in train too; they stay, so that scores can be compared")
        return kept

    def cut(self, whole: TextSplit, share: float, classes: list[str]) -> tuple[TextSplit, TextSplit]:
        """Cuts a stratified part off."""
        stay, off = stratified_cut(whole.labels, share, self.config.data.split_seed, classes)
        return whole.part(stay), whole.part(off)

    def lengths(self, split: str) -> np.ndarray:
        """Tokens of each text."""
        return np.array([len(tokens) for tokens in getattr(self, split).tokens])

    def collate(self, examples: Sequence[Any], training: bool) -> TextBatch:
        """Pads texts to the longest."""
        index, tokens, terms, weights, labels = zip(*examples, strict=True)
        offsets = np.cumsum([0, *map(len, terms[:-1])])
        return TextBatch(
            index=torch.tensor(index),
            tokens=torch.nn.utils.rnn.pad_sequence(list(tokens), batch_first=True, padding_value=PAD_ID),
            terms=torch.from_numpy(np.concatenate(terms).astype(np.int64)),
            weights=torch.from_numpy(np.concatenate(weights)),
            offsets=torch.from_numpy(offsets),
            labels=torch.tensor(labels),
        )
