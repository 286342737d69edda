"""Words, pieces of words or characters as numbers, by the `tokenizers` library, learnt on the training split."""

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from mla_train.config import TokenizerKind

PAD, UNK, START, END = "[PAD]", "[UNK]", "[START]", "[END]"
PAD_ID, UNK_ID, START_ID, END_ID = 0, 1, 2, 3


def learn_tokenizer(
    texts: Iterable[str],
    kind: TokenizerKind,
    vocab_size: int,
    lowercase: bool = False,
    min_frequency: int = 2,
    to_write: bool = False,
) -> Tokenizer:
    """Learns a vocabulary.

    Args:
        texts: Texts of the training split.
        kind: Kind of token.
        vocab_size: Largest number of tokens.
        lowercase: Whether upper case is folded.
        min_frequency: Occurrences that a token needs.
        to_write: Whether a model generates texts from the tokens: similar characters then stay apart (NFC instead of
            NFKC), and there are a start token 2 and an end token 3.

    Returns:
        A tokenizer with padding 0 and unknown 1 that normalises, and can be kept as JSON.
    """
    special = [PAD, UNK, START, END] if to_write else [PAD, UNK]
    steps: list[normalizers.Normalizer] = [normalizers.NFC() if to_write else normalizers.NFKC()]
    if lowercase:
        steps.append(normalizers.Lowercase())
    trainer: trainers.Trainer
    if kind is TokenizerKind.bpe:
        tokenizer = Tokenizer(models.BPE(unk_token=UNK))
        pieces: list[pre_tokenizers.PreTokenizer] = [pre_tokenizers.ByteLevel(add_prefix_space=True)]
        if to_write:
            pieces.insert(0, pre_tokenizers.Digits(individual_digits=True))
            pieces[1] = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(pieces)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            min_frequency=min_frequency,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
    else:
        tokenizer = Tokenizer(models.WordLevel(unk_token=UNK))
        by_word = pre_tokenizers.Whitespace()
        by_character = pre_tokenizers.Split(Regex("."), "isolated")
        tokenizer.pre_tokenizer = by_word if kind is TokenizerKind.word else by_character
        if kind is TokenizerKind.char:
            tokenizer.decoder = decoders.Fuse()
        trainer = trainers.WordLevelTrainer(
            vocab_size=vocab_size, min_frequency=min_frequency, special_tokens=special, show_progress=False
        )
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.train_from_iterator(texts, trainer)
    return _literal(tokenizer)


def read_tokenizer(written: str) -> Tokenizer:
    """A tokenizer from its JSON."""
    return _literal(Tokenizer.from_str(written))


def _literal(tokenizer: Tokenizer) -> Tokenizer:
    """Reads [PAD] and the like in a text as text, a setting that the library does not keep in JSON."""
    tokenizer.encode_special_tokens = True
    return tokenizer
