"""Which language is it? Messages of Django's translation catalogs, which the package brings along."""

import gettext
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from mla_train.data.texts import clean
from mla_train.errors import UserError
from tasks.text_classification.config import LanguageIdDataConfig
from tasks.text_classification.data import TextData, TextSplit

# Twenty languages in Latin letters, near relatives among them.
LANGUAGES = [
    "ca",
    "cs",
    "da",
    "de",
    "en",
    "es",
    "et",
    "fi",
    "fr",
    "hr",
    "hu",
    "it",
    "lt",
    "nb",
    "nl",
    "pl",
    "pt",
    "ro",
    "sk",
    "sv",
]


class LanguageIdData(TextData):
    """Messages in 20 languages, split 70/10/20 by message: no message's translation is in two parts."""

    def setup(self) -> None:
        """Reads the catalogs of the installed package, without importing it.

        Raises:
            UserError: The package is not installed.
        """
        options = self.config.data
        assert isinstance(options, LanguageIdDataConfig)
        spec = find_spec("django")
        if spec is None or spec.origin is None:
            raise UserError("data=language_id reads the catalogs of the package django; install it (extra: demo)")
        messages = read_catalogs(Path(spec.origin).parent)
        identities = sorted({identity for found in messages.values() for identity in found})
        order = np.random.default_rng(options.split_seed).permutation(len(identities))
        bounds = (np.array([0.7, 0.8]) * len(identities)).astype(int)
        home = {
            identities[i]: part
            for part, chosen in zip(("train", "val", "test"), np.split(order, bounds), strict=True)
            for i in chosen
        }
        # A text that stands under several identities goes where the first of them is.
        rows: dict[str, list[tuple[str, int]]] = {"train": [], "val": [], "test": []}
        for number, language in enumerate(LANGUAGES):
            seen: set[str] = set()
            for identity, text in sorted(messages[language].items()):
                text = clean(text)
                if len(text) >= options.min_characters and text not in seen:
                    seen.add(text)
                    rows[home[identity]].append((text, number))
        parts = {
            part: TextSplit([text for text, _ in found], np.array([label for _, label in found]))
            for part, found in rows.items()
        }
        self.finish(self.without_waste(parts), LANGUAGES)


def read_catalogs(package: Path) -> dict[str, dict[str, str]]:
    """Language to its messages by their identity, the English original; untranslated ones are left out.

    Args:
        package: Folder of the installed django.
    """
    messages: dict[str, dict[str, str]] = {language: {} for language in LANGUAGES}
    for language in LANGUAGES:
        for file in sorted(package.glob(f"**/locale/{language}/LC_MESSAGES/django.mo")):
            with file.open("rb") as stream:
                catalog = gettext.GNUTranslations(stream)._catalog  # type: ignore[attr-defined]
            for identity, text in catalog.items():
                identity = identity[0] if isinstance(identity, tuple) else identity
                identity = identity.rpartition("\x04")[2]
                if identity and text and text != identity:
                    messages[language].setdefault(identity, text)
    messages["en"] = {identity: identity for found in messages.values() for identity in found}
    return messages
