"""Twenty English words spoken by synthetic voices of espeak-ng, which ships in the package espeakng-loader.

As in recordings of single words a recording has one second, the word is anywhere in it, and there is noise. The library is
GPL-3: it is called in a process of its own, and nothing of it is kept here.
"""

import base64
import io
import json
import subprocess
import sys
import wave
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np

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
SPEEDS = 140, 200
"""Words a minute."""
LOUDER = 5.0, 25.0
"""By how many decibels words are louder than the noise."""


def read_synthetic(options: SyntheticWordsConfig) -> RawData:
    """Each word by each voice at each speed as bytes of a wav file; voices are the groups that stay in one split.

    Raises:
        UserError: The package espeakng-loader is missing.
    """
    if find_spec("espeakng_loader") is None:
        raise UserError(f"data={options.name} is spoken by the package espeakng-loader: pip install espeakng-loader")
    spoken = list(product(VOICES, WORDS, SPEEDS))
    examples = Examples(
        {"audio": cached(record)(VOICES, list(WORDS), list(SPEEDS))},
        [word for _, word, _ in spoken],
        [f"{voice} {word} {speed}" for voice, word, speed in spoken],
        groups=[voice for voice, _, _ in spoken],
    )
    note = (
        f"synthetic speech: {len(WORDS)} words at {len(SPEEDS)} speeds by {len(VOICES)} voices of espeak-ng, each voice in one "
        "split, with noise"
    )
    return RawData({"train": examples}, [note])


def record(voices: Sequence[str], words: Sequence[str], speeds: Sequence[int]) -> list[bytes]:
    """Recordings of one second as wav files, with the word somewhere in it, and noise."""
    command = [
        sys.executable,
        str(Path(__file__).with_name("espeak.py")),
    ]  # the library keeps a state from word to word
    asked = json.dumps([voices, words, speeds])
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"espeak-ng does not speak: {done.stderr.strip().splitlines()[-1:]}")
    rate, spoken = json.loads(done.stdout)
    generator = np.random.default_rng(0)
    return [_recording(np.frombuffer(base64.b64decode(each), np.int16), rate, generator) for each in spoken]


def _recording(word: np.ndarray, rate: int, generator: np.random.Generator) -> bytes:
    word = word[:rate].astype(np.float64)
    samples = _noise(rate, generator) * word.std() * 10 ** (-generator.uniform(*LOUDER) / 20)
    start = generator.integers(rate - len(word) + 1)
    samples[start : start + len(word)] += word
    samples *= 0.9 * 2**15 / np.abs(samples).max()
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.round().astype("<i2").tobytes())
    return stream.getvalue()


def _noise(count: int, generator: np.random.Generator) -> np.ndarray:
    """Pink noise of standard deviation 1: as in rooms, less of it is high."""
    waves = np.fft.rfft(generator.standard_normal(count))
    noise = np.fft.irfft(waves / np.sqrt(1 + np.arange(len(waves))), count)
    return noise / noise.std()
