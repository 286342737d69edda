"""Tokenizers: what a token is, what is unknown, and that they survive as JSON."""

import json
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from mla_train.config import TokenizerKind
from mla_train.data import texts as data_texts
from mla_train.data.texts import in_batches, in_pieces, with_single_blanks
from mla_train.data.tfidf import KINDS
from mla_train.data.tokenizers import (
    PAD_ID,
    UNK_ID,
    learn_exact_tokenizer,
    learn_tokenizer,
    read_tokenizer,
    token_bytes,
)
from mla_train.errors import UserError
from mla_train.modalities.text import preprocess
from mla_train.modalities.text.preprocess import in_kmers
from mla_train.modalities.text.tokenize import tokenize

TEXTS = ["the cat sat on the mat", "the dog sat", "ein Hund saß"] * 3
REPLACE = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 10_000}


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


SPACED = "  the cat, sat  on\n   the mat; 1999 DOG'S  été\t" * 9
PLAIN = " ".join(SPACED.split())


@pytest.mark.parametrize("size", [7, 16, 40])
@pytest.mark.parametrize("kind", [*TokenizerKind, "exact"])
def test_tokens_of_a_long_text_are_those_of_its_pieces(kind, size, monkeypatch):
    def learn():
        some = [*TEXTS, SPACED if kind == "exact" else PLAIN]
        return learn_exact_tokenizer(some, 400) if kind == "exact" else learn_tokenizer(some, kind, 400)

    tokenizer = learn()
    texts = [SPACED if kind == "exact" else PLAIN, "", "cat", "zebra " * 9]
    whole = [tokenizer.encode(text).ids if text else [] for text in texts]
    terms = [sorted(kind(PLAIN)) for kind in KINDS.values()]
    monkeypatch.setattr(data_texts, "PIECE", size if kind != "exact" else 45)
    assert [list(numbers) for numbers in tokenize(texts, tokenizer)] == whole
    assert [sorted(kind(PLAIN)) for kind in KINDS.values()] == terms
    assert learn().to_str() == tokenizer.to_str()


@given(st.text("a b\n\u2003", max_size=60), st.integers(2, 9))
def test_blanks_of_a_long_text_are_those_of_its_pieces(text, size):
    with mock.patch.object(data_texts, "PIECE", size):
        assert with_single_blanks(text) == " ".join(text.split())


def test_pieces_of_a_long_word_are_those_of_a_short_one(monkeypatch):
    words = "ACGTACG TT ACGTA"
    whole = in_kmers(words, 3)
    monkeypatch.setattr(preprocess, "PIECE", 2)
    assert in_kmers(words, 3) == whole == "ACG CGT GTA TAC ACG TT ACG CGT GTA"


def test_a_long_text_is_read_in_pieces_and_many_texts_in_batches(monkeypatch):
    monkeypatch.setattr(data_texts, "PIECE", 10)
    text = "ab " * 20 + "x" * 35
    assert "".join(in_pieces(text)) == text
    assert max(map(len, in_pieces(text))) <= 10
    assert list(in_batches(["a" * 6, "b" * 6, "c", "d" * 30, "e", ""])) == [
        ["a" * 6],
        ["b" * 6, "c"],
        ["d" * 30],
        ["e", ""],
    ]
    assert list(in_batches(["a"] * 5, 2)) == [["a", "a"], ["a", "a"], ["a"]]


def test_a_word_without_end_takes_no_minutes():
    endless = learn_tokenizer([*TEXTS, "x" * 50_000], TokenizerKind.bpe, 400)
    assert endless.to_str() == learn_tokenizer([*TEXTS, "x" * 1000], TokenizerKind.bpe, 400).to_str()
    assert len(endless.encode("x" * 2000).ids) < 2000


@pytest.mark.parametrize("kind", list(TokenizerKind))
@pytest.mark.parametrize("to_write", [False, True])
def test_what_is_learned_can_be_read(kind, to_write):
    tokenizer = learn_tokenizer(TEXTS, kind, 400, lowercase=True, to_write=to_write)
    assert read_tokenizer(tokenizer.to_str()).encode("the cat").ids == tokenizer.encode("the cat").ids


@pytest.mark.parametrize(
    ("part", "value"),
    [
        (
            "padding",
            {"strategy": {"Fixed": 10**9}, "direction": "Right", "pad_id": 0, "pad_type_id": 0, "pad_token": "a"},
        ),
        ("truncation", {"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0}),
        ("pre_tokenizer", {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}),
        ("pre_tokenizer", {"type": "Sequence", "pretokenizers": [{"type": "Sequence", "pretokenizers": []}]}),
        ("normalizer", {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 10_000}),
        ("normalizer", {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "a"}]}),
        ("normalizer", {"type": "Sequence", "pretokenizers": [], "normalizers": [REPLACE]}),
        ("pre_tokenizer", {"type": "Sequence", "pretokenizers": [], "normalizers": []}),
        ("pre_tokenizer", {"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}] * 2}),
        ("decoder", {"type": "Sequence", "decoders": [REPLACE]}),
        ("decoder", REPLACE),
        ("post_processor", {"type": "TemplateProcessing", "single": [], "pair": [], "special_tokens": {}}),
        ("model", {"type": "Unigram", "unk_id": None, "vocab": [["[PAD]", 0.0], ["[UNK]", 0.0]]}),
        ("model", {"type": "WordLevel", "unk_token": "a", "vocab": {"[PAD]": 0, "[UNK]": 1}}),
        (
            "model",
            {"type": "BPE", "unk_token": "[UNK]", "dropout": 0.5, "vocab": {"[PAD]": 0, "[UNK]": 1}, "merges": []},
        ),
    ],
)
def test_steps_of_a_strangers_tokenizer_are_refused(part, value):
    content = json.loads(learn_tokenizer(TEXTS, TokenizerKind.char, 400).to_str()) | {part: value}
    with pytest.raises(UserError, match=f"{part} that this program never writes"):
        read_tokenizer(json.dumps(content))


def test_of_a_key_that_stands_twice_the_checked_value_is_used():
    written = learn_tokenizer(TEXTS, TokenizerKind.char, 400).to_str()
    twice = f'{{"normalizer": {json.dumps(REPLACE)}, {written[1:]}'
    assert read_tokenizer(twice).encode("aa").tokens == ["a", "a"]


@pytest.mark.parametrize("missing", ["[PAD]", "[UNK]"])
def test_a_strangers_tokenizer_has_padding_and_the_unknown(missing):
    content = json.loads(learn_tokenizer(TEXTS, TokenizerKind.word, 400).to_str()) | {"added_tokens": []}
    content["model"]["vocab"]["x"] = content["model"]["vocab"].pop(missing)
    with pytest.raises(UserError, match=r"lacks \[PAD\] or \[UNK\]"):
        read_tokenizer(json.dumps(content))


def test_tokens_of_bytes_have_no_other_signs():
    content = json.loads(learn_exact_tokenizer(TEXTS, 400).to_str())
    vocabulary = content["model"]["vocab"]
    sign = next(
        token
        for token in vocabulary
        if len(token) == 1 and not any(token in part for merge in content["model"]["merges"] for part in merge)
    )
    vocabulary["漢"] = vocabulary.pop(sign)
    with pytest.raises(UserError, match=r"token '漢' .* train it again"):
        token_bytes(read_tokenizer(json.dumps(content)))
