"""Predicts with the exported model of this folder and prints a JSON record for each example.

    python infer_onnx.py "a text" "another"
    python infer_onnx.py digit.png
    python infer_onnx.py word.wav
    python infer_onnx.py load.csv
    python infer_onnx.py "Heat (1995) | Casino (1995)"
    python infer_onnx.py '{"text": "so nice", "image": "cat.png"}' examples.jsonl

Several inputs, and arrays of numbers, are written as JSON, in the argument or line by line in a .jsonl file. It needs
onnxruntime and numpy; tokenizers for texts, Pillow for images, soundfile for recordings; for forecasts the file
series_table.py beside it, for recommendations item_histories.py.
"""

import json
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from hashlib import sha256
from itertools import pairwise
from math import ceil
from os.path import isfile
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime import InferenceSession, SessionOptions

UNKNOWN, START, END = 1, 2, 3  # token numbers
FRAMES = 4  # of a spectrogram in a token
RECORDINGS = "WAV", "WAVEX", "RF64", "AIFF", "FLAC", "OGG", "MP3"
SEPARATOR = "\N{SYMBOL FOR RECORD SEPARATOR}"  # between the texts of a pair
Arrays = dict[str, np.ndarray]
Spec = dict[str, Any]


class Model:
    """The model of a folder that holds spec.json, config.json and graphs.

    Args:
        folder: The folder.
        threads: Number of threads; 0 is one a core.
    """

    def __init__(self, folder: str | Path, threads: int = 0) -> None:
        check_whole(Path(folder))
        spec, config = (json.loads((Path(folder) / f"{name}.json").read_text("utf-8")) for name in ("spec", "config"))
        self.head, self.options = spec["head"], config["task"]
        self.inputs = {name: {**self.options, **each} for name, each in spec["inputs"].items()}
        session = SessionOptions()
        session.intra_op_num_threads = threads
        self.graphs = {file.stem: InferenceSession(file, session) for file in Path(folder).glob("*.onnx")}

    def predict(self, examples: Sequence[Any]) -> list[Spec]:
        """A record for each example: a mapping from inputs to raw values, or the value itself of a single input."""
        rows = [self._named(example) for example in examples]
        tensors = {
            f"{name}.{field}": array
            for name, spec in self.inputs.items()
            for field, array in READERS[spec["kind"]]([row.get(name) for row in rows], spec).items()
        }
        if self.head["kind"] == "ranking":
            from item_histories import best_items

            name = self.head["history"]
            probabilities = self.run("model", tensors)["probability"]
            return [
                best_items(*pair, self.inputs[name])
                for pair in zip(probabilities, [row[name] for row in rows], strict=True)
            ]
        if self.head["kind"] != "generation":
            return answers(self.run("model", tensors), self.head, self.options)
        return [self.write({k: v[place : place + 1] for k, v in tensors.items()}) for place in range(len(rows))]

    def _named(self, example: Any) -> Spec:
        names = ", ".join(self.inputs)
        if not isinstance(example, dict) and len(self.inputs) == 1:
            example = dict.fromkeys(self.inputs, example)
        if not isinstance(example, dict) or example.keys() - self.inputs.keys():
            raise ValueError(f"an example is a JSON object with {names}, of which some may be missing")
        if self.head["kind"] != "ranking" and all(
            value is None or (isinstance(value, str) and not value.strip()) for value in example.values()
        ):
            raise ValueError(f"an example has no {names}")
        return example

    def run(self, graph: str, tensors: Arrays) -> Arrays:
        """Outputs of a graph by name."""
        session = self.graphs[graph]
        outputs = session.run(None, {each.name: tensors[each.name] for each in session.get_inputs()})
        return dict(zip([each.name for each in session.get_outputs()], outputs, strict=True))

    def write(self, tensors: Arrays) -> Spec:
        """The text of one example: the most probable token, one after the other."""
        step = self.run("encoder", tensors)
        growth, read = self.head["growth"], int((~step["padding"]).sum())
        limit = self.head["max_length"] + 1 if growth is None else int(growth * read) + 10
        least, most = self.options["min_tokens"], self.options["max_tokens"]
        limit = max(least + 1, limit if most is None else min(limit, most + 1))
        for each in self.graphs["decoder_step"].get_inputs():
            if each.name.startswith("states"):  # of no token yet
                step[each.name] = np.zeros([1, *(n if isinstance(n, int) else 0 for n in each.shape[1:])], np.float32)
        tokens, score = [START], 0.0
        while tokens[-1] != END:
            outputs = self.run("decoder_step", step | {"tokens": np.array(tokens[-1:])})
            row = outputs["log_probabilities"][0]
            if len(tokens) <= least:
                row[END] = -np.inf
            tokens.append(END if len(tokens) == limit else int(row.argmax()))
            score += float(row[tokens[-1]])
            step |= {name.removeprefix("next_"): states for name, states in outputs.items()}
        shared = self.head["shared_with"]
        tokenizer = load_tokenizer(self.inputs[shared]["tokenizer"] if shared else self.head["tokenizer"])
        score /= (len(tokens) - 1) ** self.options["length_penalty"]
        return {"prediction": tokenizer.decode(tokens[1:-1]), "score": round(score, 4)}


