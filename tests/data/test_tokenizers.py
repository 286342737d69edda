"""Tokenizers: what a token is, what is unknown, and that they survive as JSON."""

import pytest
from tokenizers import Tokenizer

from mla_train.config import TokenizerKind
from mla_train.data.tokenizers import PAD_ID, UNK_ID, learn_tokenizer

TEXTS = ["the cat sat on the mat", "the dog sat", "ein Hund saß"] * 3


@pytest.mark.parametrize("kind", list(TokenizerKind))
def test_known_texts_come_back_and_the_tokenizer_survives_as_json(kind):
    tokenizer = learn_tokenizer(TEXTS, kind, 400)
    again = Tokenizer.from_str(tokenizer.to_str())
    for text in TEXTS:
        ids = tokenizer.encode(text).ids
        assert again.encode(text).ids == ids
        assert PAD_ID not in ids
        assert UNK_ID not in ids
    assert tokenizer.token_to_id("[PAD]") == PAD_ID
    assert tokenizer.token_to_id("[UNK]") == UNK_ID


def test_what_a_token_is():
    tokens = {kind: learn_tokenizer(TEXTS, kind, 400).encode("the cat").tokens for kind in TokenizerKind}
    assert tokens[TokenizerKind.word] == ["the", "cat"]
    assert tokens[TokenizerKind.char] == list("the cat")
    assert tokens[TokenizerKind.bpe][0].strip("Ġ") == "the"


def test_unknown_words_are_unknown_but_bytes_never_are():
    assert learn_tokenizer(TEXTS, TokenizerKind.word, 400).encode("the zebra").ids[1] == UNK_ID
    assert UNK_ID not in learn_tokenizer(TEXTS, TokenizerKind.bpe, 400).encode("zebra 斑马").ids


def test_rare_tokens_and_case():
    tokenizer = learn_tokenizer([*TEXTS, "unicorn"], TokenizerKind.word, 400, lowercase=True)
    assert tokenizer.encode("unicorn").ids == [UNK_ID]
    assert tokenizer.encode("THE Cat").tokens == ["the", "cat"]


def test_a_word_without_end_takes_no_minutes():
    endless = learn_tokenizer([*TEXTS, "x" * 50_000], TokenizerKind.bpe, 400)
    assert endless.to_str() == learn_tokenizer([*TEXTS, "x" * 1000], TokenizerKind.bpe, 400).to_str()
    assert len(endless.encode("x" * 2000).ids) < 2000
