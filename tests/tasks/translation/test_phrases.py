"""The bundled phrases: what is held out is really held out, and they say the same in both languages."""

import re

import pytest
from babel import Locale

from mla_train.errors import UserError
from mla_train.task import build_task
from tasks.translation.phrases import NAMES, draw_phrases, part_of
from tests.helpers import config

SIZES = {"train": 6000, "val": 400, "test": 800}


@pytest.fixture(scope="module")
def parts():
    return draw_phrases(Locale("en"), Locale("de"), SIZES, 0)


def test_parts_are_full_and_no_value_or_source_is_in_two(parts):
    assert {part: len(phrases) for part, phrases in parts.items()} == SIZES
    sources = [phrase.source for phrases in parts.values() for phrase in phrases]
    assert len(set(sources)) == len(sources)
    seen = {part: {value for phrase in phrases for value in phrase.values} for part, phrases in parts.items()}
    assert not seen["train"] & seen["val"]
    assert not seen["train"] & seen["test"]
    assert not seen["val"] & seen["test"]


def test_what_is_written_in_test_is_written_in_no_training_phrase_of_any_kind(parts):
    """Read from the phrases themselves, not from their values."""
    assert {phrase.kind for phrase in parts["test"]} >= {
        "interval",
        "moment",
        "distance",
        "currency",
        "number",
        "unit",
        "list",
    }

    def numbers(part):
        kinds = ("unit", "currency", "number", "distance")
        return {re.search(r"\d(?:[\d,.]*\d)?", p.source)[0] for p in parts[part] if p.kind in kinds}

    def dates(part):
        found = set()
        for phrase in parts[part]:
            if phrase.kind in ("date", "moment"):
                month, day, year = re.search(r"([A-Z][a-z]{2})[a-z]* (\d+), (\d{4})", phrase.source).groups()
                found.add((month, day, year))
            elif phrase.kind == "interval":  # Mar 5 - Jul 24, 1992 or Mar 5, 1992 - Jul 24, 1993 or Mar 5 - 7, 1992
                first, last = re.split(r"\s*\u2013\s*", phrase.source)
                year = last[-4:]
                last = last if last[0].isalpha() else f"{first[:3]} {last}"
                first = first if "," in first else f"{first}, {year}"
                for end in (first, last):
                    month, day, year = re.fullmatch(r"([A-Z][a-z]{2}) (\d+), (\d{4})", end).groups()
                    found.add((month, day, year))
        return found

    def lists(part):
        return {frozenset(re.split(r", and |, or | and | or |, ", p.source)) for p in parts[part] if p.kind == "list"}

    for written in (numbers, dates, lists):
        assert len(written("test")) > 50
        assert not written("test") & written("train")
        assert not written("test") & written("val")


def test_all_names_are_in_train_and_alone_there(parts):
    names = {p.source: p.values[0][0] for p in parts["train"] if p.kind == "name"}
    english = Locale("en")
    assert set(names.values()) == set(NAMES)
    for phrase in parts["test"]:
        assert phrase.kind != "name"
        if phrase.kind == "list":
            table, *codes = phrase.values[0]
            assert len(set(codes)) == len(codes)
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


def test_shares_of_values():
    found = [part_of(("number", str(i)), 0) for i in range(5000)]
    assert [round(found.count(part) / 5000, 1) for part in ("train", "val", "test")] == [0.7, 0.1, 0.2]


@pytest.mark.parametrize("language", ["fr", "ja", "ar", "pt_BR", "ny_MW"])
def test_other_languages(language):
    words = [f"data.target_language={language}", "data.train_size=2500", "data.test_size=50"]
    data = build_task(config("task=translation", *words)).load_data()
    assert (len(data.train), len(data.test), data.spec.target.language) == (2500, 50, language.split("_")[0])
    assert [target.text for target in data.train.targets[:5]] != data.train.columns["source"].texts[:5]


@pytest.mark.parametrize(
    ("language", "message"), [("german", "Did you mean de"), ("qq", "no such language. There are")]
)
def test_unknown_languages_are_refused(language, message):
    with pytest.raises(UserError, match=message):
        build_task(config("task=translation", f"data.target_language={language}")).load_data()
