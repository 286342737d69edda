"""Numbers that are written with a unit: `12 kWh`, `5 €`, `3%`, `1.2k`."""

import re
from collections.abc import Mapping

from mla_train.data.tables.cells import as_text

CURRENCY = r"[€$£¥₹]|EUR|USD|GBP|CHF"
UNIT = re.compile(
    rf"(?P<sign>[-+]?)(?P<before>{CURRENCY})?\s*(?P<number>[-+]?[\d.,](?:[\d.,'\s]*\d)?[.,]?(?:[eE][-+]?\d+)?)\s*"
    r"(?P<behind>[%‰€$£¥₹]|°?[^\W\d_]{1,5}(?:/[^\W\d_]{1,4})?[²³]?|m[23])?"
)
MULTIPLES = {"k": 1e3, "K": 1e3, "M": 1e6}
"""Letters that multiply a number."""
FEW = 3
"""Units of a column of numbers; more of them are words."""


def numbers_and_units(counts: Mapping[str, int]) -> tuple[dict[str, str], dict[str, str]]:
    """The number and the unit of each text, by how often it occurs; a text that is no number with a unit stays as it is.

    A unit that most texts lack is none, but a letter that multiplies.
    """
    numbers, units = {}, {}
    for text in counts:
        match = UNIT.fullmatch(text)
        unit = (match["before"] or match["behind"] or "") if match and not (match["before"] and match["behind"]) else ""
        numbers[text] = match["sign"] + match["number"].strip() if match and unit else text
        units[text] = unit
    if 2 * sum(count for text, count in counts.items() if units[text]) < sum(counts.values()):
        numbers = {text: number if units[text] in MULTIPLES else text for text, number in numbers.items()}
        units = {text: unit if unit in MULTIPLES else "" for text, unit in units.items()}
    return numbers, units


def factors_of(name: str, units: set[str], bare: set[str], notes: list[str]) -> dict[str, float] | None:
    """By what the numbers of each unit are multiplied; None where units differ, so that the column holds words.

    Args:
        name: Name of the column and of its file, for messages.
        units: Units of the column; an empty one is that of bare numbers.
        bare: Texts without a unit.
        notes: Lines for the user; what became of units is added.
    """
    named = sorted(filter(None, units))
    factors = {"": 1.0} | dict.fromkeys(named, 1.0)
    if not named:
        return factors
    if all(unit in MULTIPLES for unit in named):
        shown = " and ".join(f"{unit} as {MULTIPLES[unit]:,.0f}" for unit in named)
        notes.append(f"{name} is read with {shown}")
        return factors | {unit: MULTIPLES[unit] for unit in named}
    if len(named) == 1:
        beside = f", also where it is not written, as in {as_text(min(bare))}" if bare else ""
        notes.append(f"{name} is read without its unit {named[0]}{beside}")
        return factors
    if len(named) <= FEW:
        notes.append(
            f"{name} has numbers in different units ({', '.join(named)}), so that it is read as words: convert them"
        )
    return None
