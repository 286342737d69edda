"""Bundled data: phrases of CLDR in English and another language."""

from difflib import get_close_matches

from mla_train.errors import UserError
from tasks.translation.config import CldrPhrasesDataConfig
from tasks.translation.data import PairData, PairSplit, clean


class CldrPhrasesData(PairData):
    """Dates, amounts, lists and names from the package Babel; no value is in two parts."""

    def setup(self) -> None:
        """Draws the phrases.

        Raises:
            UserError: The package is not installed, or knows no such language.
        """
        options = self.config.data
        assert isinstance(options, CldrPhrasesDataConfig)
        sizes = {"train": options.train_size, "val": options.val_size, "test": options.test_size}
        parts = read_phrases(_checked(options.target_language), sizes, options.split_seed)
        self.finish({part: PairSplit(*sides) for part, sides in parts.items()})


def _checked(language: str) -> str:
    try:
        import babel
        from babel.localedata import locale_identifiers
    except ImportError as error:
        raise UserError(
            "data=cldr_phrases reads the package Babel, which is not installed: pip install babel"
        ) from error
    known = locale_identifiers()
    try:
        return str(babel.Locale.parse(language, sep="-" if "-" in language else "_"))
    except (ValueError, babel.UnknownLocaleError) as error:
        names = babel.Locale("en").languages
        near = [code for code, name in names.items() if name.lower() == language.lower()]
        near = near or get_close_matches(language, known, 3)
        raise UserError(
            f"data.target_language={language}: CLDR has no such language. "
            + (f"Did you mean {', '.join(near)}? " if near else "")
            + f"There are {len(known)}, written like de, fr or pt_BR"
        ) from error


def read_phrases(language: str, sizes: dict[str, int], split_seed: int) -> dict[str, tuple[list[str], list[str]]]:
    """Sources and targets of each part.

    Args:
        language: Of the targets.
        sizes: Phrases of train, val and test.
        split_seed: Chooses values and their parts.
    """
    from babel import Locale

    from tasks.translation.phrases import draw_phrases

    parts = draw_phrases(Locale("en"), Locale.parse(language), sizes, split_seed)
    return {
        part: ([clean(phrase.source) for phrase in phrases], [clean(phrase.target) for phrase in phrases])
        for part, phrases in parts.items()
    }
