"""What all sets of sentence pairs share: cleaning, tokens, batches of similar length."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.model_selection import GroupShuffleSplit
from torch import Tensor

from mla_train.config import Augmentation, TokenizerKind
from mla_train.data.batch import Batch
from mla_train.data.cache import cached
from mla_train.data.module import DataModule
from mla_train.data.tokenizers import END_ID, PAD_ID, START_ID, UNK_ID, learn_tokenizer, read_tokenizer
from mla_train.errors import UserError
from tasks.translation.config import TooLong

FEWEST = 20  # sources of which parts are cut
# Token dropout: share of the source and target tokens that training reads as unknown, each time others.
HIDDEN = {Augmentation.none: 0.0, Augmentation.light: 0.0, Augmentation.strong: 0.1}


@dataclass
class TranslationFacts:
    """What the network must know of the sentence pairs.

    Attributes:
        source_vocab_size: Number of source tokens.
        target_vocab_size: Number of target tokens.
        joint: Whether both are the same.
        max_length: Longest sentence in tokens.
        lowercase: Whether translations are in lower case.
        target_language: Of the translations, such as de; how words are cut for `bleu_tokenized`.
        growth: Tokens of a translation for each of its source, seldom more.
        source_tokenizer: As the `tokenizers` library writes it, JSON.
        target_tokenizer: The same for the target; empty if joint.
    """

    source_vocab_size: int
    target_vocab_size: int
    joint: bool
    max_length: int
    lowercase: bool
    target_language: str
    growth: float
    source_tokenizer: str
    target_tokenizer: str


@dataclass
class TranslationBatch(Batch):
    """Sentence pairs.

    Attributes:
        source: Ends with the end token, padded with 0, `(batch, source_length)`.
        target: Begins with the start token and ends with the end token, padded, `(batch, 1 + target_length)`.
        read: What the decoder reads: the target without its last token, some of it hidden, `(batch, target_length)`.
        references: The translations to be scored against, in one Unicode form and with single blanks, else as given.
    """

    source: Tensor
    target: Tensor
    read: Tensor
    references: list[str]


class Example(NamedTuple):
    """A sentence pair as a batch is made of it.

    Attributes:
        place: In its part.
        source: Tokens, the end token last.
        target: Tokens between start and end token.
        reference: The target as text.
    """

    place: int
    source: Tensor
    target: Tensor
    reference: str


@dataclass
class PairSplit:
    """Sentence pairs in memory.

    Attributes:
        sources: After cleaning.
        targets: After cleaning.
        source_tokens: Numbers of the tokens of each source.
        target_tokens: Numbers of the tokens of each target.
    """

    sources: list[str]
    targets: list[str]
    source_tokens: list[np.ndarray] = field(default_factory=list)
    target_tokens: list[np.ndarray] = field(default_factory=list)

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.sources)

    def __getitem__(self, index: int) -> Example:
        """A pair with the tokens that mark start and end."""
        source = torch.tensor([*self.source_tokens[index], END_ID])
        target = torch.tensor([START_ID, *self.target_tokens[index], END_ID])
        return Example(index, source, target, self.targets[index])

    def only(self, rows: Sequence[int] | np.ndarray) -> "PairSplit":
        """These pairs."""
        return PairSplit(*([column[i] for i in rows] for column in vars(self).values() if column))


def clean(text: str) -> str:
    """One form for what looks the same (Unicode NFC), single blanks."""
    return " ".join(unicodedata.normalize("NFC", text).split())


class PairData(DataModule):
    """Base of sets of sentence pairs: a subclass reads them, this one does the rest."""

    train: PairSplit
    val: PairSplit
    test: PairSplit
    facts: TranslationFacts
    even_tokens = True
    pool = 100

    def without_waste(self, parts: dict[str, PairSplit]) -> dict[str, PairSplit]:
        """Leaves out pairs with an empty side and repeated training pairs, counts sources that train shares with test.

        Raises:
            UserError: Nothing is left of a part.
        """
        kept = {}
        for part, split in parts.items():
            pairs = list(zip(split.sources, split.targets, strict=True))
            full = [i for i, (source, target) in enumerate(pairs) if source and target]
            if len(full) < len(pairs):
                self.notes.append(f"left out {len(pairs) - len(full):,} pairs of {part} with an empty side")
            rows = full
            if part == "train":
                first = {(self.key(pairs[i][0]), self.key(pairs[i][1])): i for i in reversed(full)}
                rows = sorted(first.values())
            if len(rows) < len(full):
                self.notes.append(f"left out {len(full) - len(rows):,} repeated pairs of {part}")
            if not rows:
                raise UserError(f"{part} has no pair of sentences")
            kept[part] = split.only(rows)
        keys = {part: {self.key(source) for source in split.sources} for part, split in kept.items()}
        for part, other in (("test", "train"), ("val", "train"), ("test", "val")):
            shared = len(keys.get(part, set()) & keys.get(other, set()))
            if shared:
                self.notes.append(
                    f"{shared:,} sources of {part} are in {other} too; they stay, so that scores can be compared"
                )
        return kept

    def key(self, text: str) -> str:
        """What makes a sentence the same as another."""
        return text.lower() if self.config.data.lowercase else text

    def cut(self, split: PairSplit, share: float) -> tuple[PairSplit, PairSplit]:
        """Cuts a part off; all translations of a source stay together.

        Args:
            split: To be cut.
            share: Of the sources that are cut off.

        Raises:
            UserError: There are too few.
        """
        groups = [self.key(source) for source in split.sources]
        if len(set(groups)) < FEWEST:
            raise UserError(
                f"cannot cut parts for evaluation off {len(set(groups))} sources, needed are {FEWEST}: give more, or name "
                "files for all parts: data.train= data.val= data.test="
            )
        cutter = GroupShuffleSplit(1, test_size=share, random_state=self.config.data.split_seed)
        stay, off = next(cutter.split(split.sources, groups=groups))
        return split.only(stay), split.only(off)

    def finish(self, parts: dict[str, PairSplit]) -> None:
        """Learns the tokens on train and derives the facts."""
        options = self.config.data
        texts = {part: (split.sources, split.targets) for part, split in parts.items()}
        source_json, target_json, tokens = cached(read_pairs)(
            texts, options.tokens, options.vocab_size, options.lowercase, options.joint
        )
        for part, split in parts.items():
            split.source_tokens, split.target_tokens = tokens[part]
            parts[part] = self._within_limit(part, split)
            unknown = sum(int((ids == UNK_ID).sum()) for ids in (*split.source_tokens, *split.target_tokens))
            if unknown:
                self.notes.append(f"{unknown:,} tokens of {part} are unknown: no {options.tokens.value} of train")
        self.train, self.val, self.test = parts["train"], parts["val"], parts["test"]
        self.facts = TranslationFacts(
            read_tokenizer(source_json).get_vocab_size(),
            read_tokenizer(target_json or source_json).get_vocab_size(),
            options.joint,
            options.max_length,
            options.lowercase,
            options.target_language,
            growth(self.train),
            source_json,
            target_json,
        )

    def _within_limit(self, part: str, split: PairSplit) -> PairSplit:
        """Cuts or drops what is too long; references stay whole, and test keeps all its pairs."""
        options = self.config.data
        longest = np.array([max(len(s), len(t)) for s, t in zip(split.source_tokens, split.target_tokens, strict=True)])
        fits = np.flatnonzero(longest <= options.max_length)
        if len(fits) == len(longest):
            return split
        over = f"{len(longest) - len(fits):,} pairs of {part}"
        if options.too_long is TooLong.drop and part != "test":
            if not len(fits):
                raise UserError(f"all pairs of {part} are over data.max_length={options.max_length} tokens")
            self.notes.append(f"left out {over} over {options.max_length} tokens (data.max_length)")
            return split.only(fits)
        self.notes.append(f"cut {over} off at {options.max_length} tokens (data.max_length)")
        split.source_tokens = [ids[: options.max_length] for ids in split.source_tokens]
        split.target_tokens = [ids[: options.max_length] for ids in split.target_tokens]
        return split

    def lengths(self, split: str) -> np.ndarray:
        """Tokens of the longer side of each pair, and a thousandth of the target's: it orders pairs that are as long."""
        part = getattr(self, split)
        source, target = (np.array([len(ids) + 1 for ids in side]) for side in (part.source_tokens, part.target_tokens))
        return np.maximum(source, target) + target / 1000

    def collate(self, examples: Sequence[Any], training: bool) -> TranslationBatch:
        """Pads sentences to the longest and hides tokens from training."""
        index, sources, targets, references = zip(*examples, strict=True)
        source, target = (
            torch.nn.utils.rnn.pad_sequence(list(side), batch_first=True, padding_value=PAD_ID)
            for side in (sources, targets)
        )
        read = target[:, :-1]
        share = HIDDEN[self.config.regularization.augmentation]
        if training and share:
            source, read = (hidden(side, share) for side in (source, read))
        return TranslationBatch(torch.tensor(index), source, target, read, list(references))


