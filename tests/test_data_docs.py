"""docs/data.md says what to type for the data that people have: each row is run on a small file of that kind."""

import json
import re
import shlex

import numpy as np
import pandas as pd
import pytest

from mla_train.config.overrides import quote_signs
from tests.helpers import (
    ROOT,
    load,
    write_aligned,
    write_captions,
    write_coco,
    write_events,
    write_jsonl,
    write_pairs,
    write_pictures,
    write_sequences,
    write_words,
)

ROWS = re.findall(r"^\| (.+?) \| `(task=.+)` \|$", (ROOT / "docs" / "data.md").read_text(), re.MULTILINE)
HOURS = pd.date_range("2024-01-01", periods=600, freq="h")
CYCLE = np.sin(np.arange(600) / 24 * 2 * np.pi) + np.random.default_rng(0).normal(0, 0.1, 600)
TEXTS = pd.DataFrame(
    {"text": [f"a {'good' if i % 2 else 'bad'} film, number {i}" for i in range(60)], "label": ["bad", "good"] * 30}
)


def write_tables(folder):
    """Every file that the rows name."""
    renamed = TEXTS.rename(columns={"text": "answer", "label": "mood"})
    TEXTS.to_csv(folder / "reviews.csv", index=False)
    TEXTS.to_excel(folder / "reviews.xlsx", index=False)
    renamed.assign(age=30).to_csv(folder / "survey.csv", index=False)
    for name in ("train", "dev", "test"):
        TEXTS.to_csv(folder / f"{name}.csv", index=False)
        (folder / "folder").mkdir(exist_ok=True)
        TEXTS.to_json(folder / "folder" / f"{name}.jsonl", orient="records", lines=True)
    (folder / "shards").mkdir()
    for part in range(2):
        TEXTS[part::2].to_parquet(folder / "shards" / f"train-0000{part}-of-00002.parquet")
    TEXTS.to_csv(folder / "bare.csv", index=False, header=False)
    TEXTS.replace("good", "für gut", regex=True).to_csv(folder / "latin.csv", index=False, encoding="cp1252")
    TEXTS.to_csv(folder / "bars.txt.csv", index=False, sep="|")
    TEXTS.assign(label=["good;short", "bad"] * 30).to_csv(folder / "tags.csv", index=False)
    TEXTS.assign(label=[["good", "short"], ["bad"]] * 30).to_json(folder / "tags.jsonl", orient="records", lines=True)
    TEXTS.to_csv(folder / "tabs.csv", index=False, sep="\t")
    TEXTS.assign(text=["[deleted]", *TEXTS["text"][1:]]).to_csv(folder / "removed.csv", index=False)
    TEXTS.assign(label=["['good', 'short']", "['bad']"] * 30).to_csv(folder / "written.csv", index=False)
    TEXTS.assign(label=[[1, 0], [1, 1], [0, 1]] * 20).to_json(folder / "vectors.jsonl", orient="records", lines=True)
    TEXTS.assign(label=np.arange(60) % 5).to_csv(folder / "stars.csv", index=False)
    rare = TEXTS.assign(label=["bad", "good"] * 28 + ["odd", "new", "late", "dear"])
    rare.to_csv(folder / "tickets.csv", index=False)
    (folder / "broken.csv").write_text((folder / "reviews.csv").read_text() + "a,b,c,d\n")
    chinese = [{"text": f"这部电影{'很好' if i % 2 else '不好'}{'啊' * (i + 1)}", "label": i % 2} for i in range(60)]
    (folder / "zh.jsonl").write_text("\n".join(json.dumps(each) for each in chinese))
    TEXTS.assign(title="Film", body=TEXTS["text"]).drop(columns="text").to_csv(folder / "news.csv", index=False)
    TEXTS.assign(first=TEXTS["text"], second="really?").drop(columns="text").to_csv(
        folder / "questions.csv", index=False
    )
    TEXTS.assign(text=TEXTS["text"] + " and so on" * 100).to_csv(folder / "books.csv", index=False)
    days = pd.date_range("2024-01-01", periods=60)
    splits = ["train"] * 40 + ["val"] * 8 + ["test"] * 12
    rows = TEXTS.assign(author=np.arange(60) // 2, date=days, split=splits, id=[f"r{i}" for i in range(60)])
    rows.to_csv(folder / "posts_by.csv", index=False)
    many = pd.concat([TEXTS.assign(text=TEXTS["text"] + f", seen {i} times") for i in range(6)], ignore_index=True)
    many.assign(label=np.where(np.arange(360) % 20, "usual", "rare")).to_csv(folder / "rare.csv", index=False)
    TEXTS.assign(label=["bad", "odd"] * 30).to_csv(folder / "other.csv", index=False)
    TEXTS.assign(summary=TEXTS["text"].str[:12]).drop(columns="label").to_csv(folder / "reports.csv", index=False)
    write_sequences(folder)


def write_series(folder):
    load = pd.DataFrame({"time": HOURS, "load": CYCLE, "price": CYCLE[::-1]})
    load.to_csv(folder / "load.csv", index=False)
    shop = pd.DataFrame({"time": HOURS, "sales": CYCLE, "holiday": HOURS.weekday // 6, "visits": CYCLE + 1})
    shop["weather"] = np.where(HOURS.day % 3, "rain", "sun")
    pd.DataFrame({"time": HOURS, "visits": np.round(9 * np.abs(CYCLE))}).to_csv(folder / "visits.csv", index=False)
    stores = [
        pd.DataFrame({"time": HOURS, "store": store, "item": item, "kind": f"kind of {store}", "sales": CYCLE})
        for store in "ab"
        for item in ("tea", "milk")
    ]
    pd.concat(stores).to_csv(folder / "stores.csv", index=False)
    shop.to_csv(folder / "shop.csv", index=False)
    pd.concat(pd.DataFrame({"time": HOURS, "shop": name, "sales": CYCLE}) for name in "ab").to_csv(
        folder / "long.csv", index=False
    )
    shops = [
        {"time": HOURS, "shop": name, "sales": CYCLE, "promotion": HOURS.day % k // 2}
        for k, name in ((3, "a"), (4, "b"))
    ]
    pd.concat(map(pd.DataFrame, shops)).to_csv(folder / "promotions.csv", index=False)
    meter = pd.DataFrame({"Date": HOURS.strftime("%d/%m/%Y"), "Time": HOURS.strftime("%H:%M:%S"), "power": CYCLE})
    meter.to_csv(folder / "meter.csv", index=False)
    months = pd.date_range("1970-01-01", periods=600, freq="MS")
    pd.DataFrame({"year": months.year, "month": months.month, "y": CYCLE}).to_csv(folder / "months.csv", index=False)
    load.assign(time=HOURS.strftime("%d/%m/%Y %H:%M")).to_csv(folder / "slash.csv", index=False)
    load.assign(time=np.arange(600) * 60).to_csv(folder / "seconds.csv", index=False)
    (folder / "loads").mkdir()
    for part in range(2):
        load[300 * part : 300 * part + 300].to_csv(folder / "loads" / f"{part}.csv", index=False)
    load.to_csv(folder / "comma.csv", index=False, sep=";", decimal=",")
    points = [f"{number:,.0f}".replace(",", ".") for number in 1500 + 400 * CYCLE]
    pd.DataFrame({"time": HOURS, "load": points}).to_csv(folder / "points.csv", index=False, sep=";")
    load.assign(load=np.where(np.arange(600) % 50, CYCLE, -200)).to_csv(folder / "air.csv", index=False)
    uneven = HOURS + pd.to_timedelta(np.random.default_rng(0).integers(0, 3000, 600), "s")
    pd.DataFrame({"time": uneven, "load": CYCLE}).to_csv(folder / "sensor.csv", index=False)
    waves = np.sin(np.arange(20) / (2 + np.arange(40)[:, None] % 2)) + np.arange(40)[:, None] / 100
    rows = pd.DataFrame(waves, columns=[f"t{step}" for step in range(20)])
    rows.insert(0, "label", ["slow", "fast"] * 20)
    rows.to_csv(folder / "waves.csv", index=False)
    rows.drop(columns="label").to_csv(folder / "unlabelled.csv", index=False)
    steps = [(i, step, waves[i, step], ["slow", "fast"][i % 2]) for i in range(40) for step in range(20)]
    pd.DataFrame(steps, columns=["id", "step", "value", "label"]).to_csv(folder / "steps.csv", index=False)
    (folder / "UCRArchive_2018" / "ECG200").mkdir(parents=True)
    for split, beats in (("TRAIN", waves[:20]), ("TEST", waves[20:])):
        lines = ["\t".join(map(str, [i % 2, *row])) for i, row in enumerate(beats)]
        for file in (folder / f"ECG200_{split}.tsv", folder / "UCRArchive_2018" / "ECG200" / f"ECG200_{split}.tsv"):
            file.write_text("\n".join(lines) + "\n")
    pd.DataFrame({"time": HOURS, "variance": np.exp(CYCLE)}).to_csv(folder / "variance.csv", index=False)


def write_images(folder):
    write_pictures(folder / "images", ("cat", "dog"), 20)
    for part in ("Training", "Testing"):
        write_pictures(folder / "parts" / part, ("cat", "dog"), 12)
    for name, classes in (
        ("years/before", ("cat", "dog")),
        ("years/after", ("cat", "dog")),
        ("sides/cat", ("left", "right")),
        ("sides/dog", ("left", "right")),
    ):
        write_pictures(folder / name, classes, 12)
    write_pictures(folder / "damaged", ("cat", "dog"), 20)
    next((folder / "damaged" / "cat").glob("*")).write_bytes(b"no image")
    files = sorted(str(file.relative_to(folder)) for file in (folder / "images").glob("*/*"))
    labels = [file.split("/")[1] for file in files]
    pd.DataFrame({"image": files, "label": labels}).to_csv(folder / "labels.csv", index=False)
    captions = pd.DataFrame({"image": files * 2, "caption": [f"a {label}" for label in [*labels, *labels]]})
    captions.to_csv(folder / "captioned.csv", index=False)
    beside = [file.removeprefix("images/") for file in files]
    captions.assign(image=beside * 2).to_csv(folder / "names.csv", index=False)
    write_captions(folder / "flickr")
    write_coco(folder / "coco")
    texts = [f"what a {label}" for label in labels]
    pd.DataFrame({"text": texts, "image": files, "label": labels}).to_csv(folder / "posts.csv", index=False)
    chance = np.random.default_rng(0)
    arrays = {
        f"{split}_{name}": value
        for split in ("train", "val", "test")
        for name, value in {
            "images": chance.integers(0, 256, (20, 28, 28), dtype=np.uint8),
            "labels": np.arange(20).reshape(-1, 1) % 2,
        }.items()
    }
    np.savez(folder / "pneumonia.npz", **arrays)
    several = {name: chance.integers(0, 2, (20, 14)) if "labels" in name else value for name, value in arrays.items()}
    np.savez(folder / "chest.npz", **several)
    grades = {name: np.arange(20).reshape(-1, 1) % 5 if "labels" in name else value for name, value in arrays.items()}
    np.savez(folder / "retina.npz", **grades)
    voice, face = chance.normal(size=(60, 4)), chance.normal(size=(60, 3, 5))
    table = pd.DataFrame({"width": voice[:, 0], "height": voice[:, 1], "label": ["bad", "good"] * 30})
    table["measured"] = table[["width", "height"]].values.tolist()
    table.to_parquet(folder / "parts.parquet")
    np.savez(folder / "clips.npz", voice=voice, face=face, label=np.arange(60) % 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    write_tables(path)
    write_series(path)
    write_images(path)
    write_words(path / "words", count=20)
    lines = [f"words/{word}/{i}.wav,{word},{i // 2}" for word in ("high", "low") for i in range(20)]
    (path / "clips.csv").write_text("\n".join(["path,label,speaker", *lines]) + "\n")
    write_events(path / "events.csv")
    pairs = [(f"the {number} cats", f"die {number} Katzen") for number in range(200)]
    write_pairs(path / "pairs.csv", pairs)
    write_aligned(path, "train", pairs)
    write_pairs(path / "first.csv", pairs[:100])
    write_pairs(path / "second.csv", pairs[100:])
    write_jsonl(
        path / "references.jsonl", [{"source": source, "target": [target, "Katzen"]} for source, target in pairs[:9]]
    )
    write_pairs(path / "chinese.csv", [(f"the {number} cats", f"这{number}只猫") for number in range(200)])
    return path


def test_there_are_rows():
    assert len(ROWS) >= 25


@pytest.mark.parametrize(("have", "command"), ROWS, ids=[have for have, _ in ROWS])
def test_what_to_type_is_read(have, command, folder, monkeypatch):
    monkeypatch.chdir(folder)
    data = load(*quote_signs(shlex.split(command.replace("\\|", "|"))), "encoder=tiny")
    assert min(map(data.count, ("train", "val", "test"))) > 0
    assert not any("unknown, the encoder does not see them" in note for note in data.notes)
