"""Speaks words with espeak-ng: a program that reads `[voices, words, speeds]` as JSON and writes samples in base64.

It is the same in each process: the noise of voices comes from a generator that is seeded, and the order is fixed.
"""

import base64
import ctypes
import json
import sys
from itertools import product
from typing import Any

SYNCHRONOUS, UTF8, RATE = 2, 1, 1  # espeak_AUDIO_OUTPUT, flags of espeak_Synth, espeak_PARAMETER
Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def speak(voices: list[str], words: list[str], speeds: list[int]) -> tuple[int, list[bytes]]:
    """Samples a second, and those of each word by each voice at each speed (words a minute) as 16-bit numbers."""
    import espeakng_loader

    library: Any = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = library.espeak_Initialize(SYNCHRONOUS, 0, str(espeakng_loader.get_data_path()).encode(), 0)
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))
    pieces: list[bytes] = []

    @Callback
    def keep(samples: Any, count: int, _: Any) -> int:
        if samples and count > 0:
            pieces.append(ctypes.string_at(samples, 2 * count))
        return 0

    library.espeak_SetSynthCallback(keep)
    spoken = []
    for voice in voices:
        if library.espeak_SetVoiceByName(voice.encode()):
            sys.exit(f"there is no voice {voice}")
        for word, speed in product(words, speeds):
            library.espeak_SetParameter(RATE, speed, 0)
            pieces.clear()
            text = word.encode() + b"\0"
            library.espeak_Synth(text, len(text), 0, 1, 0, UTF8, None, None)
            spoken.append(b"".join(pieces))
    return rate, spoken


if __name__ == "__main__":
    sample_rate, samples = speak(*json.load(sys.stdin))
    print(json.dumps([sample_rate, [base64.b64encode(each).decode() for each in samples]]))
