"""Targets that are texts: cleaned, grouped by what they are generated from, as tokens."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mla_train.config import TokenizerKind, TooLong
from mla_train.data.batch import pad_stack
from mla_train.data.cache import cached
from mla_train.data.languages import TOKENIZERS, bleu_tokenizer, is_language, language_code, scored_language
from mla_train.data.tokenizers import END, END_ID, START_ID, UNK_ID, learn_tokenizer, read_tokenizer
from mla_train.errors import require
from mla_train.heads.base import Columns, Head, Inputs, Kinds, RawTargets
from mla_train.modalities.base import Modality
from mla_train.modalities.text import TextSpec, clean
from mla_train.modalities.text.tokenize import tokenize


@dataclass
class GenerationSpec:
    """Spec of generated texts.

    Attributes:
        max_length: Longest text in tokens.
        lowercase: Whether the texts are in lower case.
        language: Language of the texts, such as de.
        vocab_size: Number of tokens.
        tokenizer: JSON of the `tokenizers` library; empty where it is that of an input.
        shared_with: Name of the input whose vocabulary and embeddings are shared; empty where none is.
        growth: Number of tokens for each token of the inputs, seldom exceeded; None where an input is no text, and texts
            end at `max_length`.
    """

    max_length: int
    lowercase: bool
    language: str
    vocab_size: int = 0
    tokenizer: str = ""
    shared_with: str = ""
    growth: float | None = None


class GeneratedText(NamedTuple):
    """A target.

    Attributes:
        text: Whole text, cleaned.
        tokens: Token numbers up to the longest length, without start and end.
        others: Other texts that answer the same inputs; None where an earlier example with these inputs is scored against all.
    """

    text: str
    tokens: np.ndarray
    others: tuple[str, ...] | None = ()


@dataclass
class GenerationTargets:
    """Targets of a batch.

    Attributes:
        tokens: Tokens from the start to the end, padded with 0, `(batch, 1 + length)`.
        texts: Whole texts.
        others: Other texts that answer the same inputs, for each; None where an earlier example is scored against all.
    """

    tokens: Tensor
    texts: list[str]
    others: list[tuple[str, ...] | None] = field(default_factory=list)

    @property
    def following(self) -> Tensor:
        """The token that follows each, `(batch, length)`."""
        return self.tokens[:, 1:]


class TextTargets(Head):
    """How texts become targets; the network stands in `Generation`."""

    spec_class = GenerationSpec
    even_tokens = True
    pool = 100

    @classmethod
    def load_targets(
        cls, targets: RawTargets, options: Any, notes: list[str]
    ) -> tuple[GenerationSpec, dict[str, list[str]]]:
        """Cleaned texts of all splits."""
        cleaned = {split: [clean(str(text)) for text in texts] for split, texts in targets.items()}
        language = _language(options, next(iter(cleaned.values())), notes)
        return GenerationSpec(options.max_length, options.lowercase, language), cleaned

    @classmethod
    def groups(cls, columns: Columns, options: Any) -> np.ndarray | None:
        """Examples of equal inputs: all texts that are generated from one stay in one split."""
        keys = [column.contents() for column in columns.values()]
        if any(key is None for key in keys):
            return None
        joined = ["\n".join(map(str, values)) for values in zip(*keys, strict=True)]
        if options.lowercase:
            joined = [key.lower() for key in joined]
        numbers = {key: number for number, key in enumerate(sorted(set(joined)))}
        return np.array([numbers[key] for key in joined])

    @classmethod
    def fit(
        cls, spec: GenerationSpec, targets: list[str], kinds: Kinds, columns: Columns, options: Any
    ) -> tuple[GenerationSpec, dict[str, Modality]]:
        """Learns vocabularies, that of the first text input with the targets where they share one, and the growth."""
        texts = [name for name, kind in kinds.items() if kind.kind == "text"]
        shared = texts[0] if options.joint and texts else ""

        def learn(known: list[str]) -> tuple[str, int]:
            return cached(learn_vocabulary)(known, options.tokens, options.vocab_size, options.lowercase)

        inputs: dict[str, Modality] = {}
        for name, kind in kinds.items():
            if name not in texts:
                inputs[name] = kind.fit(columns[name], options)
                continue
            known = columns[name].known
            if known is None:
                tokenizer, size = learn([*columns[name].texts, *(targets if name == shared else ())])
            else:
                tokenizer, size = known.tokenizer, known.vocab_size
                require(
                    read_tokenizer(tokenizer).token_to_id(END) == END_ID,
                    "the vocabulary of that run has no end token, as generated texts need one: remove data.tokenizer, or take "
                    "the encoder alone with init.parts=[encoder]",
                )
            inputs[name] = kind(TextSpec(size, tokenizer, options.max_length, end_token=True))
            if name == shared:
                spec = replace(spec, shared_with=name, vocab_size=size)
        if not shared:
            tokenizer, size = learn(targets)
            spec = replace(spec, tokenizer=tokenizer, vocab_size=size)
        if len(texts) == len(kinds):
            written = _lengths(targets, written_with(spec, inputs), spec.max_length)
            read = sum(_lengths(columns[n].texts, inputs[n].spec.tokenizer, spec.max_length) for n in texts)
            spec = replace(spec, growth=max(1.5, round(float(np.quantile(written / read, 0.999)), 2)))
        return spec, inputs

    @classmethod
    def is_dropped(
        cls, spec: GenerationSpec, targets: list[str], inputs: Inputs, columns: Columns, options: Any
    ) -> np.ndarray | None:
        """True where a target or a text input is over `data.max_length`, with `data.too_long=drop`."""
        if options.too_long is not TooLong.drop:
            return None
        texts = [(targets, written_with(spec, inputs))]
        texts += [(columns[n].texts, each.spec.tokenizer) for n, each in inputs.items() if each.kind == "text"]
        return np.any([_lengths(*each) > spec.max_length + 1 for each in texts], axis=0)

    @classmethod
    def prepare_targets(
        cls, spec: GenerationSpec, targets: list[str], split: str, inputs: Inputs, columns: Columns, notes: list[str]
    ) -> list[GeneratedText]:
        """Texts with their tokens, cut off at the longest length."""
        tokens = tokenize(targets, read_tokenizer(written_with(spec, inputs)))
        cut = sum(len(numbers) > spec.max_length for numbers in tokens)
        if cut:
            notes.append(f"cut {cut:,} targets of {split} off at {spec.max_length} tokens (data.max_length)")
        read = [column.tokens for name, column in columns.items() if inputs[name].kind == "text"]
        unknown = sum(int((numbers == UNK_ID).sum()) for each in (tokens, *read) for numbers in each)
        if unknown:
            notes.append(f"{unknown:,} tokens of {split} are unknown: train does not have them")
        groups = None if split == "train" else cls.groups(columns, spec)
        others = [()] * len(targets) if groups is None else _other_references(targets, groups)
        several = sum(map(bool, others))
        if several:
            notes.append(
                f"{several:,} inputs of {split} have several targets: each is scored once, against all of them"
            )
        parts = zip(targets, tokens, others, strict=True)
        return [GeneratedText(text, numbers[: spec.max_length], more) for text, numbers, more in parts]

    @classmethod
    def lengths(cls, inputs: np.ndarray | None, targets: list[GeneratedText]) -> np.ndarray:
        """Tokens of the longer side, and a thousandth of the target's: it orders examples that are as long."""
        written = np.array([len(target.tokens) + 1 for target in targets])
        return (written if inputs is None else np.maximum(inputs, written)) + written / 1000

    @classmethod
    def collate(cls, spec: GenerationSpec, targets: Sequence[GeneratedText], training: bool) -> GenerationTargets:
        """Pads texts between start and end token to the longest."""
        rows = [torch.tensor([START_ID, *target.tokens, END_ID]) for target in targets]
        texts, others = [target.text for target in targets], [target.others for target in targets]
        return GenerationTargets(pad_stack(rows)[0], texts, others)


