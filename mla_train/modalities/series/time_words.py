"""Words in times: months and weekdays of several languages, zones, noon and midnight as 24:00."""

import re
from unicodedata import normalize

import pandas as pd

from mla_train.errors import UserError

MONTHS = (
    ("jan", "january januar janvier enero ene gennaio gen januari janeiro jän jänner janv sty styczen styczeń"),
    ("feb", "february februar février fév févr febrero febbraio februari fevereiro fev luty"),
    ("mar", "march märz mrz mär mars marzo maart mrt março marz marzec"),
    ("apr", "april avril avr abril abr aprile kwi kwiecien kwiecień"),
    ("may", "mai mayo maggio mag mei maio maj"),
    ("jun", "june juni juin junio giugno giu junho czerwiec"),
    ("jul", "july juli juillet juil julio luglio lug julho lipiec"),
    ("aug", "august août aoû agosto ago augustus sierpien sierpień"),
    ("sep", "sept september septembre septiembre set settembre setembro wrzesien wrzesień"),
    ("oct", "october oktober okt octobre octubre ottobre ott outubro out october pazdziernik październik"),
    ("nov", "november novembre noviembre novembro listopad"),
    ("dec", "december dezember dez décembre déc diciembre dic dicembre dezembro grudzien grudzień"),
)
"""English months, and how other languages call them: German, French, Spanish, Italian, Dutch, Portuguese, Polish."""
WEEKDAYS = """mon tue wed thu fri sat sun monday tuesday wednesday thursday friday saturday sunday tues thur thurs
    mo di mi do fr sa so montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag
    lun mar mer jeu ven sam dim lundi mardi mercredi jeudi vendredi samedi dimanche
    lunes martes miércoles mié jueves jue viernes vie sábado sáb domingo dom
    lunedì martedì mercoledì giovedì gio venerdì sabato sab domenica maandag dinsdag woensdag donderdag vrijdag zaterdag zondag"""
ZONES = {
    "UTC": 0, "GMT": 0, "Z": 0, "WET": 0, "WEST": 1, "CET": 1, "CEST": 2, "MEZ": 1, "MESZ": 2, "EET": 2, "EEST": 3, "MSK": 3,
    "EST": -5, "EDT": -4, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "JST": 9, "KST": 9, "AEST": 10, "AEDT": 11,
}  # fmt: skip
"""Hours before universal time of zones whose short name has one meaning in use."""
SEVERAL_ZONES = ("CST", "IST", "BST", "AST", "SST", "ECT")


def _plain(word: str) -> str:
    """A word in small letters without accents."""
    return normalize("NFKD", word.lower()).encode("ascii", "ignore").decode()


ENGLISH = {_plain(word): english.capitalize() for english, words in MONTHS for word in (english, *words.split())}
DAYS = {_plain(word) for word in WEEKDAYS.split()}
LAST_YEAR = 40  # of two digits in this century; data is of the past, but for a few years
LONGEST = 100  # characters of a time; in longer texts the expressions below would take long
LEADING_WORD = re.compile(r"^([^\W\d_]{2,})\.?,?\s+(?=\S)")


def full_year(digits: str) -> str:
    """A year of four digits: of two, 41 to 99 are of the last century."""
    return digits if len(digits) > 2 else f"{2000 + int(digits) if int(digits) <= LAST_YEAR else 1900 + int(digits)}"


def in_english(text: str) -> str:
    """A time with English months and without a weekday before it: Mo., 1. März 2024 as 1 Mar 2024."""
    if len(text) > LONGEST:
        return text
    leading = LEADING_WORD.match(text)
    if (
        leading
        and _plain(leading[1]) in DAYS
        and (_plain(leading[1]) not in ENGLISH or ENGLISH.keys() & _words(text[leading.end() :]))
    ):
        text = text[leading.end() :]
    text = re.sub(r"^(\d{1,2}:\d\d(?::\d\d)?)\s+(.*\d)$", r"\2 \1", text)  # the time of day behind the date
    text = re.sub(r"(?<=/\d{4}):(?=\d\d:)", " ", text)  # as logs of servers have it
    text = re.sub(r"(?<=\d)\.(?=\s*[^\W\d_]{3})", " ", text)
    text = re.sub(r"\b(?:de|del|of|le|den|the)\s|\buhr\b", "", text, flags=re.IGNORECASE)
    text = re.sub(r"(?<=\d)(?:st|nd|rd|th|er|º|ª)\b", "", text)
    text = re.sub(r"([^\W\d_]{3,})\.?", lambda word: ENGLISH.get(_plain(word[1]), word[0]), text)
    bare = re.fullmatch(r"([A-Z][a-z]{2})[-/ ,.']+(\d{2})", text)  # Jan-24 as spreadsheets write months
    if bare and bare[1] in ENGLISH.values():
        return f"1 {bare[1]} {full_year(bare[2])}"
    text = re.sub(
        r"^(\d{1,2}[-/ .]+[A-Z][a-z]{2}[-/ .,']+)(\d\d)(?=$|[ T,])", lambda date: date[1] + full_year(date[2]), text
    )
    return re.sub(r"\s+", " ", text.replace(",", ", ")).strip()


def _words(text: str) -> set[str]:
    return {_plain(word) for word in re.findall(r"[^\W\d_]{3,}", text)}


def _offset(zone: re.Match[str]) -> str:
    return f" {zone[1]}{int(zone[2]):02}:{zone[3] or '00'}"


def with_offsets(texts: pd.Series, where: str) -> pd.Series:
    """Times whose zones are offsets: 12:00 CET as 12:00 +01:00; a UserError where the name of a zone has several meanings."""
    texts = texts.str.replace(r"\[[\w/+-]+\]$|\s+\([\w ]+\)$|\s*[Uu]hr$", "", regex=True)
    # Else they would be read as POSIX means them, with the sign turned round.
    texts = texts.str.replace(r"\s*(?:GMT|UTC)\s*([+-])(\d{1,2})(?::?(\d\d))?$", _offset, regex=True)
    zones = texts.str.extract(r"\d\s*([A-Z]{1,5})$")[0]
    unclear = zones.isin(SEVERAL_ZONES)
    if unclear.any():
        row = int(unclear.to_numpy().argmax())
        raise UserError(
            f"{where}: the zone {zones.iloc[row]} of {texts.iloc[row]!r} has several meanings: write the offset, such as +02:00"
        )
    if not zones.isin(ZONES).any():
        return texts
    offsets = zones.map(lambda zone: f"{ZONES[zone]:+03d}:00" if zone in ZONES else "")
    return texts.where(~zones.isin(ZONES), texts.str.replace(r"\s*[A-Z]{1,5}$", "", regex=True) + offsets)
