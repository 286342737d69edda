"""Small models with random weights behind a server, and the examples that they read."""

import base64
import io

import numpy as np
import soundfile
import torch
from PIL import Image

from mla_train.inference.artifact import Artifact, save_model
from mla_train.inference.predictor import Predictor
from mla_train.task import build_task
from tests.helpers import SMALL, config, example_data, randomize

TASKS = (
    "text_classification", "image_classification", "series_classification", "forecasting", "masked_windows",
    "multimodal_sentiment",
    "translation", "speech_classification", "image_captioning", "recommendation", "summarization",
)  # fmt: skip

WINDOWS = ("forecasting", "masked_windows")  # of a table


def random_predictor(task):
    """A model of a task."""
    words = ["data.look_back=48", "data.horizon=6", "data.period=24"] if task in WINDOWS else []
    words += ["task.beams=1"] if task in ("translation", "image_captioning", "summarization") else []
    settings = config(f"task={task}", *SMALL, *words)
    kind = build_task(settings)
    data = example_data(kind)
    model = kind.build_model(data.spec).eval()
    torch.manual_seed(0)
    kind.init_from_data(model, data)
    return Predictor(Artifact(settings, kind, randomize(model)))


def save_run(predictor, folder):
    """A run folder with nothing but the model."""
    save_model(predictor.network.state_dict(), predictor.spec, predictor.config, folder / "model")
    return folder


def png(size=(20, 20), number=0):
    """An image file."""
    pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def wav(seconds=0.3, number=0, rate=16_000):
    """A recording as a wav file."""
    samples = np.sin(np.arange(int(rate * seconds)) * (0.1 + number / 30))
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV")
    return file.getvalue()


def series_csv(rows=60):
    """A table that the forecaster reads."""
    lines = [f"2024-02-{1 + row // 24:02} {row % 24:02}:00,{np.sin(row / 4):.3f},{row % 24}" for row in range(rows)]
    return "\n".join(["date,rise,wave", *lines]) + "\n"


def as_json(task, number=0):
    """An example of a task as a request holds it."""
    return {
        "text_classification": {"text": f"good film number {number}"},
        "recommendation": {"history": [f"item {number + 1}", "item 4"]},
        "translation": {"source": f"bad film number {number}"},
        "summarization": {"text": f"bad film number {number}"},
        "image_classification": {"image": base64.b64encode(png(number=number)).decode()},
        "speech_classification": {"audio": base64.b64encode(wav(number=number)).decode()},
        "image_captioning": {"image": base64.b64encode(png(number=number)).decode()},
        "multimodal_sentiment": {"text": f"good film {number}", "image": base64.b64encode(png(number=number)).decode()},
        "series_classification": {"series": [[i / 7, number] for i in range(30)]},
        **{each: {"series": series_csv(60 + number)} for each in WINDOWS},
    }[task]


def as_raw(task, folder, number=0):
    """The same example as `Predictor.predict` takes it."""
    example = as_json(task, number)
    if "image" in example:
        example["image"] = png(number=number)
    if "audio" in example:
        example["audio"] = wav(number=number)
    if task in WINDOWS:
        example["series"] = folder / "table.csv"
        example["series"].write_text(series_csv(60 + number))
    return example
