"""Small data sets and random models of each task, whose predictions are explained."""

import numpy as np
import pandas as pd

from mla_train.task import build_task
from tests.helpers import (
    SMALL,
    config,
    number_pairs,
    randomize,
    write_captions,
    write_pairs,
    write_pictures,
    write_reviews,
    write_words,
)


def table(hours=900):
    """Two hourly series, one with some gaps."""
    generator = np.random.default_rng(0)
    steps = np.arange(hours)
    load = 40 + 9 * np.sin(steps / 24 * 2 * np.pi) + generator.normal(0, 1, hours)
    price = 3 + np.cos(steps / 24 * 2 * np.pi) + generator.normal(0, 0.2, hours)
    price[[70, 71, 300]] = np.nan
    return pd.DataFrame({"date": pd.date_range("2024-01-01", periods=hours, freq="1h"), "load": load, "price": price})


def own_data(task, folder):
    """Words of the command line for a small data set of each task."""
    if task == "image_classification":
        write_pictures(folder / "pictures")
        return ["data=image_folder", f"data.root={folder / 'pictures'}"]
    if task == "text_classification":
        write_reviews(folder / "a.csv")
        return [f"task={task}", "data=text_files", f"data.train={folder / 'a.csv'}"]
    if task == "translation":
        write_pairs(folder / "a.csv", number_pairs(60))
        return [f"task={task}", "data=pair_files", f"data.train={folder / 'a.csv'}", "data.vocab_size=300"]
    if task == "image_captioning":
        write_captions(folder)
        return [f"task={task}", "data=caption_files", f"data.root={folder}", "data.vocab_size=300"]
    if task == "summarization":
        rows = [f"It is said that film {i} is good. It is long.,film {i} good" for i in range(60)]
        (folder / "a.csv").write_text("\n".join(["text,summary", *rows]) + "\n")
        return [f"task={task}", "data=summary_files", f"data.train={folder / 'a.csv'}", "data.vocab_size=300"]
    if task == "forecasting":
        table().to_csv(folder / "a.csv", index=False)
        return [
            f"task={task}",
            "data=series_csv",
            f"data.path={folder / 'a.csv'}",
            "data.look_back=50",
            "data.period=24",
        ]
    if task == "speech_classification":
        write_words(folder / "words")
        return [f"task={task}", "data=audio_folder", f"data.root={folder / 'words'}"]
    if task == "series_classification":
        waves = np.sin(np.arange(21) * np.arange(1, 31)[:, None] / 9).round(3)
        lines = [",".join(["label", *map(str, range(21))])]
        lines += [",".join(["ab"[i % 2], *map(str, wave)]) for i, wave in enumerate(waves)]
        (folder / "a.csv").write_text("\n".join(lines) + "\n")
        return [f"task={task}", "data=series_files", f"data.train={folder / 'a.csv'}"]
    write_pictures(folder / "pictures", size=(16, 12))
    rows = [(name, i) for name in ("cat", "dog") for i in range(12)]
    lines = ["text,image,label", *(f"this is a {name} on day {i},pictures/{name}/{i}.png,{name}" for name, i in rows)]
    (folder / "a.csv").write_text("\n".join(lines) + "\n")
    return [f"task={task}", "data=text_image_files", f"data.train={folder / 'a.csv'}"]


def trained(words):
    """A task, its data and a model whose weights are all random, so that each part of an example has an effect."""
    task = build_task(config(*SMALL, *words))
    data = task.load_data()
    model = task.build_model(data.spec).eval()
    task.init_from_data(model, data)
    return task, data, randomize(model)