def growth(split: PairSplit) -> float:
    """Tokens of a translation for each of its source that one in a thousand exceeds; at least 1.5."""
    ratios = [(len(t) + 1) / (len(s) + 1) for s, t in zip(split.source_tokens, split.target_tokens, strict=True)]
    return max(1.5, round(float(np.quantile(ratios, 0.999)), 2))


def hidden(tokens: Tensor, share: float) -> Tensor:
    """Tokens of which some are made unknown, but none that marks start, end or padding.

    Args:
        tokens: Of any shape.
        share: How many.
    """
    return tokens.masked_fill((torch.rand(tokens.shape) < share) & (tokens > END_ID), UNK_ID)


Pairs = dict[str, tuple[list[str], list[str]]]


def read_pairs(
    texts: Pairs, kind: TokenizerKind, vocab_size: int, lowercase: bool, joint: bool
) -> tuple[str, str, dict[str, tuple[list[np.ndarray], list[np.ndarray]]]]:
    """Learns tokens on the training part and finds them in all parts.

    Args:
        texts: Sources and targets of the parts; one is "train".
        kind: What a token is.
        vocab_size: Most tokens.
        lowercase: Fold upper case.
        joint: One vocabulary for both languages.

    Returns:
        The source's and the target's tokenizer as JSON, the latter empty if joint; token numbers of each sentence.
    """
    sources, targets = texts["train"]
    if joint:
        first = second = learn_tokenizer([*sources, *targets], kind, vocab_size, lowercase, to_write=True)
    else:
        first = learn_tokenizer(sources, kind, vocab_size, lowercase, to_write=True)
        second = learn_tokenizer(targets, kind, vocab_size, lowercase, to_write=True)
    found = {}
    for part, sides in texts.items():
        encoded = (tokenizer.encode_batch_fast(side) for tokenizer, side in zip((first, second), sides, strict=True))
        found[part] = tuple([np.array(e.ids, dtype=np.int32) for e in side] for side in encoded)
    return first.to_str(), "" if joint else second.to_str(), found  # type: ignore[return-value]
