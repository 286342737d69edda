"""What all multimodal sets share: facts, scales, batches in which what is missing is masked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from mla_train.data.batch import Batch
from mla_train.data.cache import cached
from mla_train.data.module import DataModule
from mla_train.data.pictures import build_transform
from mla_train.data.texts import HIDDEN, read_texts
from mla_train.errors import UserError
from tasks.multimodal_sentiment.columns import Features, Images, MultimodalSplit, Row, Texts
from tasks.multimodal_sentiment.config import MultimodalSentimentTaskConfig


@dataclass
class TextFacts:
    """What the network must know of a column of texts.

    Attributes:
        vocab_size: Number of tokens.
        tokenizer: As the `tokenizers` library writes it, JSON.
        num_terms: Number of terms; 0 is none.
        terms: As `Terms.to_json` writes them.
    """

    vocab_size: int
    tokenizer: str
    num_terms: int = 0
    terms: str = ""


@dataclass
class ImageFacts:
    """What the network must know of a column of pictures.

    Attributes:
        channels: 1 or 3.
        height: In pixels.
        width: In pixels.
        mean: Of each channel over the training split, 0 to 255.
        std: Likewise.
    """

    channels: int
    height: int
    width: int
    mean: list[float]
    std: list[float]


@dataclass
class FeatureFacts:
    """What the network must know of a column of vectors, or of sequences of vectors.

    Attributes:
        mean: Of each feature over the training split.
        std: Likewise.
    """

    mean: list[float]
    std: list[float]


@dataclass
class MultimodalFacts:
    """What the network must know of the data.

    Attributes:
        modalities: Their names, in order; each is a key of one of the next three.
        texts: Columns of texts.
        images: Columns of pictures.
        features: Columns of features.
        classes: Their names; none where a number is predicted.
        mean: Of the number over the training split.
        std: Likewise.
        sequences: Examples form ordered sequences, such as the utterances of a video.
    """

    modalities: list[str]
    texts: dict[str, TextFacts]
    images: dict[str, ImageFacts]
    features: dict[str, FeatureFacts]
    classes: list[str]
    mean: float = 0.0
    std: float = 1.0
    sequences: bool = False

    def __post_init__(self) -> None:
        """Makes facts of what was read from JSON."""
        for name, kind in (("texts", TextFacts), ("images", ImageFacts), ("features", FeatureFacts)):
            found = getattr(self, name)
            setattr(self, name, {k: kind(**v) if isinstance(v, dict) else v for k, v in found.items()})


@dataclass
class MultimodalBatch(Batch):
    """Examples of several modalities. What is missing holds zeros and is masked.

    Attributes:
        inputs: By modality: tokens `(batch, length)`, pictures 0 to 255 `(batch, channels, height, width)`, features
            `(batch, length, width)`.
        padding: By modality, True where there is nothing: at padded tokens and steps `(batch, length)`, at missing
            pictures `(batch, 1)`. An example that lacks a modality is True throughout.
        terms: By text modality: numbers of the terms of all texts in a row `(terms,)`, their TF-IDF weights `(terms,)`,
            where those of each text begin `(batch,)`.
        labels: Class numbers, or scaled numbers to be predicted, `(batch,)`.
        sequence: To which sequence each example belongs, counted from 0 within the batch, `(batch,)`; the examples of
            one stand behind each other in their order.
    """

    inputs: dict[str, Tensor]
    padding: dict[str, Tensor]
    terms: dict[str, tuple[Tensor, Tensor, Tensor]]
    labels: Tensor
    sequence: Tensor

    def missing(self, modality: str) -> Tensor:
        """Which examples lack a modality, `(batch,)`."""
        return self.padding[modality].all(1)


class MultimodalData(DataModule):
    """Base of multimodal sets: a subclass reads columns, this one does the rest."""

    train: MultimodalSplit
    val: MultimodalSplit
    test: MultimodalSplit
    facts: MultimodalFacts

    def finish(self, parts: dict[str, MultimodalSplit], classes: list[str]) -> None:
        """Learns tokens, terms and scales on train, and derives the facts.

        Args:
            parts: train, val and test.
            classes: Names of the labels; none where labels are numbers to be predicted.

        Raises:
            UserError: There is a single class, train lacks one, or a modality is missing throughout train.
        """
        train = parts["train"]
        if classes:
            check_classes(train.labels, classes)
        facts = MultimodalFacts(list(train.columns), {}, {}, {}, classes)
        for name, column in train.columns.items():
            if train.lacks(name).all():
                raise UserError(f"no training example has {name}; leave it out: data.modalities=")
            columns: dict[str, Any] = {part: split.columns[name] for part, split in parts.items()}
            if isinstance(column, Texts):
                facts.texts[name] = self._read_texts(columns)
            elif isinstance(column, Images):
                facts.images[name] = image_facts(column)
            else:
                facts.features[name] = feature_facts(column)
            for part, split in parts.items():
                lacking = int(split.lacks(name).sum())
                if lacking:
                    self.notes.append(f"{lacking:,} of {len(split.labels):,} examples of {part} have no {name}")
        if not classes:
            facts.mean, facts.std = float(train.labels.mean()), float(train.labels.std()) or 1.0
            for split in parts.values():
                split.unit = facts.mean, facts.std
        facts.sequences = any(len(group) > 1 for split in parts.values() for group in split.groups)
        level = self.config.regularization.augmentation
        train.hidden = HIDDEN[level]
        for image in facts.images.values():
            size = image.height, image.width
            train.transform = build_transform(level, size, getattr(self.config.data, "horizontal_flip", False))
        options = self.config.task
        assert isinstance(options, MultimodalSentimentTaskConfig)
        train.dropped = options.modality_dropout if len(train.columns) > 1 else 0.0
        self.train, self.val, self.test = train, parts["val"], parts["test"]
        self.facts = facts

    def _read_texts(self, columns: dict[str, Texts]) -> TextFacts:
        options = self.config.data
        texts = {part: column.texts for part, column in columns.items()}
        tokenizer, tokens, terms, weights = cached(read_texts)(
            texts, options.tokens, options.vocab_size, options.lowercase, options.min_frequency, options.tfidf_features
        )
        cut = 0
        for part, column in columns.items():
            cut += sum(len(ids) > options.max_length for ids in tokens[part])
            column.tokens = [
                ids[: options.max_length] if text else ids[:0]
                for ids, text in zip(tokens[part], column.texts, strict=True)
            ]
            column.terms = weights[part]
        if cut:
            self.notes.append(f"cut {cut:,} texts off at {options.max_length} tokens (data.max_length)")
        size = Tokenizer.from_str(tokenizer).get_vocab_size()
        return TextFacts(size, tokenizer, weights["train"].shape[1], terms)

    def count(self, split: str, items: int | None = None) -> int:
        """Examples of a part; its items are sequences of them."""
        return sum(map(len, getattr(self, split).groups[:items]))

    def lengths(self, split: str) -> np.ndarray | None:
        """Tokens and steps of each sequence of examples; None where all are pictures."""
        part = getattr(self, split)
        found = np.zeros(len(part.labels), dtype=int)
        for column in part.columns.values():
            if isinstance(column, Texts):
                found += [len(tokens) for tokens in column.tokens]
            elif isinstance(column, Features):
                found += [len(values) for values in column.values]
        return np.array([found[group].sum() for group in part.groups]) if found.any() else None

    def collate(self, examples: Sequence[list[Row]], training: bool) -> MultimodalBatch:
        """Pads each modality to its longest."""
        rows = [row for group in examples for row in group]
        sequence = [number for number, group in enumerate(examples) for _ in group]
        inputs, padding, terms = {}, {}, {}
        for name in self.facts.modalities:
            values = [row.inputs[name] for row in rows]
            if name in self.facts.images:
                image = self.facts.images[name]
                nothing = torch.zeros(image.channels, image.height, image.width, dtype=torch.uint8)
                inputs[name] = torch.stack([nothing if value is None else value for value in values])
                padding[name] = torch.tensor([[value is None] for value in values])
                continue
            found = [value for value in values if value is not None]
            # One step at least, so that nothing downstream sees a length of zero.
            longest = max(1, *(len(value) for value in found))
            inputs[name] = torch.stack([pad_to(value, longest) for value in found])
            lengths = torch.tensor([len(value) for value in found])
            padding[name] = torch.arange(longest) >= lengths.unsqueeze(1)
            if name in self.facts.texts and self.facts.texts[name].num_terms:
                numbers, weights = zip(*(row.terms[name] for row in rows), strict=True)
                offsets = np.cumsum([0, *map(len, numbers[:-1])])
                terms[name] = (
                    torch.from_numpy(np.concatenate(numbers).astype(np.int64)),
                    torch.from_numpy(np.concatenate(weights).astype(np.float32)),
                    torch.from_numpy(offsets),
                )
        kind = torch.long if self.facts.classes else torch.float
        return MultimodalBatch(
            index=torch.tensor([row.index for row in rows]),
            inputs=inputs,
            padding=padding,
            terms=terms,
            labels=torch.tensor([row.label for row in rows]).to(kind),
            sequence=torch.tensor(sequence),
        )


def pad_to(value: Tensor, length: int) -> Tensor:
    """Zeros behind a tensor `(length, ...)`."""
    return torch.cat([value, value.new_zeros(length - len(value), *value.shape[1:])])


def check_classes(labels: np.ndarray, classes: list[str]) -> None:
    """Looks for classes that cannot be learnt.

    Raises:
        UserError: There is a single one, or the training split lacks one.
    """
    if len(classes) < 2:
        raise UserError(f"there is a single class ({', '.join(classes)}); a classifier needs at least two")
    counts = np.bincount(labels, minlength=len(classes))
    lacking = [name for name, count in zip(classes, counts, strict=True) if not count]
    if lacking:
        raise UserError(f"the training split has no example of class {', '.join(lacking)}, which val or test has")


def image_facts(column: Images) -> ImageFacts:
    """Size, mean and spread of the pictures that are there."""
    found = column.images[torch.from_numpy(~column.missing)]
    sample = found[:: -(-len(found) // 10_000)].float()  # at most 10,000, to stay small in memory
    _, channels, height, width = found.shape
    mean, std = sample.mean((0, 2, 3)), sample.std((0, 2, 3)).clamp(min=1.0)
    return ImageFacts(channels, height, width, mean.tolist(), std.tolist())


def feature_facts(column: Features) -> FeatureFacts:
    """Mean and spread of each feature over all steps; one that never changes is only centred."""
    found = [value for value in column.values if len(value)]
    steps = sum(map(len, found))
    mean = sum(value.sum(0, dtype=np.float64) for value in found) / steps
    std = np.sqrt(sum(((value - mean) ** 2).sum(0) for value in found) / steps)
    return FeatureFacts(mean.tolist(), np.where(std < 1e-9, 1.0, std).tolist())