def check_whole(folder: Path) -> None:
    """Raises a ValueError where a file is not as it was written: SHA256SUMS has a line for each content that it may have."""
    sums = folder / "SHA256SUMS"
    known: dict[str, set[str]] = {}
    for line in sums.open(encoding="utf-8").read(1_000_000).splitlines() if sums.is_file() else ():
        digest, _, name = line.partition("  ")
        known.setdefault(name, set()).add(digest)
    for name, digests in known.items():
        if (folder / name).is_file() and sha256((folder / name).read_bytes()).hexdigest() not in digests:
            raise ValueError(
                f"{name} is damaged: export the model again; if it was changed on purpose, remove SHA256SUMS"
            )


def answers(outputs: Arrays, head: Spec, options: Spec) -> list[Spec]:
    """Records of the outputs of a graph that answers at once."""
    if head["kind"] == "regression":
        return [{"prediction": float(f"{number:.6g}")} for number in outputs["prediction"]]
    if head["kind"] == "forecast":
        records: list[Spec] = [{"prediction": by_name(each, head)} for each in outputs["forecast"]]
        for record, each in zip(records, outputs.get("quantiles", ()), strict=False):
            levels = zip(options["quantiles"], np.moveaxis(each, -1, 0), strict=True)
            record["quantiles"] = {f"{level:g}": by_name(steps, head) for level, steps in levels}
        return records
    records = []
    for row in outputs["probability"]:
        probabilities = {name: round(float(value), 4) for name, value in zip(head["classes"], row, strict=True)}
        if head["kind"] == "multilabel":
            chosen: Any = [name for name, value in zip(head["classes"], row, strict=True) if value > 0.5]
            records.append({"prediction": chosen, "probabilities": probabilities})
        else:
            number = int(row.argmax())
            if head["threshold"] is not None:  # of two classes, the rarer one is predicted from this probability on
                rarer = int(head["counts"][0] >= head["counts"][1])
                number = rarer if row[rarer] >= head["threshold"] else 1 - rarer
            name = head["classes"][number]
            records.append({"prediction": name, "probability": probabilities[name], "probabilities": probabilities})
    return records


def by_name(steps: np.ndarray, head: Spec) -> dict[str, list[float]]:
    """Steps `(series, horizon)` by the names of the series, with six digits of the value or of the standard deviation."""
    columns = zip(head["names"], steps.astype(float), head["std"], strict=True)
    return {name: [float(f"{value:.{digits(value, std)}g}") for value in row] for name, row, std in columns}


def digits(value: float, std: float) -> int:
    """Number of digits of a value by which six of its standard deviation are told."""
    return int(np.clip(6 + np.floor(np.log10(abs(value))) - np.floor(np.log10(std)), 6, 16)) if value else 6


