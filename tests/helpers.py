"""What tests share: the command line, configs, small pictures and texts."""

import csv
import gzip
import json
import os
import re
import subprocess
import sys
from contextlib import nullcontext
from copy import deepcopy
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import soundfile
from hydra import compose, initialize_config_dir
from markupsafe import escape
from PIL import Image

from mla_train.config.compose import to_typed_config
from tests.warm import run_script

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"
SMALL = ["encoder=tiny", "encoder.dim=16", "encoder.num_heads=2"]


def train(*words, cwd, check=True, timeout=240, env=None, pages=False):
    """Runs train.py as a user does, in a folder of its own."""
    return python("train.py", *words, cwd=cwd, check=check, timeout=timeout, env=env, pages=pages)


def python(file, *words, cwd, check=True, timeout=240, env=None, pages=False):
    """Runs a script of the project in a process of its own: a fork, or a new one where its beginning matters.

    A fork draws figures and writes the report of a run where they are asked for (`pages`): they take longer than a short
    run, and an error in them is but a line of its log.
    """
    file = ROOT / file
    if env or any("ddp" in word or "devices" in word for word in map(str, words)):
        command = [sys.executable, str(file), *words]
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=timeout, env=os.environ | (env or {}), check=False
        )
    else:
        done = run_script(file, words, cwd, timeout, pages)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def config(*words):
    """A typed config, composed as train.py composes it."""
    return deepcopy(_composed(*words))


@cache
def _composed(*words):
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return to_typed_config(compose("train", list(words)))


def load(*words):
    """The data set of a config, prepared."""
    from mla_train.task import build_task

    return build_task(config(*words)).load_data()


def run_here(folder, *words, report=None, figures=False):
    """A run of a small network in this process, with figures if they or a report are asked for; what results.json holds."""
    from mla_train.training.run import run
    from mla_train.training.run_folder import CHOSEN, find_run

    settings = config(*SMALL, "baselines=quick", f"run_dir={folder}", *words)
    with mock.patch.object(sys, "argv", ["train.py"]), mock.patch.dict(os.environ):
        os.environ.pop(CHOSEN, None)
        drawn = nullcontext() if figures or report else mock.patch("mla_train.training.run.draw_figures")
        with drawn:
            return run(settings, find_run(settings), report=report)


def check_report(run, *expected):
    """Checks that the report of a run is one file with verdict, scores, command and what else is expected; its text."""
    file = run / "report.html"
    text = file.read_text()
    assert file.stat().st_size < 3_000_000
    assert not re.search(
        r"(src|href)=[\"'](?!data:|data_report.html)|https?://|@import|url\(",
        re.sub(r"<pre>.*?</pre>", "", text, flags=re.S),
    )
    results = json.loads((run / "results.json").read_text())
    verdict = ("Ahead of the best baseline", "Behind the best baseline", "Level with the best baseline")
    assert any(words in text for words in verdict)
    for words in (results["environment"]["command"], "Learning curves", "Cost", f"{results['model']['parameters']:,}"):
        assert escape(words) in text
    for note in results["notes"]:
        assert escape(note) in text
    for words in expected:
        assert words in text
    assert "not complete" not in (run / "log.txt").read_text()
    return text


def example_data(task):
    """A few made examples, prepared as real ones are; of a forecast, two series of a thousand hours or more."""
    from mla_train.data.examples import Examples, RawData
    from mla_train.data.splits import SPLITS
    from mla_train.modalities.series.tables import SeriesTable

    if task.config.task.name in ("forecasting", "masked_windows"):
        least = 1000 if task.config.task.name == "forecasting" else 2000  # val holds whole windows
        hours = np.arange(max(least, *map(int, task.config.data.split)))
        turn = hours / 24 * 2 * np.pi
        times = pd.date_range("2024-01-01", periods=len(hours), freq="1h")
        frame = pd.DataFrame({"rise": np.sin(turn) + 0.01 * hours, "wave": np.cos(turn)}, index=times)
        return task.prepare(SeriesTable(frame, ["rise", "wave"]))
    labels = getattr(task.config.data, "labels", None) or ["a", "b"]
    names = getattr(task.config.data, "modalities", None) or list(task.inputs)
    targets = labels * 16
    inputs = {name: kind.example_values(len(targets)) for name, kind in task.input_kinds(names).items()}
    splits = {}
    for split, (start, end) in zip(SPLITS, ((0, 10), (10, 13), (13, 16)), strict=True):
        places = slice(start * len(labels), end * len(labels))
        splits[split] = Examples({name: values[places] for name, values in inputs.items()}, targets[places])
    return task.prepare(RawData(splits))


def build(*words, data=None):
    """A module with the made data of its task, or with that which is given: (module, data)."""
    from mla_train.task import build_task
    from mla_train.training.module import TrainingModule

    settings = config(*words)
    task = build_task(settings)
    data = data or example_data(task)
    return TrainingModule(settings, task, task.build_model(data.spec)), data


