"""The bundled phrases: what is held out is really held out, and they say the same in both languages."""

import re

import pytest
from babel import Locale
from hypothesis import given, settings
from hypothesis import strategies as st

from mla_train.errors import UserError
from mla_train.training.build import build_data
from tasks.translation.phrases import NAMES, draw_phrases, part_of
from tests.helpers import config

SIZES = {"train": 6000, "val": 400, "test": 800}


@pytest.fixture(scope="module")
def parts():
    return draw_phrases(Locale("en"), Locale("de"), SIZES, 0)


def test_parts_are_full_and_no_value_or_source_is_in_two(parts):
    assert {part: len(phrases) for part, phrases in parts.items()} == SIZES
    for what in ("value", "source"):
        seen = {part: {getattr(phrase, what) for phrase in phrases} for part, phrases in parts.items()}
        assert not seen["train"] & seen["val"]
        assert not seen["train"] & seen["test"]
        assert not seen["val"] & seen["test"]
    sources = [phrase.source for phrases in parts.values() for phrase in phrases]
    assert len(set(sources)) == len(sources)


def test_numbers_and_dates_of_test_occur_in_no_training_phrase_of_any_kind(parts):
    """Read from the phrases themselves, not from their values."""

    def dates(part):
        found = set()
        for phrase in parts[part]:
            if phrase.kind in ("date", "moment"):
                month, day, year = re.search(r"([A-Z][a-z]{2})[a-z]* (\d+), (\d{4})", phrase.source).groups()
                found.add((month, day, year))
        return found

    assert len(dates("test")) > 100
    assert not dates("test") & dates("train")
    # Units and bare numbers; prices are rounded to the currency's coins, so that some look alike once written.
    digits = {
        part: {
            re.search(r"[\d,.]*\d", p.source)[0]
            for p in phrases
            if p.kind in ("unit", "number") and "%" not in p.source
        }
        for part, phrases in parts.items()
    }
    assert len(digits["test"]) > 100
    assert not digits["test"] & digits["train"]


def test_all_names_are_in_train_and_alone_there(parts):
    names = {p.source: p.value[0] for p in parts["train"] if p.kind == "name"}
    english = Locale("en")
    assert set(names.values()) == set(NAMES)
    for phrase in parts["test"]:
        assert phrase.kind != "name"
        if phrase.kind == "list":
            table, *codes = phrase.value
            assert all(getattr(english, table)[code] in names for code in codes)
            assert all(getattr(english, table)[code] in phrase.source for code in codes)


def test_phrases_mean_the_same():
    german = {p.source: p.target for ps in draw_phrases(Locale("en"), Locale("de"), SIZES, 3).values() for p in ps}
    assert german["Germany"] == "Deutschland"
    for source, target in german.items():
        if re.fullmatch(r"[\d,]+\.\d+", source):
            assert target == source.translate(str.maketrans(",.", ".,"))


def test_the_same_seed_draws_the_same_and_another_draws_others(parts):
    assert draw_phrases(Locale("en"), Locale("de"), SIZES, 0) == parts
    assert draw_phrases(Locale("en"), Locale("de"), SIZES, 1)["test"] != parts["test"]


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4), st.integers(0, 5))
@settings(max_examples=50)
def test_the_part_depends_on_the_value_alone(value, seed):
    assert part_of(tuple(value), seed) == part_of(tuple(value), seed)


def test_shares_of_values():
    found = [part_of(("number", str(i)), 0) for i in range(5000)]
    assert [round(found.count(part) / 5000, 1) for part in ("train", "val", "test")] == [0.7, 0.1, 0.2]


@pytest.mark.parametrize("language", ["fr", "ja", "ar", "pt_BR"])
def test_other_languages(language):
    data = build_data(
        config("task=translation", f"data.target_language={language}", "data.train_size=2500", "data.test_size=50")
    )
    data.setup()
    assert (len(data.train), len(data.test), data.facts.target_language) == (2500, 50, language)
    assert data.train.targets[:5] != data.train.sources[:5]


@pytest.mark.parametrize(("language", "message"), [("german", "Did you mean de"), ("qq", "no such language")])
def test_unknown_languages_are_refused(language, message):
    data = build_data(config("task=translation", f"data.target_language={language}"))
    with pytest.raises(UserError, match=message):
        data.setup()
