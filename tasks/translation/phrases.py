"""Phrases in two languages from CLDR, which the package Babel brings along: dates, amounts, units, lists of names."""

import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from babel import Locale, dates, lists, numbers, units


@dataclass(frozen=True)
class Phrase:
    """A value said in two languages.

    Attributes:
        kind: What sort of value.
        value: The value itself; all phrases of a value are in one part.
        source: How the source language says it.
        target: How the target language says it.
    """

    kind: str
    value: tuple[str, ...]
    source: str
    target: str


Drawn = tuple[tuple[str, ...], Callable[[Locale], str]]


def _date(chance: random.Random) -> Drawn:
    day = date(1990, 1, 1) + timedelta(days=chance.randrange(365 * 50))
    form = chance.choice(["medium", "long", "full"])
    return (day.isoformat(),), lambda locale: dates.format_date(day, form, locale)


def _moment(chance: random.Random) -> Drawn:
    day = datetime(1990, 1, 1) + timedelta(minutes=chance.randrange(60 * 24 * 365 * 50))
    form = chance.choice(["medium", "long"])

    def say(locale: Locale) -> str:
        return f"{dates.format_date(day, form, locale)}, {dates.format_time(day, 'short', locale=locale)}"

    return (day.isoformat(),), say


def _time(chance: random.Random) -> Drawn:
    moment = time(chance.randrange(24), chance.randrange(60), chance.randrange(60))
    return (moment.isoformat(),), lambda locale: dates.format_time(moment, "medium", locale=locale)


def _interval(chance: random.Random) -> Drawn:
    first = date(1990, 1, 1) + timedelta(days=chance.randrange(365 * 50))
    last = first + timedelta(days=chance.randrange(1, 400))

    def say(locale: Locale) -> str:
        return dates.format_interval(first, last, "yMMMd", locale=locale)

    return (first.isoformat(), last.isoformat()), say


def _distance(chance: random.Random) -> Drawn:
    unit = chance.choice(["second", "minute", "hour", "day", "week", "month", "year"])
    amount = chance.choice([-1, 1]) * chance.randrange(1, 100)
    seconds = dict(second=1, minute=60, hour=3600, day=86400, week=604800, month=2592000, year=31536000)[unit]

    def say(locale: Locale) -> str:
        step = timedelta(seconds=amount * seconds)
        return dates.format_timedelta(step, granularity="second", threshold=1e9 if unit == "second" else 0.9,
                                      add_direction=True, locale=locale)  # fmt: skip

    return (str(amount), unit), say


def _number(chance: random.Random) -> float:
    digits = chance.randrange(1, 7)
    return round(chance.uniform(10 ** (digits - 1), 10**digits), chance.choice([0, 0, 1, 2]))


def _amount(chance: random.Random) -> Drawn:
    number, unit = _number(chance), chance.choice(UNITS)
    length: Any = chance.choice(["long", "short"])
    return (f"{number!r}", unit), lambda locale: units.format_unit(number, unit, length, locale=locale)


def _money(chance: random.Random) -> Drawn:
    number, currency = _number(chance), chance.choice(CURRENCIES)
    form: Any = chance.choice(["standard", "name"])

    def say(locale: Locale) -> str:
        return numbers.format_currency(number, currency, locale=locale, format_type=form)

    return (f"{number!r}", currency), say


def _decimal(chance: random.Random) -> Drawn:
    number = _number(chance)
    percent = chance.random() < 0.3

    def say(locale: Locale) -> str:
        if percent:
            return numbers.format_percent(round(number) / 1000, locale=locale, decimal_quantization=False)
        return numbers.format_decimal(number, locale=locale)

    return (f"{number!r}",), say


def _list(chance: random.Random) -> Drawn:
    table = chance.choice(["territories", "languages"])
    names = [chance.choice(NAMES[table]) for _ in range(chance.choice([2, 2, 3]))]
    style: Any = chance.choice(["standard", "or"])

    def say(locale: Locale) -> str:
        return lists.format_list([getattr(locale, table)[name] for name in names], style=style, locale=locale)

    return (table, *names), say


UNITS = [
    "length-kilometer", "length-meter", "length-centimeter", "length-mile", "length-foot", "mass-kilogram", "mass-gram",
    "mass-pound", "mass-ounce", "volume-liter", "volume-milliliter", "volume-cubic-meter", "area-square-meter",
    "area-hectare", "duration-hour", "duration-minute", "duration-second", "duration-day", "duration-week",
    "duration-year", "speed-kilometer-per-hour", "speed-mile-per-hour", "temperature-celsius", "digital-byte",
    "digital-megabyte", "digital-gigabyte", "energy-kilowatt-hour", "energy-calorie", "power-watt", "angle-degree",
    "electric-volt", "frequency-hertz", "pressure-bar",
]  # fmt: skip
CURRENCIES = ["EUR", "USD", "GBP", "JPY", "CHF", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "CAD", "AUD", "INR", "CNY",
              "BRL", "MXN", "ZAR", "KRW", "TRY"]  # fmt: skip
NAMES: dict[str, list[str]] = {"territories": [], "languages": [], "scripts": []}
KINDS: dict[str, Callable[[random.Random], Drawn]] = {
    "date": _date,
    "moment": _moment,
    "time": _time,
    "interval": _interval,
    "distance": _distance,
    "unit": _amount,
    "currency": _money,
    "number": _decimal,
    "list": _list,
}


def part_of(kind: str, value: tuple[str, ...], split_seed: int) -> str:
    """The part in which all phrases of a value are: a function of the value alone."""
    digest = hashlib.sha256(f"{split_seed}|{kind}|{'|'.join(value)}".encode()).digest()
    place = int.from_bytes(digest[:4], "big") % 100
    return "train" if place < 70 else "val" if place < 80 else "test"  # 70/10/20


def name_phrases(source: Locale, target: Locale) -> Iterator[Phrase]:
    """Names of territories, languages and scripts; who has not read them cannot know them, so all are for training."""
    for table in NAMES:
        theirs, ours = getattr(source, table), getattr(target, table)
        for code in sorted(set(theirs) & set(ours)):
            yield Phrase("name", (table, code), theirs[code], ours[code])


def draw_phrases(target_language: str, sizes: dict[str, int], split_seed: int) -> dict[str, list[Phrase]]:
    """Draws phrases until every part is full.

    Args:
        target_language: A CLDR language, such as de or pt_BR; the source is English.
        sizes: Phrases of train, val and test, names in train included.
        split_seed: Chooses values and their parts.

    Returns:
        Part to its phrases; none is in two parts, nor is a value.
    """
    source, target = Locale("en"), Locale.parse(target_language)
    names = list(name_phrases(source, target))
    for table in NAMES:
        NAMES[table] = [phrase.value[1] for phrase in names if phrase.value[0] == table]
    chance = random.Random(split_seed)
    parts: dict[str, list[Phrase]] = {"train": names[: sizes["train"]], "val": [], "test": []}
    home: dict[str, str] = {phrase.source: "train" for phrase in names}
    kinds = list(KINDS)
    while any(len(parts[part]) < sizes[part] for part in parts):
        kind = chance.choice(kinds)
        value, say = KINDS[kind](chance)
        part = part_of(kind, value, split_seed)
        phrase = Phrase(kind, value, say(source), say(target))
        if len(parts[part]) < sizes[part] and phrase.source not in home:
            home[phrase.source] = part
            parts[part].append(phrase)
    return parts
