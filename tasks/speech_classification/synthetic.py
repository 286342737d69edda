"""Twenty English words spoken by synthetic voices of espeak-ng, which ships in the package espeakng-loader.

The library is GPL-3: it is called in a process of its own, and nothing of it is kept here.
"""

import base64
import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from mla_train.data.cache import cached
from mla_train.data.examples import Examples, RawData
from mla_train.errors import UserError
from tasks.speech_classification.config import SyntheticWordsConfig

WORDS = (
    "yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go",
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
)  # fmt: skip
ACCENTS = "en-us", "en", "en-gb-scotland", "en-gb-x-rp", "en-029", "en-us-nyc", "en-gb-x-gbclan", "en-gb-x-gbcwmd"
SPEAKERS = (
    "Alex", "Alicia", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Henrique", "Hugo", "Jacky", "Lee", "Marco",
    "Mario", "Michael", "Mike", "Nguyen", "Reed", "adam", "anika", "announcer", "antonio", "aunty", "belinda", "benjamin",
    "boris", "david", "ed", "edward", "f1", "f2", "f3", "f4", "f5", "grandma", "grandpa", "gustave", "john", "linda", "m1",
    "m2", "m3", "m4", "m5", "m6", "m7", "m8", "max", "michel", "miguel", "paul", "quincy", "steph",
)  # fmt: skip
VOICES = [f"{ACCENTS[place % len(ACCENTS)]}+{speaker}" for place, speaker in enumerate(SPEAKERS)]
"""Voices of espeak-ng: an accent and a speaker."""


def read_synthetic(options: SyntheticWordsConfig) -> RawData:
    """Each word by each voice as bytes of a wav file; the voices are the groups that stay in one split.

    Raises:
        UserError: The package espeakng-loader is missing.
    """
    if find_spec("espeakng_loader") is None:
        raise UserError(f"data={options.name} is spoken by the package espeakng-loader: pip install espeakng-loader")
    files = cached(speak)(VOICES, list(WORDS))
    pairs = [(voice, word) for voice in VOICES for word in WORDS]
    examples = Examples(
        {"audio": files},
        [word for _, word in pairs],
        [f"{voice} {word}" for voice, word in pairs],
        groups=[voice for voice, _ in pairs],
    )
    note = f"synthetic speech: {len(WORDS)} words by {len(VOICES)} voices of espeak-ng, each voice in one split"
    return RawData({"train": examples}, [note])


def speak(voices: Sequence[str], words: Sequence[str]) -> list[bytes]:
    """Each word by each voice as a wav file; in a process of its own, as the library keeps a state from word to word."""
    asked = json.dumps([voices, words])
    command = [sys.executable, str(Path(__file__).with_name("espeak.py"))]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"espeak-ng cannot speak: {done.stderr.strip().splitlines()[-1:]}")
    return [base64.b64decode(file) for file in json.loads(done.stdout)]
