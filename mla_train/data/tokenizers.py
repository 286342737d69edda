"""Words, pieces of words or characters as numbers, by the `tokenizers` library, learned on the training split."""

import re
from collections.abc import Iterable
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from mla_train.config import TokenizerKind
from mla_train.errors import UserError

PAD, UNK, START, END = "[PAD]", "[UNK]", "[START]", "[END]"
PAD_ID, UNK_ID, START_ID, END_ID = 0, 1, 2, 3
LONGEST_WORD = 1000  # characters of a word that pieces are learned from


def learn_tokenizer(
    texts: Iterable[str],
    kind: TokenizerKind,
    vocab_size: int,
    lowercase: bool = False,
    min_frequency: int = 2,
    to_write: bool = False,
) -> Tokenizer:
    """Learns a vocabulary from texts of the training split: see `TextOptions`.

    With `to_write` a model generates texts from the tokens: similar characters then stay apart (NFC instead of NFKC),
    and there are a start token 2 and an end token 3.

    Returns:
        A tokenizer with padding 0 and unknown 1 that normalises, and can be kept as JSON.
    """
    special = [PAD, UNK, START, END] if to_write else [PAD, UNK]
    training: dict[str, Any] = dict(
        vocab_size=vocab_size, min_frequency=min_frequency, special_tokens=special, show_progress=False
    )
    trainer: trainers.Trainer
    if kind is TokenizerKind.bpe:
        tokenizer = Tokenizer(models.BPE(unk_token=UNK))
        pieces = pre_tokenizers.ByteLevel(add_prefix_space=not to_write)
        digits = [pre_tokenizers.Digits(individual_digits=True)] if to_write else []
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*digits, pieces])
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), **training)
    else:
        tokenizer = Tokenizer(models.WordLevel(unk_token=UNK))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        if kind is TokenizerKind.char:
            tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
            tokenizer.decoder = decoders.Fuse()
        trainer = trainers.WordLevelTrainer(**training)
    steps = [normalizers.NFC() if to_write else normalizers.NFKC(), *([normalizers.Lowercase()] if lowercase else [])]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.train_from_iterator(map(_without_endless_words, texts), trainer)
    return _literal(tokenizer)


def _without_endless_words(text: str) -> str:
    """A text whose words have an end: merging the letters of one of 200,000 would take minutes."""
    return text if len(text) <= LONGEST_WORD else re.sub(rf"(\S{{{LONGEST_WORD}}})\S+", r"\1", text)


def read_tokenizer(written: str, vocab_size: int | None = None) -> Tokenizer:
    """A tokenizer from its JSON.

    Args:
        written: JSON of the `tokenizers` library, which may come from a stranger.
        vocab_size: Number of tokens that it must have; None takes any.

    Raises:
        UserError: It is no tokenizer, or has another number of tokens.
    """
    try:
        tokenizer = Tokenizer.from_str(written)
    except Exception as error:  # the library raises nothing more special
        raise UserError(f"the tokenizer of the model cannot be read: {error}") from error
    found = tokenizer.get_vocab_size()
    largest = max(tokenizer.get_vocab().values(), default=-1)
    if vocab_size is not None and (found != vocab_size or largest >= vocab_size):
        raise UserError(
            f"the tokenizer of the model has {max(found, largest + 1):,} tokens, and its spec says {vocab_size:,}"
        )
    return _literal(tokenizer)


def _literal(tokenizer: Tokenizer) -> Tokenizer:
    """Reads [PAD] and the like in a text as text, a setting that the library does not keep in JSON."""
    tokenizer.encode_special_tokens = True
    return tokenizer