def made_data(settings, kinds, targets=None, sequence=None, head="classification"):
    """A made data set of any inputs (a kind by name) and any answer."""
    from mla_train.data.examples import Examples, RawData
    from mla_train.heads import HEADS
    from mla_train.preparation import prepare

    inputs = {name: kind.example_values(32) for name, kind in kinds.items()}
    train = Examples(inputs, targets or ["a", "b"] * 16, sequence=sequence)
    return prepare(RawData({"train": train}), kinds, HEADS[head], settings)


def batch_of(data, split="train", count=4, training=False):
    """The first items of a split as a batch."""
    part = getattr(data, split)
    return data.collate([part[i] for i in range(min(count, len(part)))], training=training)


def randomize(model, std=0.3):
    """Makes all weights random: heads and gates begin at zero, so that nothing would tell inputs apart."""
    import torch

    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.endswith("norm.weight"):
                parameter.copy_(std * torch.randn(parameter.shape, generator=generator))
    return model


def write_jsonl(file, rows):
    """A table of JSON lines."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def read_jsonl(file):
    """The rows of a table of JSON lines."""
    return [json.loads(line) for line in file.read_text().splitlines()]


def task_of(data):
    """The task to which a data set of the project belongs."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("train", [f"data={data}"]).data._target_.split(".")[1]


def write_pictures(folder, classes=("cat", "dog"), count=12, size=(12, 12), colour=True):
    """Pictures whose brightness tells the class; those of folders of other names differ."""
    generator = np.random.default_rng(list(folder.name.encode()))
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            shape = (*size[::-1], 3) if colour else size[::-1]
            pixels = generator.integers(0, 100, shape) + 150 * (number % 2)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i}.png")


def write_sequences(folder):
    """Made sequences of nucleotides: a file for each class, all with kind and family in their headers, and a table."""
    chance, rows = np.random.default_rng(0), []
    for i in range(120):
        rows.append(("".join(chance.choice(list("ACGT"), 40)), ["gene", "noise"][i % 2], f"f{i // 6}"))
    (folder / "genes").mkdir()
    for kind in ("gene", "noise"):
        own = [f">{kind}{i}\n{text}\n" for i, (text, label, _) in enumerate(rows) if label == kind]
        (folder / "genes" / f"{kind}.fasta").write_text("".join(own))
    (folder / "all.fa").write_text("".join(f">s{i} kind={y} of={f}\n{x}\n" for i, (x, y, f) in enumerate(rows)))
    pd.DataFrame(rows, columns=["text", "label", "family"]).to_csv(folder / "sequences.csv", index=False)


def write_words(folder, classes=("low", "high"), count=12, rate=16_000):
    """Recordings of tones whose pitch tells the class."""
    generator = np.random.default_rng(list(folder.name.encode()))
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            times = np.arange(int(rate * generator.uniform(0.2, 0.4))) / rate
            tone = np.sin(2 * np.pi * (300 + 500 * number) * generator.uniform(0.9, 1.1) * times)
            samples = 0.5 * tone + 0.05 * generator.normal(size=len(times))
            soundfile.write(folder / name / f"{i}.wav", samples, rate)


def write_captions(folder, count=30, captions=2):
    """Images/ and captions.txt, as Flickr8k has them: bright and dark images, several captions an image."""
    generator = np.random.default_rng(0)
    (folder / "Images").mkdir(parents=True, exist_ok=True)
    lines = ["image,caption"]
    for number in range(count):
        pixels = generator.integers(0, 100, (12, 12, 3)) + 150 * (number % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "Images" / f"{number}.png")
        kind = ("dark night", "bright day")[number % 2]
        lines += [f'{number}.png,"a {kind}, {view}"' for view in ("seen once", "seen again", "all over")[:captions]]
    (folder / "captions.txt").write_text("\n".join(lines) + "\n")


def write_coco(folder, splits=("train2017", "val2017")):
    """Annotations as COCO gives them out, among others that hold no captions."""
    (folder / "annotations").mkdir(parents=True)
    for seed, split in enumerate(splits):
        (folder / split).mkdir()
        for number in range(30):
            pixels = np.random.default_rng([seed, number]).integers(0, 256, (10, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / split / f"{number:012}.jpg")
        images = [{"id": 7 * number, "file_name": f"{number:012}.jpg"} for number in range(30)]
        annotations = [{"id": i, "image_id": 7 * (i % 29), "caption": f"a cat on mat {i}"} for i in range(58)]
        content = {"info": {}, "images": images, "annotations": annotations}
        (folder / "annotations" / f"captions_{split}.json").write_text(json.dumps(content))
        (folder / "annotations" / f"instances_{split}.json").write_text(json.dumps({"images": images}))
    return folder / "annotations" / "captions_train2017.json"


def write_reviews(file, count=30):
    """A table of short texts whose words tell the label."""
    words = {"good": ["fine", "nice", "great"], "bad": ["poor", "awful", "sad"]}
    with file.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["text", "label"])
        table.writerows([f"a {words[label][i % 3]} film, number {i}", label] for i in range(count) for label in words)