def pad(rows: Sequence[Any], dtype: Any, width: Sequence[int] = (), patch: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Rows filled up with zeros to whole patches, `(batch, longest, *width)`, and True at padding."""
    longest = -(-max(1, *map(len, rows)) // patch) * patch
    values = np.zeros((len(rows), longest, *width), dtype)
    for place, row in enumerate(rows):
        if len(row):
            values[place, : len(row)] = row
    return values, np.arange(longest) >= np.array([[len(row)] for row in rows])


# Texts.


@cache
def load_tokenizer(written: str) -> Any:
    """A tokenizer from its JSON."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(written)
    tokenizer.encode_special_tokens = True  # [PAD] and the like in a text are text
    return tokenizer


def read_texts(values: Sequence[str | None], spec: Spec) -> Arrays:
    """Token numbers, and numbers and weights of TF-IDF features."""
    texts = [" ".join(cut_words(unicodedata.normalize("NFC", one_text(value, spec)), spec["kmer"])) for value in values]
    tokenizer, end = load_tokenizer(spec["tokenizer"]), [END] * spec["end_token"]
    rows = [[*shortened(tokenizer.encode(t).ids or [UNKNOWN], spec), *end] if t else [] for t in texts]
    tokens, padding = pad(rows, np.int64)
    arrays = {"tokens": tokens, "padding": padding}
    if spec["tfidf_size"]:
        weighed = [tfidf(text, spec["tfidf"]) for text in texts]
        arrays["features"], _ = pad([list(weights) for weights in weighed], np.int64)
        arrays["weights"], _ = pad([list(weights.values()) for weights in weighed], np.float32)
    return arrays


def cut_words(text: str, kmer: int) -> Iterator[str]:
    """Words, or the overlapping pieces of each."""
    for word in text.split():
        yield from (word[i : i + kmer] for i in range(max(1, len(word) - kmer + 1))) if kmer else (word,)


def one_text(value: Any, spec: Spec) -> str:
    """A text; that of several columns, a list or a JSON object, as one."""
    columns = spec["columns"]
    if isinstance(value, dict) and columns:
        value = [value.get(column) for column in columns]
    if isinstance(value, list) and len(value) == len(columns) > 0:
        if spec["texts"] == "pair" and any(value):
            return f" {SEPARATOR} ".join((text or "").replace(SEPARATOR, " ") for text in value)
        return "\n".join(filter(None, value))
    if value is not None and not isinstance(value, str):
        raise ValueError(f"a text is needed, not {value!r:.60}")
    return value or ""


def shortened(tokens: list[int], spec: Spec) -> list[int]:
    """The beginning of a long text, or its beginning and its end."""
    tail = spec["max_length"] // 2 if spec["long_texts"] == "head_tail" else 0
    if len(tokens) <= spec["max_length"]:
        return tokens
    return tokens[: spec["max_length"] - tail] + tokens[len(tokens) - tail :]


@cache
def load_tfidf(written: str) -> dict[str, tuple[dict[str, int], np.ndarray]]:
    """Number of each n-gram and inverse document frequencies, by the kind of n-gram."""
    kinds, start = {}, 0
    for kind, stored in json.loads(written).items():
        kinds[kind] = {term: start + n for n, term in enumerate(stored["terms"])}, np.array(stored["idf"], np.float32)
        start += len(stored["terms"])
    return kinds


def tfidf(text: str, written: str) -> dict[int, float]:
    """TF-IDF weight of each feature that a text has: 1 + log of its count, times idf; each kind has length one."""
    weights: dict[int, float] = {}
    for kind, (numbers, idf) in load_tfidf(written).items():
        grams = words(text.lower()) if kind == "words" else pieces(text.lower())
        counts = Counter(numbers[gram] for gram in grams if gram in numbers)
        if counts:
            places = np.array(list(counts)) - next(iter(numbers.values()))
            raw = (np.log(np.array(list(counts.values()), np.float32)) + 1) * idf[places]
            weights |= dict(zip(counts, raw / np.sqrt((raw**2).sum()), strict=True))
    return weights


def words(text: str) -> Iterator[str]:
    """Words and punctuation marks, and pairs of them."""
    tokens = re.findall(r"\w+|[^\w\s]", text)
    yield from tokens
    yield from map(" ".join, pairwise(tokens))


def pieces(text: str) -> Iterator[str]:
    """One to five characters inside of words, which have blanks around them; a short word is one piece."""
    for word in (f" {word} " for word in text.split()):
        for size in range(1, 6):
            yield from (word[start : start + size] for start in range(max(1, len(word) - size + 1)))
            if size >= len(word):
                break


# Images.


FORMATS = {
    "AVIF", "BMP", "DDS", "DIB", "FITS", "GIF", "ICNS", "ICO", "JPEG", "JPEG2000", "MSP", "PCX", "PNG", "PPM", "PSD",
    "QOI", "SGI", "SUN", "TGA", "TIFF", "WEBP", "XBM", "XPM",
}  # fmt: skip


def read_images(values: Sequence[str | None], spec: Spec) -> Arrays:
    """Bytes of one size, black where there is no image."""
    shape = spec["channels"], spec["height"], spec["width"]
    images = np.stack([np.zeros(shape, np.uint8) if value is None else read_image(value, spec) for value in values])
    return {"images": images, "padding": np.array([[value is None] for value in values])}


def read_image(file: str, spec: Spec) -> np.ndarray:
    """An image turned upright, brought to the wanted shape, more than 8 bits on the scale of the training images."""
    from PIL import Image, ImageOps

    Image.init()
    Image.MAX_IMAGE_PIXELS = 100_000_000  # twice as many are refused
    size, bilinear = (spec["width"], spec["height"]), Image.Resampling.BILINEAR
    try:
        opened = Image.open(file, formats=[name for name in Image.ID if name in FORMATS])
        pieces = [piece for *_, how in opened.tile for piece in (how if isinstance(how, tuple) else (how,))]
        image: Any = ImageOps.exif_transpose(opened)
    except Image.DecompressionBombError as error:
        raise ValueError(f"{file}: {error}") from error
    deep = any(";16" in str(piece) for piece in pieces) or (
        opened.format == "PPM" and any(type(p) is int and p > 255 for p in pieces)
    )
    wide = image.mode in ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")
    if wide != (spec["value_range"] is not None):
        raise ValueError(f"{file} has {'more than 8' if wide else '8'} bits, unlike the training images: convert it")
    if wide:
        image = Image.fromarray(np.asarray(image, dtype=np.float32))
        if not np.isfinite(image).all():
            raise ValueError(f"{file}: a pixel is no finite number")
    elif (
        deep
        and max(
            band.getextrema()[1] for name, band in zip(image.getbands(), image.split(), strict=True) if name not in "Aa"
        )
        < 128
    ):
        raise ValueError(
            f"{file} has 16 bits for each colour, of which the upper 8 are hardly used: save it with 8 bits"
        )
    if not wide and image.has_transparency_data:  # on white
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    if not wide:
        image = image.convert("L" if spec["channels"] == 1 else "RGB")
    if image.size != size and spec["fit"] == "crop":
        image = ImageOps.fit(image, size, bilinear)
    elif image.size != size and spec["fit"] == "pad":
        image = ImageOps.pad(image, size, bilinear, color=image.getextrema()[0] if wide else None)
    elif image.size != size:
        image = image.resize(size, bilinear)
    array = np.array(image)
    if wide:
        low, high = spec["value_range"]
        array = np.rint((array - low) * (255 / (high - low))).clip(0, 255).astype(np.uint8)
    return np.repeat(array[None], spec["channels"], axis=0) if array.ndim == 2 else array.transpose(2, 0, 1)


# Recordings.


def read_recordings(values: Sequence[str | None], spec: Spec) -> Arrays:
    """Log-mel spectrograms; no frames where there is no recording."""
    bands = spec["mel_bands"]
    rows = [np.zeros((0, bands)) if value is None else log_mel(read_samples(value, spec), spec) for value in values]
    spectrograms, padding = pad(rows, np.float32, (bands,), FRAMES)
    return {"spectrograms": spectrograms, "padding": padding}


def read_samples(file: str, spec: Spec) -> np.ndarray:
    """The samples of a recording from -1 to 1, channels mixed down, at the rate of the model."""
    import soundfile

    if not Path(file).is_file():
        raise ValueError(f"{file}: there is no such file")
    try:
        with soundfile.SoundFile(file) as opened:
            rate = opened.samplerate
            if opened.format not in RECORDINGS or not 4_000 <= rate <= 384_000:
                raise ValueError(f"{file}: recordings of {opened.format} and {rate:,} Hz are not read: convert it")
            wanted = min(opened.frames, ceil(spec["max_seconds"] * rate))
            said = re.search(r"^ ?(?:data|SSND) : (\d+) \(should be (\d+)\)", opened.extra_info, re.MULTILINE)
            whole = opened.frames * int(said[1]) / max(1, int(said[2])) if said and int(said[1]) < 2_147_000_000 else 0
            if min(whole, spec["max_seconds"] * rate) - wanted > rate / 100:
                raise ValueError(f"{file} ends after {opened.frames:,} of {whole:,.0f} samples: it is damaged")
            samples = opened.read(wanted, dtype="float32", always_2d=True).mean(1)
            if len(samples) < wanted:
                raise ValueError(f"{file} ends after {len(samples):,} of {wanted:,} samples: it is damaged")
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"{file} cannot be read as a recording: {error}") from error
    if not len(samples) or not np.isfinite(samples).all():
        raise ValueError(f"{file} has no samples, or one that is no finite number")
    return samples if rate == spec["sample_rate"] else resampled(samples, rate, spec["sample_rate"])


