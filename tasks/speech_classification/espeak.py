"""Speaks words with espeak-ng: a program that reads `[voices, words]` as JSON and writes a list of wav files in base64.

It is the same in each process: the noise of voices comes from a generator that is seeded, and the order is fixed.
"""

import base64
import ctypes
import io
import json
import sys
import wave
from typing import Any

SYNCHRONOUS, UTF8 = 2, 1  # espeak_AUDIO_OUTPUT, and flags of espeak_Synth
Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def speak(voices: list[str], words: list[str]) -> list[bytes]:
    """Each word by each voice as a wav file."""
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
    files = []
    for voice in voices:
        if library.espeak_SetVoiceByName(voice.encode()):
            sys.exit(f"there is no voice {voice}")
        for word in words:
            pieces.clear()
            text = word.encode() + b"\0"
            library.espeak_Synth(text, len(text), 0, 1, 0, UTF8, None, None)
            files.append(_wav(b"".join(pieces), rate))
    return files


def _wav(samples: bytes, rate: int) -> bytes:
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples)
    return stream.getvalue()


if __name__ == "__main__":
    print(json.dumps([base64.b64encode(file).decode() for file in speak(*json.load(sys.stdin))]))
