"""What all sets of sentence pairs share: cleaning, tokens, batches of similar length."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from mla_train.config import Augmentation
from mla_train.data.batch import Batch
from mla_train.data.cache import cached
from mla_train.data.module import DataModule
from mla_train.data.tokenizers import END_ID, PAD_ID, START_ID, UNK_ID, TokenizerKind, learn_tokenizer
from tasks.translation.config import TooLong

# Share of the source and target tokens that training reads as unknown, each time others.
HIDDEN = {Augmentation.none: 0.0, Augmentation.light: 0.0, Augmentation.strong: 0.1}


@dataclass
class TranslationFacts:
    """What the network must know of the sentence pairs.

    Attributes:
        source_vocab_size: Number of source tokens.
        target_vocab_size: Number of target tokens.
        joint: Whether both are the same.
        max_length: Longest sentence in tokens.
        source_tokenizer: As the `tokenizers` library writes it, JSON.
        target_tokenizer: The same for the target; empty if joint.
    """

    source_vocab_size: int
    target_vocab_size: int
    joint: bool
    max_length: int
    source_tokenizer: str
    target_tokenizer: str


@dataclass
class TranslationBatch(Batch):
    """Sentence pairs.

    Attributes:
        source: Ends with the end token, padded with 0, `(batch, source_length)`.
        target: Begins with the start token and ends with the end token, padded, `(batch, 1 + target_length)`.
        read: What the decoder reads: the target without its last token, some of it hidden, `(batch, target_length)`.
    """

    source: Tensor
    target: Tensor
    read: Tensor


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

    def __getitem__(self, index: int) -> tuple[int, Tensor, Tensor]:
        """Place, source and target tokens, with the end token and the target's start token."""
        source = torch.tensor([*self.source_tokens[index], END_ID])
        return index, source, torch.tensor([START_ID, *self.target_tokens[index], END_ID])


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

    def finish(self, parts: dict[str, PairSplit]) -> None:
        """Learns the tokens on train and derives the facts."""
        options = self.config.data
        kind = TokenizerKind(options.tokens.value)
        texts = {part: (split.sources, split.targets) for part, split in parts.items()}
        source_json, target_json, tokens = cached(read_pairs)(
            texts, kind, options.vocab_size, options.lowercase, options.joint
        )
        cut = 0
        for part, split in parts.items():
            split.source_tokens, split.target_tokens = tokens[part]
            long = [max(len(s), len(t)) > options.max_length for s, t in zip(*tokens[part], strict=True)]
            if options.too_long is TooLong.drop and part != "test" and any(long):
                keep = [i for i, over in enumerate(long) if not over]
                parts[part] = PairSplit(*([column[i] for i in keep] for column in vars(split).values()))
                self.notes.append(f"left out {sum(long):,} pairs of {part} over {options.max_length} tokens")
            elif any(long):
                split.source_tokens = [ids[: options.max_length] for ids in split.source_tokens]
                split.target_tokens = [ids[: options.max_length] for ids in split.target_tokens]
                cut += sum(long)
        if cut:
            self.notes.append(f"cut {cut:,} pairs off at {options.max_length} tokens (data.max_length)")
        unknown = sum(int((ids == UNK_ID).sum()) for split in parts.values() for ids in split.source_tokens)
        if unknown:
            self.notes.append(f"{unknown:,} source tokens are unknown")
        self.train, self.val, self.test = parts["train"], parts["val"], parts["test"]
        self.facts = TranslationFacts(
            Tokenizer.from_str(source_json).get_vocab_size(),
            Tokenizer.from_str(target_json or source_json).get_vocab_size(),
            options.joint,
            options.max_length,
            source_json,
            target_json,
        )

    def lengths(self, split: str) -> np.ndarray:
        """Tokens of the longer side of each pair."""
        part = getattr(self, split)
        return np.array([max(len(s), len(t)) + 1 for s, t in zip(part.source_tokens, part.target_tokens, strict=True)])

    def collate(self, examples: Sequence[Any], training: bool) -> TranslationBatch:
        """Pads sentences to the longest and hides tokens from training."""
        index, sources, targets = zip(*examples, strict=True)
        source, target = (
            torch.nn.utils.rnn.pad_sequence(list(side), batch_first=True, padding_value=PAD_ID)
            for side in (sources, targets)
        )
        read = target[:, :-1]
        share = HIDDEN[self.config.regularization.augmentation]
        if training and share:
            source, read = (side.masked_fill((torch.rand(side.shape) < share) & (side > END_ID), UNK_ID)
                            for side in (source, read))  # fmt: skip
        return TranslationBatch(torch.tensor(index), source, target, read)


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