def resampled(samples: np.ndarray, old: int, new: int) -> np.ndarray:
    """Samples at another rate, by a filter of ten zero crossings on each side, as `scipy.signal.resample_poly`."""
    ratio = Fraction(new, old)
    if ratio.denominator > 50_000:  # the filter would have millions of taps
        ratio = ratio.limit_denominator(50_000)
    up, down = ratio.as_integer_ratio()
    half = 10 * max(up, down)
    taps = np.sinc(np.arange(-half, half + 1) / max(up, down)) * np.kaiser(2 * half + 1, 5.0)
    taps *= up / taps.sum()
    pieces = []
    for start in range(0, -(-len(samples) * up // down), 4096):
        place = np.arange(start, min(start + 4096, -(-len(samples) * up // down)))[:, None] * down + half
        source = (place - 2 * half + up - 1) // up + np.arange(2 * half // up + 1)  # samples that each tap meets
        tap = place - source * up
        known = (tap >= 0) & (tap <= 2 * half) & (source >= 0) & (source < len(samples))
        values = samples[source.clip(0, len(samples) - 1)] * taps[tap.clip(0, 2 * half)]
        pieces.append(np.where(known, values, 0).sum(1))
    return np.concatenate(pieces).astype(np.float32)


def log_mel(samples: np.ndarray, spec: Spec) -> np.ndarray:
    """Decibels below the loudest place, `(frames, bands)`: windows of 32 ms every 10 ms, triangles on the mel scale."""
    rate, bands = spec["sample_rate"], spec["mel_bands"]
    window, hop = round(0.032 * rate), round(0.01 * rate)
    padded = np.pad(samples / max(1, np.abs(samples).max()), window // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    power = np.abs(np.fft.rfft(frames * hann)) ** 2
    corners = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + rate / 1400), bands + 2) / 2595) - 1)
    frequencies = np.arange(window // 2 + 1)[:, None] * rate / window
    left, middle, right = corners[:-2], corners[1:-1], corners[2:]
    filters = np.maximum(
        0, np.minimum((frequencies - left) / (middle - left), (right - frequencies) / (right - middle))
    )
    mel = power @ filters
    return 10 * np.log10(np.maximum(mel / max(mel.max(), 1e-3), 1e-8)).astype(np.float16)


# Arrays of numbers.


def given(value: Any, width: int, dtype: Any) -> np.ndarray:
    """The array of a list, which has no steps where nothing is given."""
    return np.array(value, dtype) if value is not None and len(value) else np.zeros((0, width), dtype)


def of_width(steps: np.ndarray, width: int) -> np.ndarray:
    """Steps `(length, width)`; a ValueError where they have another width, which numpy would repeat if it is 1."""
    if steps.shape[1:] != (width,):
        raise ValueError(f"{steps.shape[-1]} features are given: this model reads {width} a step")
    return steps


def without_padding(steps: np.ndarray) -> np.ndarray:
    """A vector as one step, or steps without those of zeros at both ends, as in training."""
    if steps.ndim == 1:
        return steps[None]
    present = np.flatnonzero(steps.any(1))
    return steps[present[0] : present[-1] + 1] if len(present) else steps[:0]


def without_end(steps: np.ndarray) -> np.ndarray:
    """A series without the steps at its end that have no value, unless none has."""
    real = np.flatnonzero(np.isfinite(steps).any(1))
    return steps[: real[-1] + 1] if len(real) else steps


def read_features(values: Sequence[Any], spec: Spec) -> Arrays:
    """Vectors `(width,)` or `(length, width)`."""
    width = len(spec["mean"])
    rows = [of_width(without_padding(given(value, width, np.float32)), width) for value in values]
    if any(not np.isfinite(row).all() for row in rows):
        raise ValueError("features have a value that is no finite number")
    features, padding = pad(rows, np.float32, (width,))
    return {"values": features, "padding": padding}


def read_series(values: Sequence[Any], spec: Spec) -> Arrays:
    """Whole series `(length,)` or `(length, channels)`, or the last rows of tables where a forecast is made."""
    if spec["horizon"]:
        from series_table import read_window

        windows = [read_window(value, spec) for value in values]
        return {field: np.stack([window[field] for window in windows]) for field in windows[0]}
    channels = len(spec["mean"])
    steps = [given(value, channels, float) for value in values]
    rows = [without_end(of_width(each[:, None] if each.ndim == 1 else each, channels)) for each in steps]
    past, padding = pad(rows, float, (channels,), spec["patch"])
    real = np.isfinite(past) & ~padding[..., None]
    past = np.where(real, past, spec["mean"])
    return {"past": past.transpose(0, 2, 1), "real": real.transpose(0, 2, 1), "padding": padding}


def read_items(values: Sequence[Any], spec: Spec) -> Arrays:
    """Histories of items."""
    from item_histories import read_histories

    return read_histories(values, spec)


READERS: dict[str, Any] = {
    "text": read_texts, "image": read_images, "audio": read_recordings, "features": read_features, "series": read_series, "items": read_items,
}  # fmt: skip


def parse(argument: str) -> list[Any]:
    """The examples of an argument: lines of a file, JSON, or a text or the name of a file as it is."""
    if argument.endswith(".jsonl"):
        return [json.loads(line) for line in Path(argument).read_text("utf-8").split("\n") if line.strip()]
    try:
        value = json.loads(argument) if argument.startswith(("{", "[")) else argument
    except ValueError:  # a text that begins like JSON
        value = argument
    return [value]


def main() -> None:
    """Prints a record for each example of the command line."""
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__)
        return
    try:
        examples = [example for argument in sys.argv[1:] for example in parse(argument)]
        model = Model(Path(__file__).parent)
        files = [a for a in sys.argv[1:] if not a.endswith(".jsonl") and (a.startswith("--") or isfile(a))]
        if files and {spec["kind"] for spec in model.inputs.values()} <= {"text", "items"}:  # its name is no text
            raise ValueError(
                f"{files[0]}: files are read as .jsonl, an example a line, and there are no options; tables are read by predict"
            )
        for record in model.predict(examples):
            print(json.dumps(record, ensure_ascii=False))
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