def _language(options: Any, texts: Sequence[str], notes: list[str]) -> str:
    """Language of the targets: that of the options, of the name of their column or file, or of their script."""
    files = getattr(options, "train", None)
    endings = Path(str(files[1])).suffixes if isinstance(files, Sequence) and len(files) == 2 else []
    names = [getattr(options, "target_column", None) or "", *(ending[1:] for ending in reversed(endings))]
    named = options.target_language or next(filter(is_language, names), "en")
    language = scored_language(named, texts)
    if language != language_code(named):
        notes.append(
            f"targets are written in the script of {language}, not of {named}: BLEU finds words as in {language}"
        )
    tokenizer = TOKENIZERS.get(language)
    if tokenizer is not None and bleu_tokenizer(language) != tokenizer:
        notes.append(
            f"BLEU compares characters: sacrebleu's {tokenizer} is not installed (pip install 'sacrebleu[{language}]')"
        )
    return language


def _other_references(texts: Sequence[str], groups: np.ndarray) -> list[tuple[str, ...] | None]:
    """The other texts of the group of the first example of each group; None for the examples behind it."""
    members: dict[int, list[int]] = {}
    for place, group in enumerate(groups.tolist()):
        members.setdefault(group, []).append(place)
    others: list[tuple[str, ...] | None] = [()] * len(texts)
    for first, *more in members.values():
        distinct = tuple(dict.fromkeys(texts[place] for place in more if texts[place] != texts[first]))
        if distinct:  # else the same example again
            others[first] = distinct
            for place in more:
                others[place] = None
    return others


def written_with(spec: GenerationSpec, inputs: Inputs) -> str:
    """JSON of the tokenizer that texts are written with: their own, or that of an input."""
    return inputs[spec.shared_with].spec.tokenizer if spec.shared_with else spec.tokenizer


def learn_vocabulary(texts: Sequence[str], kind: TokenizerKind, vocab_size: int, lowercase: bool) -> tuple[str, int]:
    """JSON of a tokenizer that texts like these can be written with, and the number of its tokens."""
    tokenizer = learn_tokenizer(texts, kind, vocab_size, lowercase, to_write=True)
    return tokenizer.to_str(), tokenizer.get_vocab_size()


def _lengths(texts: Sequence[str], tokenizer: str, limit: int | None = None) -> np.ndarray:
    """Number of tokens of each text up to a limit, and one for its end."""
    return np.array([len(tokens[:limit]) + 1 for tokens in tokenize(texts, read_tokenizer(tokenizer))])
