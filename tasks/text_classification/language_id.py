"""Bundled data: messages of Django's translation catalogs in 20 languages."""

import gettext
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from mla_train.data.examples import Examples, RawData
from mla_train.data.splits import SPLITS
from mla_train.errors import UserError
from mla_train.modalities.text import clean
from tasks.text_classification.config import LanguageIdConfig

# Twenty languages in Latin letters, near relatives among them.
LANGUAGES = ["ca", "cs", "da", "de", "en", "es", "et", "fi", "fr", "hr", "hu", "it", "lt", "nb", "nl", "pl", "pt", "ro",
             "sk", "sv"]  # fmt: skip


def read_language_id(options: LanguageIdConfig) -> RawData:
    """Messages in 20 languages, split 70/10/20 by message: no message's translation is in two splits."""
    spec = find_spec("django")
    if spec is None or spec.origin is None:
        raise UserError("data=language_id reads the catalogs of the package django: pip install -e '.[demo]'")
    messages = read_catalogs(Path(spec.origin).parent)
    identities = sorted({identity for catalog in messages.values() for identity in catalog})
    order = np.random.default_rng(options.split_seed).permutation(len(identities))
    bounds = (np.array([0.7, 0.8]) * len(identities)).astype(int)
    parts = zip(SPLITS, np.split(order, bounds), strict=True)
    split_of = {identities[i]: split for split, places in parts for i in places}
    splits = {split: Examples({"text": []}, [], groups=[]) for split in SPLITS}  # the translations of a message
    for language in LANGUAGES:
        # A text with several identities belongs to the split of the first.
        known: set[str] = set()
        for identity, text in sorted(messages[language].items()):
            text = clean(text)
            if len(text) >= options.min_characters and text not in known:
                known.add(text)
                splits[split_of[identity]].inputs["text"].append(text)
                splits[split_of[identity]].targets.append(language)
                splits[split_of[identity]].groups.append(identity)  # type: ignore[union-attr]
    return RawData(splits)


def read_catalogs(package: Path) -> dict[str, dict[str, str]]:
    """Language to its messages by their identity, the English original; untranslated ones are left out."""
    messages: dict[str, dict[str, str]] = {language: {} for language in LANGUAGES}
    locales = sorted(package.glob("**/locale"))
    for language in LANGUAGES:
        for file in (locale / language / "LC_MESSAGES" / "django.mo" for locale in locales):
            if not file.is_file():
                continue
            with file.open("rb") as stream:
                catalog = gettext.GNUTranslations(stream)._catalog  # type: ignore[attr-defined]
            for identity, text in catalog.items():
                identity = identity[0] if isinstance(identity, tuple) else identity
                identity = identity.rpartition("\x04")[2]
                if identity and text and text != identity:
                    messages[language].setdefault(identity, text)
    messages["en"] = {identity: identity for catalog in messages.values() for identity in catalog}
    return messages
