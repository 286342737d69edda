"""Phrases in two languages from CLDR, which the package Babel brings along: dates, amounts, units, lists of names."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import partial
from random import Random
from typing import Any

from babel import Locale, dates, lists, numbers, units

Value = tuple[str, ...]
Values = tuple[Value, ...]
Say = Callable[..., str]
"""From the argument `locale` to how that language says a value."""
Draw = Callable[[Random], tuple[Values | None, Say]]


@dataclass(frozen=True)
class Phrase:
    """Values said in two languages: dates, numbers as they are written, names that stand together.

    Whatever says a value, in whichever form, is in one part: a date alone, in a moment or at the end of an interval; a number
    of kilometres, of euros or of weeks.
    """

    kind: str
    values: tuple[Value, ...]
    source: str
    target: str


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
SECONDS = {
    "second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800, "month": 2_592_000, "year": 31_536_000,
}  # fmt: skip

NAMES = ("territories", "languages", "scripts")
MOST_LISTED = 3  # names in a list


class Phrasebook:
    """Draws phrases in two languages."""

    def __init__(self, source: Locale, target: Locale) -> None:
        self.source, self.target = source, target
        # Codes of names that both languages have.
        self.names = {table: sorted({*getattr(source, table)} & {*getattr(target, table)}) for table in NAMES}
        self.kinds: dict[str, Draw] = {
            "date": _date, "moment": _moment, "time": _time, "interval": _interval, "distance": _distance, "unit": _unit,
            "currency": _currency, "number": _number,
        }  # fmt: skip
        self.listed = [table for table in ("territories", "languages") if len(self.names[table]) >= MOST_LISTED]
        if self.listed:
            self.kinds["list"] = self._list

    def draw(self, chance: Random) -> Phrase:
        """A phrase of any kind but a name; kinds that give no values of their own are known by their numbers."""
        kind = chance.choice(list(self.kinds))
        values, say = self.kinds[kind](chance)
        source = say(locale=self.source)
        if values is None:
            values = tuple(("number", digits) for digits in re.findall(r"\d(?:[\d,.]*\d)?", source))
        return Phrase(kind, values, source, say(locale=self.target))

    def all_names(self) -> list[Phrase]:
        """Names of territories, languages and scripts, each alone; of two that are written alike the first."""
        found: dict[str, Phrase] = {}
        for table, codes in self.names.items():
            for code in codes:
                source, target = getattr(self.source, table)[code], getattr(self.target, table)[code]
                found.setdefault(source, Phrase("name", ((table, code),), source, target))
        return list(found.values())

    def _list(self, chance: Random) -> tuple[Values, Say]:
        """Greece or Egypt."""
        table = chance.choice(self.listed)
        names = chance.sample(self.names[table], chance.choice([2, 2, MOST_LISTED]))
        style: Any = chance.choice(["standard", "or"])

        def say(locale: Locale) -> str:
            return lists.format_list([getattr(locale, table)[name] for name in names], style=style, locale=locale)

        return ((table, *sorted(names)),), say


def _date(chance: Random) -> tuple[Values, Say]:
    """May 24, 2000."""
    day, form = _day(chance), chance.choice(["medium", "long", "full"])
    return (("date", day.isoformat()),), partial(dates.format_date, day, form)


def _moment(chance: Random) -> tuple[Values, Say]:
    """May 24, 2000, 5:04 PM."""
    moment = datetime.combine(_day(chance), time(chance.randrange(24), chance.randrange(60)))
    form = chance.choice(["medium", "long"])

    def say(locale: Locale) -> str:
        return f"{dates.format_date(moment, form, locale)}, {dates.format_time(moment, 'short', locale=locale)}"

    return (("date", moment.date().isoformat()),), say


def _time(chance: Random) -> tuple[Values, Say]:
    """5:04:00 PM."""
    moment = time(chance.randrange(24), chance.randrange(60), chance.randrange(60))
    return (("time", moment.isoformat()),), partial(dates.format_time, moment, "medium")


def _interval(chance: Random) -> tuple[Values, Say]:
    """May 24 to Nov 24, 2000."""
    first = _day(chance)
    last = first + timedelta(days=chance.randrange(1, 400))
    values = ("date", first.isoformat()), ("date", last.isoformat())
    return values, partial(dates.format_interval, first, last, "yMMMd")


def _distance(chance: Random) -> tuple[None, Say]:
    """In 3 weeks."""
    unit = chance.choice(list(SECONDS))
    amount = chance.choice([-1, 1]) * chance.randrange(1, 100)
    step = timedelta(seconds=amount * SECONDS[unit])
    # A threshold so high that seconds stay seconds; the others are said in the unit that they fill.
    return None, partial(dates.format_timedelta, step, "second", 1e9 if unit == "second" else 0.9, add_direction=True)


def _unit(chance: Random) -> tuple[None, Say]:
    """64.6 kilometers."""
    return None, partial(units.format_unit, _amount(chance), chance.choice(UNITS), chance.choice(["long", "short"]))


def _currency(chance: Random) -> tuple[None, Say]:
    """$64.60, or 64.60 US dollars."""
    amount, currency = _amount(chance), chance.choice(CURRENCIES)
    form: Any = chance.choice(["standard", "name"])
    return None, partial(numbers.format_currency, amount, currency, format_type=form)


def _number(chance: Random) -> tuple[None, Say]:
    """64,123.6 or 41.3%."""
    number = _amount(chance)
    if chance.random() < 0.3:
        return None, partial(numbers.format_percent, round(number) / 1000, decimal_quantization=False)
    return None, partial(numbers.format_decimal, number)


def _day(chance: Random) -> date:
    return date(1990, 1, 1) + timedelta(days=chance.randrange(365 * 50))


def _amount(chance: Random) -> float:
    digits = chance.randrange(1, 7)
    number = round(chance.uniform(10 ** (digits - 1), 10**digits), chance.choice([0, 0, 1, 2]))
    return int(number) if number.is_integer() else number


def part_of(value: Value, split_seed: int) -> str:
    """The part in which a value is, 70/10/20: a function of the value alone."""
    digest = hashlib.sha256("|".join([str(split_seed), *value]).encode()).digest()
    place = int.from_bytes(digest[:4], "big") % 100
    return "train" if place < 70 else "val" if place < 80 else "test"


def draw_phrases(source: Locale, target: Locale, sizes: dict[str, int], split_seed: int) -> dict[str, list[Phrase]]:
    """Draws phrases until every part is full.

    Names alone are all for training: who has never read a name cannot know it. They come back in lists; a list is held
    out by the names that stand in it together. The sizes count names in train too.

    Returns:
        Part to its phrases; no value is in two parts, and no source twice.
    """
    book, chance = Phrasebook(source, target), Random(split_seed)
    parts: dict[str, list[Phrase]] = {"train": book.all_names()[: sizes["train"]], "val": [], "test": []}
    said = {phrase.source for phrase in parts["train"]}
    while any(len(parts[part]) < sizes[part] for part in parts):
        phrase = book.draw(chance)
        part, *others = {part_of(value, split_seed) for value in phrase.values}
        if others:
            continue  # says values of two parts
        if len(parts[part]) < sizes[part] and phrase.source not in said:
            said.add(phrase.source)
            parts[part].append(phrase)
    return parts