def write_events(file, users=24, items=12):
    """A table of users who go round the items in steps of one or two; the first lines say who had what when."""
    lines = [
        f"u{user},i{(user * 5 + step * (1 + user % 2)) % items},{1000 * step + user},Film {(user * 5 + step * (1 + user % 2)) % items}"
        for user in range(users)
        for step in range(7 + user % 3)
    ]
    file.write_text("\n".join(["user,item,time,title", *lines]) + "\n")


NUMBER_WORDS = {"one": "eins", "two": "zwei", "three": "drei", "four": "vier", "five": "fünf", "six": "sechs"}


def number_pairs(count):
    """Different rows of numbers in words, in English and German."""
    generator = np.random.default_rng(0)
    rows = [generator.choice(list(NUMBER_WORDS), generator.integers(1, 6)) for _ in range(4 * count)]
    pairs = [(" ".join(words), " ".join(NUMBER_WORDS[word] for word in words)) for words in rows]
    return list(dict.fromkeys(pairs))[:count]


def write_pairs(file, pairs, source="source", target="target"):
    """A table of sentence pairs: jsonl (also gzipped), csv or tsv."""
    if file.suffixes[0] == ".jsonl":
        opener = gzip.open if file.suffix == ".gz" else open
        with opener(file, "wt") as stream:
            stream.writelines(json.dumps({source: s, target: t}) + "\n" for s, t in pairs)
    else:
        with file.open("w", newline="") as stream:
            csv.writer(stream, delimiter="\t" if file.suffix == ".tsv" else ",").writerows([(source, target), *pairs])
    return file


def write_aligned(folder, split, pairs, ending=""):
    """Sentence pairs as two text files that are aligned line by line."""
    for side, name in enumerate(("en", "de")):
        text = "".join(f"{pair[side]}\n" for pair in pairs)
        file = folder / f"{split}.{name}{ending}"
        file.write_bytes(gzip.compress(text.encode()) if ending else text.encode())


def example_results(metric="accuracy", mode="max", score=0.9, baselines=None, task="image_classification"):
    """What results.json of a run may hold."""
    return {
        "task": task,
        "data": "digits",
        "attention": "mla",
        "seed": 0,
        "metrics": {"test": {"loss": 1.0, metric: score}},
        "directions": {"loss": "min", metric: mode},
        "monitor": {"name": f"val/{metric}", "mode": mode, "best": score, "epoch": 3},
        "baselines": {"majority": {metric: 0.1}, "linear": {metric: 0.8}} if baselines is None else baselines,
        "model": {"parameters": 1234, "cache_bytes_per_token": 64},
        "speed": {"seconds": 12.3, "examples_per_second": 100.0},
        "environment": {"command": "python train.py epochs=1"},
    }


def stop_in_epoch(number):
    """A method `Checkpoints.on_train_epoch_start` that interrupts a run at the start of an epoch."""
    from mla_train.training.checkpoints import Checkpoints  # loads torch

    start_epoch = Checkpoints.on_train_epoch_start

    def on_train_epoch_start(self, trainer, module):
        if trainer.current_epoch == number:
            raise RuntimeError("interrupted")
        start_epoch(self, trainer, module)

    return on_train_epoch_start


def hourly_table(rows=400, **columns):
    """Two series of hours with a daily cycle; one of them rises."""
    times = pd.date_range("2024-01-01", periods=rows, freq="1h")
    hours = np.arange(rows)
    values = {"load": np.sin(hours / 24 * 2 * np.pi) + 0.01 * hours, "price": np.cos(hours / 24 * 2 * np.pi) * 5}
    return pd.DataFrame({"date": times, **values, **columns})


def forecasting_config(folder, frame, *words, name="a.csv", **how):
    """A config of a small forecaster whose table is written into a folder."""
    if name.endswith(".parquet"):
        frame.to_parquet(folder / name)
    else:
        frame.to_csv(folder / name, index=False, **how)
    small = ["data.look_back=24", "data.horizon=6"]
    return config("task=forecasting", "data=series_csv", f"data.path={folder / name}", *small, *words)


def build_forecaster(folder, frame, *words):
    """Task, data and network of a small forecaster as it is before training, the same from the same numbers."""
    import torch

    from mla_train.task import build_task

    task = build_task(forecasting_config(folder, frame, *SMALL[1:], *words))
    data = task.load_data()
    torch.manual_seed(0)
    model = task.build_model(data.spec).eval()
    task.init_from_data(model, data)
    return task, data, model


def loaded_by(imports, names):
    """Those of some modules that a new process has loaded after an import."""
    code = f"import sys, {imports}\nprint(*sorted(set({list(names)!r}) & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.split()
