"""Texts: cleaning, tokens, TF-IDF features, batches, augmentation, convolutions."""

import unicodedata

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mla_train.config import Augmentation, TokenizerKind
from mla_train.data.tokenizers import END_ID, UNK_ID
from mla_train.errors import UserError
from mla_train.modalities import Text
from mla_train.modalities.text import TextSpec, clean
from mla_train.modalities.text.augment import drop_tokens
from mla_train.modalities.text.embed import Convolutions
from tests.helpers import SMALL, config

TEXTS = ["a fine film", "a poor film , a poor book", "", "fine"]


def fitted(*words, texts=TEXTS):
    options = config("task=text_classification", "data=text_files", "data.min_frequency=1", *words).data
    column = Text.load(texts, [str(i) for i in range(len(texts))], options, [])
    return Text.fit(column, options), column


@given(st.text())
def test_cleaning_gives_one_form_and_single_spaces(text):
    cleaned = clean(text)
    assert clean(cleaned) == cleaned
    assert cleaned == clean(unicodedata.normalize("NFD", text))
    assert cleaned.split(" ") == cleaned.split() or not cleaned
    assert "".join(cleaned.split()) == "".join(unicodedata.normalize("NFC", text).split())


def test_what_is_no_text_is_missing():
    _, column = fitted(texts=[" a\tfine  cafe\u0301 ", None, " \n ", ""])
    assert column.texts == ["a fine caf\u00e9", "", "", ""]
    assert column.is_missing().tolist() == [False, True, True, True]


def test_training_and_prediction_read_texts_alike():
    modality, column = fitted()
    prepared = modality.prepare(column, [])
    again = Text(TextSpec(**vars(modality.spec))).preprocess(["  a  fine film", *TEXTS[1:2], None, "fine"])
    for place in range(4):
        one, other = prepared[place], again[place]
        if place == 2:
            assert one is other is None
            continue
        assert torch.equal(one.tokens, other.tokens)
        np.testing.assert_array_equal(one.features, other.features)
        np.testing.assert_allclose(one.weights, other.weights, rtol=1e-6)
    assert prepared.lengths().tolist() == again.lengths().tolist() == [3, 7, 0, 1]


def test_long_texts_are_cut_and_counted():
    modality, column = fitted("data.max_length=2")
    notes = []
    assert modality.prepare(column, notes).lengths().tolist() == [2, 2, 0, 1]
    assert "data.tokens=char" not in "".join(notes)
    strange = modality.load(["quite other", "strange words"], ["a", "b"], None, [])
    modality.prepare(strange, told := [])
    assert "100% of the tokens of 2 texts are unknown" in told[0]
    assert "data.tokens=char" in told[0]
    assert ["cut 2 texts" in note and "data.max_length" in note for note in notes] == [True]
    assert len(modality.preprocess([TEXTS[1]])[0].tokens) == 2
    written = Text(TextSpec(**{**vars(modality.spec), "end_token": True}))
    assert written.preprocess([TEXTS[1]])[0].tokens[-1] == END_ID


def test_a_text_of_unknown_signs_is_one_unknown_token():
    modality, _ = fitted("data.tokens=char")
    assert modality.preprocess(["\u6f22"])[0].tokens.tolist() == [UNK_ID]


def test_a_value_that_is_no_text_is_refused():
    modality, _ = fitted()
    with pytest.raises(UserError, match="int"):
        modality.preprocess([7])


def test_a_batch_pads_tokens_and_joins_features():
    modality, column = fitted()
    prepared = modality.prepare(column, [])
    batch = modality.collate([prepared[place] for place in (1, 2, 0)])
    assert batch.padding.sum(1).tolist() == [0, 7, 4]
    assert torch.equal(batch.tokens[2, :3], prepared[0].tokens)
    assert not batch.tokens[batch.padding].any()
    ends = [*batch.offsets.tolist(), len(batch.features)]
    for row, place in enumerate((1, 2, 0)):
        part = slice(ends[row], ends[row + 1])
        expected = [] if prepared[place] is None else prepared[place].features
        np.testing.assert_array_equal(batch.features[part].numpy(), expected)
    assert ends[1] == ends[2]
    nothing = modality.collate([None, None])
    assert nothing.padding.all()


def test_without_tfidf_there_are_no_features():
    modality, column = fitted("data.tfidf_features=0")
    assert (modality.spec.tfidf_size, modality.spec.tfidf, modality.tfidf) == (0, "", None)
    prepared = modality.prepare(column, [])
    assert modality.collate([prepared[0]]).features is None
    embedding = modality.embedding(config("task=text_classification", *SMALL))
    assert "tfidf" not in embedding.side_paths
    assert embedding(modality.collate([prepared[0], None])).tokens.shape == (2, 3, 16)


