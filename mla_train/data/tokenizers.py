"""Words, pieces of words or characters as numbers, by the `tokenizers` library, learned on the training split."""

import json
import re
from collections.abc import Collection, Iterable
from itertools import chain
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from mla_train.config import TokenizerKind
from mla_train.data.texts import in_pieces
from mla_train.errors import UserError, require

PAD, UNK, START, END = "[PAD]", "[UNK]", "[START]", "[END]"
PAD_ID, UNK_ID, START_ID, END_ID = 0, 1, 2, 3
CHARACTER = "."
STEPS = {
    "pre_tokenizer": ("pretokenizers", ("Digits", "ByteLevel", "Whitespace", "Split")),
    "normalizer": ("normalizers", ("NFC", "NFKC", "Lowercase")),
    "decoder": ("", ("ByteLevel", "Fuse")),
}
"""Steps that `learn_tokenizer` writes, by the part of a tokenizer, behind the key of a sequence of them."""
NOTHING = ("truncation", "padding", "post_processor")
"""Parts that it does not write."""
PRINTABLE = (*range(33, 127), *range(161, 173), *range(174, 256))
BYTE_OF = {chr(byte): byte for byte in PRINTABLE} | {
    chr(256 + place): byte for place, byte in enumerate(sorted(set(range(256)) - set(PRINTABLE)))
}
"""The byte that each sign of a byte-level token stands for (Radford et al. 2019)."""
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
            tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(CHARACTER), "isolated")
            tokenizer.decoder = decoders.Fuse()
        trainer = trainers.WordLevelTrainer(**training)
    steps = [normalizers.NFC() if to_write else normalizers.NFKC(), *([normalizers.Lowercase()] if lowercase else [])]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.train_from_iterator(chain.from_iterable(map(in_pieces, map(_without_endless_words, texts))), trainer)
    return _literal(tokenizer)


def learn_exact_tokenizer(
    texts: Iterable[str], vocab_size: int, lowercase: bool = False, min_frequency: int = 2
) -> Tokenizer:
    """Learns pieces of words down to bytes from which a text is restored as it was, blanks and line ends included."""
    tokenizer = learn_tokenizer(texts, TokenizerKind.bpe, vocab_size, lowercase, min_frequency, to_write=True)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase()]) if lowercase else None
    return tokenizer


def is_exact(tokenizer: Tokenizer) -> bool:
    """Whether a tokenizer does what those of `learn_exact_tokenizer` do."""
    return any(_steps(tokenizer) == _steps(learn_exact_tokenizer((), 0, lowercase)) for lowercase in (False, True))


def _steps(tokenizer: Tokenizer) -> list[Any]:
    """What a tokenizer does besides its tokens."""
    content = json.loads(tokenizer.to_str())
    return [content[name] for name in STEPS]


def token_bytes(tokenizer: Tokenizer) -> list[bytes]:
    """The bytes of each token of a vocabulary of bytes; those of start, end and the like are empty."""
    written = [b""] * tokenizer.get_vocab_size()
    for token, number in tokenizer.get_vocab().items():
        if number > END_ID:
            require(BYTE_OF.keys() >= set(token), f"token {token!r} of the model is not made of bytes: train it again")
            written[number] = bytes(BYTE_OF[sign] for sign in token)
    return written


def _without_endless_words(text: str) -> str:
    """A text whose words have an end: merging the letters of one of 200,000 would take minutes."""
    return text if len(text) <= LONGEST_WORD else re.sub(rf"(\S{{{LONGEST_WORD}}})\S+", r"\1", text)


def read_tokenizer(written: str, vocab_size: int | None = None) -> Tokenizer:
    """A tokenizer from its JSON.

    Args:
        written: JSON of the `tokenizers` library, which may come from a stranger.
        vocab_size: Number of tokens that it must have; None takes any.

    Raises:
        UserError: It is no tokenizer, does what none of `learn_tokenizer` does, or has another number of tokens.
    """
    content = _checked(written)
    try:
        tokenizer = Tokenizer.from_str(json.dumps(content))  # what was checked: of a key that stands twice, one value
    except Exception as error:  # the library raises nothing more special
        raise UserError(f"the tokenizer of the model cannot be read: {error}") from error
    size = tokenizer.get_vocab_size()
    largest = max(tokenizer.get_vocab().values(), default=-1)
    if vocab_size is not None and (size != vocab_size or largest >= vocab_size):
        raise UserError(
            f"the tokenizer of the model has {max(size, largest + 1):,} tokens, and its spec says {vocab_size:,}"
        )
    if (tokenizer.token_to_id(PAD), tokenizer.token_to_id(UNK)) != (PAD_ID, UNK_ID):
        raise UserError(f"the tokenizer of the model lacks {PAD} or {UNK} as its first tokens: train the model again")
    return _literal(tokenizer)


def _checked(written: str) -> dict[str, Any]:
    """The content of a tokenizer without what `learn_tokenizer` never writes.

    A pattern may take for ever, padding may fill the memory, and so may a step that lengthens a text each time it is done.

    Raises:
        UserError: It is no JSON, or has something else.
    """
    try:
        content: dict[str, Any] = json.loads(written)
        strange = [name for name in NOTHING if content.get(name) is not None]
        strange += [name for name, (key, kinds) in STEPS.items() if not _are_known(content.get(name), key, kinds)]
        strange += [] if _is_known_model(content["model"]) else ["model"]
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        raise UserError(f"the tokenizer of the model cannot be read: {error}") from error
    if strange:
        raise UserError(
            f"the tokenizer of the model has {', '.join(strange)} that this program never writes: train the model again"
        )
    return content


def _are_known(part: Any, key: str, kinds: Collection[str]) -> bool:
    """Whether a part of a tokenizer, which is one step or a sequence, has steps of some kinds, each once."""
    steps = [] if part is None else [part]
    if isinstance(part, dict) and part.get("type") == "Sequence" and part.keys() == {"type", key}:
        steps = part[key]
    return all(_is_known(step, kinds) for step in steps) and len({step["type"] for step in steps}) == len(steps)


def _is_known(step: Any, kinds: Collection[str]) -> bool:
    if not isinstance(step, dict) or step.get("type") not in kinds:
        return False
    return step["type"] != "Split" or step.get("pattern") == {"Regex": CHARACTER}


def _is_known_model(model: dict[str, Any]) -> bool:
    """Whether the model of a tokenizer is of a known kind, and all that it can do besides is off."""
    others = [value for key, value in model.items() if key not in ("type", "vocab", "merges", "unk_token")]
    return model["type"] in ("WordLevel", "BPE") and model["unk_token"] == UNK and not any(others)


def _literal(tokenizer: Tokenizer) -> Tokenizer:
    """Reads [PAD] and the like in a text as text, a setting that the library does not keep in JSON."""
    tokenizer.encode_special_tokens = True
    return tokenizer
