"""Bundled data: phrases of CLDR in English and another language."""

from difflib import get_close_matches

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
        from babel import Locale

        from tasks.translation.phrases import draw_phrases
    except ImportError as error:
        raise UserError(
            "data=cldr_phrases reads the package Babel, which is not installed: pip install babel"
        ) from error
    sizes = {split: getattr(options, f"{split}_size") for split in SPLITS}
    target = Locale.parse(_locale_name(options.target_language))
    splits = {}
    for split, phrases in draw_phrases(Locale("en"), target, sizes, options.split_seed).items():
        splits[split] = Examples({"source": [each.source for each in phrases]}, [each.target for each in phrases])
    return RawData(splits)


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