@pytest.mark.parametrize("kind", list(TokenizerKind))
def test_every_kind_of_token_gives_tokens(kind):
    modality, column = fitted(f"data.tokens={kind.value}", "data.vocab_size=400")
    prepared = modality.prepare(column, [])
    assert len(prepared[3].tokens) == {"word": 1, "char": 4}.get(kind.value, len(prepared[3].tokens)) > 0
    assert modality.spec.vocab_size > 5


@given(length=st.integers(1, 50), share=st.floats(0, 1), seed=st.integers(0, 1000))
def test_dropped_tokens_are_left_out_or_unknown(length, share, seed):
    torch.manual_seed(seed)
    tokens = torch.arange(10, 10 + length)
    left = drop_tokens(tokens, share)
    known = left[left != UNK_ID]
    assert 1 <= len(left) <= length
    assert torch.equal(known, known.sort().values)
    assert set(known.tolist()) <= set(tokens.tolist())
    torch.manual_seed(seed)
    assert torch.equal(drop_tokens(tokens, share), left)
    assert torch.equal(tokens, torch.arange(10, 10 + length))


def test_half_of_the_dropped_tokens_is_left_out():
    torch.manual_seed(0)
    left = drop_tokens(torch.full((20_000,), 7), 0.4)
    assert len(left) == pytest.approx(16_000, rel=0.02)
    assert (left == UNK_ID).sum() == pytest.approx(4_000, rel=0.05)


def test_augmentation_grows_with_its_level():
    modality, column = fitted(texts=["one two three four five six seven eight nine ten"])
    example = modality.prepare(column, [])[0]
    assert modality.augmentation(Augmentation.none, None) is None
    kept = {}
    for level in (Augmentation.light, Augmentation.strong):
        torch.manual_seed(0)
        drop = modality.augmentation(level, None)
        kept[level] = sum((drop(example).tokens != UNK_ID).sum() for _ in range(50)) / 500
    assert kept == {Augmentation.light: pytest.approx(0.8, abs=0.05), Augmentation.strong: pytest.approx(0.6, abs=0.05)}


def test_convolutions_equal_a_loop_over_places():
    torch.manual_seed(0)
    layer, x = Convolutions(4, [2, 3]), torch.randn(2, 7, 4)
    mask = torch.zeros(2, 7, dtype=torch.bool)
    mask[1, 4:] = True
    _, largest = layer(x, mask)
    for example, length in ((0, 7), (1, 4)):
        expected = []
        for width, convolution in zip([2, 3], layer.convolutions, strict=True):
            padded = torch.zeros(7 + width - 1, 4)
            padded[(width - 1) // 2 : (width - 1) // 2 + length] = x[example, :length]
            places = [
                torch.einsum("wi,oiw->o", padded[start : start + width], convolution.weight) + convolution.bias
                for start in range(length)
            ]
            expected.append(torch.stack(places).amax(0).relu())
        torch.testing.assert_close(largest[example], torch.cat(expected), rtol=1e-4, atol=1e-5)


def test_only_known_tokens_are_reconstructed():
    modality, column = fitted("data.min_frequency=2")
    prepared = modality.prepare(column, [])
    batch = modality.collate([prepared[1], prepared[3]])
    target = modality.embedding(config("task=text_classification", *SMALL)).reconstruction_target(batch)
    assert torch.equal(target.known, (batch.tokens != UNK_ID) & ~batch.padding)
    assert 0 < target.known.sum() < (~batch.padding).sum()


def sentences(alphabet, joint, count=100):
    """Texts of eight random words of a small vocabulary, or of eight characters in a row."""
    generator = np.random.default_rng(0)
    return [joint.join(generator.choice(list(alphabet), 8)) for _ in range(count)]


@pytest.mark.parametrize(
    ("texts", "characters"),
    [
        (sentences(["a", "fine", "film", "book", "poor"], " "), False),
        (sentences("质颜真价小包使大量的这", ""), True),
        (sentences("質の良いものをすぐに", "") , True),
        (sentences(["สวัสดี", "ครับ", "ขอบคุณ", "มาก", "ดี"], ""), True),
        (sentences(["质颜", "真", "价小"], " "), False),  # blanks between the words
        ([f"w{i} x{i} y{i}" for i in range(100)], True),  # no word occurs twice
        ([f"w{i} x{i} y{i}" for i in range(40)], False),  # too few texts to tell
    ],
)  # fmt: skip
def test_characters_are_chosen_where_most_words_are_unknown(texts, characters):
    modality, _ = fitted("data.min_frequency=2", texts=texts)
    if characters:
        (note,) = modality.fit_notes
        assert "tokens are characters" in note
        assert "data.tokens=" in note
        assert [len(modality.preprocess([text])[0].tokens) for text in texts] == list(map(len, texts))
    else:
        assert not modality.fit_notes
    asked, _ = fitted("data.min_frequency=2", "data.tokens=word", texts=texts)
    assert not asked.fit_notes
