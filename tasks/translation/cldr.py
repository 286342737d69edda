"""Bundled data: phrases of CLDR in English and another language."""

from difflib import get_close_matches
from pathlib import Path

from mla_train.data.cache import cached
from mla_train.data.examples import Examples, RawData
from mla_train.data.splits import SPLITS
from mla_train.errors import UserError
from tasks.translation.config import CldrPhrasesConfig


def read_cldr_phrases(options: CldrPhrasesConfig) -> RawData:
    """Dates, amounts, lists and names from the package Babel; no value is in two splits.

    Raises:
        UserError: The package is not installed, or knows no such language.
    """
    try:
        import babel

        from tasks.translation import phrases
    except ImportError as error:
        raise UserError(
            "data=cldr_phrases reads the package Babel, which is not installed: pip install babel"
        ) from error
    sizes = {split: getattr(options, f"{split}_size") for split in SPLITS}
    # What is drawn depends on the data of Babel and the code that draws: both are part of the key.
    key = f"{babel.__version__} {Path(phrases.__file__).read_text()}"
    drawn = cached(draw_pairs)(_locale_name(options.target_language or "de"), sizes, options.split_seed, key)
    return RawData({split: Examples({"source": sources}, targets) for split, (sources, targets) in drawn.items()})


def draw_pairs(
    language: str, sizes: dict[str, int], split_seed: int, key: str
) -> dict[str, tuple[list[str], list[str]]]:
    """Sources and targets of each split, see `phrases.draw_phrases`; the key tells versions apart in the cache."""
    from babel import Locale

    from tasks.translation.phrases import draw_phrases

    drawn = draw_phrases(Locale("en"), Locale.parse(language), sizes, split_seed)
    return {
        split: ([each.source for each in phrases], [each.target for each in phrases])
        for split, phrases in drawn.items()
    }


def _locale_name(language: str) -> str:
    import babel
    from babel.localedata import locale_identifiers

    known = locale_identifiers()
    try:
        return str(babel.Locale.parse(language, sep="-" if "-" in language else "_"))
    except (ValueError, babel.UnknownLocaleError) as error:
        names = babel.Locale("en").languages
        near = [code for code, name in names.items() if name.lower() == language.lower()]
        near = near or get_close_matches(language, known, 3)
        hint = f"Did you mean {', '.join(near)}? " if near else ""
        raise UserError(
            f"data.target_language={language}: CLDR has no such language. {hint}There are {len(known)}, written like de, fr "
            "or pt_BR"
        ) from error
