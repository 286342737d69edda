"""scripts/evaluate.py: the metrics of training on labelled data, with intervals and slices."""

import csv
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

import mla_train
from mla_train.commands.evaluate import main
from mla_train.errors import UserError
from mla_train.heads.token_scores import TokenScores
from mla_train.inference.evaluate import _targets, intervals, read_labelled, slices
from mla_train.inference.examples import open_examples
from tests.helpers import (
    config,
    hourly_table,
    number_pairs,
    read_jsonl,
    run_here,
    write_jsonl,
    write_pairs,
    write_pictures,
    write_reviews,
)


@pytest.fixture(scope="module")
def text_run(tmp_path_factory):
    """A classifier of two classes with a test file of its own."""
    folder = tmp_path_factory.mktemp("text")
    write_reviews(folder / "train.csv", 30)
    with (folder / "train.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    with (folder / "test.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["text", "label", "place", "size"])
        writer.writeheader()
        for i, row in enumerate(rows[::3]):
            text = f"{row['text']} again"
            writer.writerow({"text": text, "label": row["label"], "place": "here" if i % 3 else "there", "size": i})
    words = ["task=text_classification", "data=text_files", f"data.train={folder / 'train.csv'}"]
    run_here(folder / "run", *words, f"data.test={folder / 'test.csv'}", "epochs=2")
    return folder


@pytest.fixture
def evaluate(monkeypatch, capsys, tmp_path):
    """The script with some words: what it prints, and evaluation.json."""

    def call(*words, fails=False):
        monkeypatch.setattr(
            "sys.argv", ["evaluate.py", *map(str, words), "--output", str(tmp_path / "out"), "--draws", "50"]
        )
        capsys.readouterr()
        if fails:
            with pytest.raises(SystemExit):
                main()
            return capsys.readouterr(), None
        main()
        return capsys.readouterr(), json.loads((tmp_path / "out" / "evaluation.json").read_text())

    return call


def values(found, name="all"):
    return {metric: each["value"] for metric, each in found["slices"][name]["metrics"].items()}


def test_the_test_split_and_the_test_file_have_the_metrics_of_the_run(text_run, evaluate, tmp_path):
    written = json.loads((text_run / "run" / "results.json").read_text())["metrics"]["test"]
    written.pop("loss")
    _, split = evaluate("--run", text_run / "run")
    assert values(split) == written
    said, file = evaluate("--run", text_run / "run", "--input", text_run / "test.csv")
    assert values(file) == written
    assert "accuracy" in said.out
    for name in ("calibration.png", "confusion.png"):
        assert (tmp_path / "out" / name).stat().st_size > 5000
    assert 0 <= file["slices"]["all"]["metrics"]["ece"]["value"] <= 1
    wrong = [row for row in read_jsonl(text_run / "run" / "predictions.jsonl") if row["label"] != row["prediction"]]
    assert {row["text"] for row in file["worst"]} == {row["text"] for row in wrong}
    sizes = [row["probability"] for row in file["worst"]]
    assert sizes == sorted(sizes, reverse=True)


def test_slices_are_evaluated_one_by_one(text_run, evaluate):
    said, found = evaluate("--run", text_run / "run", "--input", text_run / "test.csv", "--by", "place")
    numbers = {name: each["examples"] for name, each in found["slices"].items()}
    assert numbers["here"] + numbers["there"] == numbers["all"]
    mean = sum(numbers[name] * values(found, name)["accuracy"] for name in ("here", "there")) / numbers["all"]
    assert mean == pytest.approx(values(found)["accuracy"])
    assert "there" in said.out
    rows = [{"size": i} for i in range(100)]
    parts = slices(rows, "size")
    assert [len(places) for places in parts.values()] == [25, 25, 25, 25]
    assert sorted(np.concatenate(list(parts.values()))) == list(range(100))
    with pytest.raises(UserError, match="at most, or numbers"):
        slices([{"name": f"n{i}"} for i in range(100)], "name")
    assert (
        "place, size"
        in evaluate("--run", text_run / "run", "--input", text_run / "test.csv", "--by", "x", fails=True)[0].err
    )


@pytest.mark.parametrize("word", ["NaN", "nan", None, float("nan"), ""])
def test_numbers_that_are_missing_are_a_slice_of_their_own(word):
    parts = slices([*({"x": str(value)} for value in range(100)), *({"x": word} for _ in range(30))], "x")
    assert {name: len(places) for name, places in parts.items()} == {
        "(empty)": 30, "0 to 24.75": 25, "24.75 to 49.5": 25, "49.5 to 74.25": 25, "74.25 to 99": 25,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("numbers", "sizes"),
    [
        (range(1_700_000_000, 1_700_000_100), [25] * 4),
        ([*range(50), *range(10**9, 10**9 + 50)], [25] * 4),
        ([*range(98), float("inf"), float("-inf")], [26, 24, 24, 26]),
        (["1." + "0" * zeros for zeros in range(30)], [30]),
    ],
)
def test_ranges_of_numbers_of_any_size_are_told_apart(numbers, sizes):
    parts = slices([{"x": number} for number in numbers], "x")
    assert [len(places) for places in parts.values()] == sizes
    assert not any("nan" in name for name in parts)


def test_what_cannot_be_evaluated_is_counted_and_named(text_run, evaluate, tmp_path):
    content = (text_run / "test.csv").read_text() + "a new film,great,here,1\n,good,here,1\nno label,,here,1\na,b,c\n"
    (tmp_path / "a.csv").write_text(content)
    said, found = evaluate("--run", text_run / "run", "--input", tmp_path / "a.csv")
    assert "left out 1 rows with labels that the model does not know: great" in said.err
    assert "left out 3 rows that cannot be read" in said.err
    assert values(found) == values(evaluate("--run", text_run / "run")[1])
    (tmp_path / "b.csv").write_text("text,answer\nfine,good\npoor,bad\n")
    assert "--label COLUMN" in evaluate("--run", text_run / "run", "--input", tmp_path / "b.csv", fails=True)[0].err
    _, found = evaluate("--run", text_run / "run", "--input", tmp_path / "b.csv", "--label", "answer")
    assert found["slices"]["all"]["examples"] == 2
    (tmp_path / "c.csv").write_text("text,label\nfine,other\n")
    assert (
        "no row that can be evaluated: left out 1 rows with labels that the model does not know: other"
        in evaluate("--run", text_run / "run", "--input", tmp_path / "c.csv", fails=True)[0].err
    )


def test_labels_are_read_from_the_column_and_as_the_numbers_of_the_training_data(tmp_path, evaluate):
    rows = [f"{'good ' * (i % 4)}film {i},{i % 4}" for i in range(60)]
    (tmp_path / "train.csv").write_text("\n".join(["Text,Class", *(f"{row}.5 kg" for row in rows)]))
    words = ["task=text_classification", "data=text_files", "task.head=regression", "epochs=1"]
    run_here(tmp_path / "run", *words, f"data.train={tmp_path / 'train.csv'}")
    (tmp_path / "a.csv").write_text("\n".join(["Text,Class,label", *(f"{row}.5 kg,9 kg" for row in rows)]))
    (tmp_path / "b.csv").write_text("\n".join(["text,label", *(f"{row}.5" for row in rows)]))
    of_both, bare = (evaluate("--run", tmp_path / "run", "--input", tmp_path / f"{name}.csv") for name in "ab")
    assert values(of_both[1]) == values(bare[1])
    assert values(bare[1])["mae"] < 3
    assert "has no column Class, the labels of the training data: column label is read" in bare[0].err
    assert "label has numbers without a unit, which are read in kg, as in the training data" in bare[0].err
    assert "labels of the training data" not in of_both[0].err


def test_rows_without_labels_are_examples_where_training_takes_them_so():
    separated = config("task=text_classification", "data=text_files", "data.label_separator=|").data
    lists = config("task=text_classification", "data=text_files").data
    for cell in (None, "", "nan"):
        assert _targets(cell, "label", "multilabel", separated) == [cell]
        assert _targets(cell, "label", "multilabel", lists) == []
    assert _targets([], "label", "multilabel", lists) == [[]]


def test_references_that_are_written_as_one_text_are_refused():
    options = config("task=translation", "data=pair_files").data
    assert _targets(["a", "b"], "target", "generation", options) == ["a", "b"]
    with pytest.raises(UserError, match="target is a list that is written as text"):
        _targets("['a', 'b']", "target", "generation", options)


def test_rare_classes_are_class_other_as_in_training(tmp_path, evaluate):
    names = [*["good", "bad"] * 20, *["poor", "fine", "odd"] * 2]
    for part in ("train", "test"):
        write_jsonl(tmp_path / f"{part}.jsonl", [{"text": f"{n} {part} {i}", "label": n} for i, n in enumerate(names)])
    words = [f"data.{part}={tmp_path / part}.jsonl" for part in ("train", "test")]
    run_here(
        tmp_path / "run",
        "task=text_classification",
        "data=text_files",
        *words,
        "data.rare=other",
        "data.min_class_size=4",
        "epochs=1",
    )
    _, split = evaluate("--run", tmp_path / "run")
    said, file = evaluate("--run", tmp_path / "run", "--input", tmp_path / "test.jsonl")
    assert values(file) == values(split)
    assert "6 labels that are no class of the model count as class other: fine, odd, poor (data.rare)" in said.err


def test_models_without_labels_have_nothing_to_compare_with(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "new"}\n')
    spec = SimpleNamespace(head=TokenScores, target=None, inputs={})
    with pytest.raises(UserError, match="no labels to compare with"):
        read_labelled(SimpleNamespace(spec=spec, config=SimpleNamespace(data=None)), str(tmp_path / "a.jsonl"), {})


def test_images_of_captions_lie_beside_the_table_which_is_said_where_they_did_not_in_training(tmp_path):
    (tmp_path / "a.csv").write_text("image,caption\n1.png,a cat\n")
    data = SimpleNamespace(images="elsewhere")
    inputs = {"image": SimpleNamespace(kind="image")}
    predictor = SimpleNamespace(spec=SimpleNamespace(inputs=inputs), config=SimpleNamespace(data=data))
    source = open_examples(predictor, str(tmp_path / "a.csv"))
    assert source.notes == [f"paths are relative to {tmp_path}, and to data.images=elsewhere in the training data"]


def test_intervals_hold_the_value_and_shrink_with_more_examples(text_run):
    model = mla_train.load(text_run / "run")
    head = model.network.head
    generator = np.random.default_rng(0)

    def made(count):
        label = generator.integers(0, 2, count)
        predicted = np.where(generator.random(count) < 0.8, label, 1 - label)
        return {"index": np.arange(count), "label": label, "predicted": predicted}

    few, many = (intervals(head, made(count), draws=300)["accuracy"] for count in (50, 800))
    for each in (few, many):
        assert each["low"] <= each["value"] <= each["high"]
    # Normal approximation: 1.96 sqrt(p (1 - p) / n) to each side.
    assert many["high"] - many["low"] == pytest.approx(2 * 1.96 * np.sqrt(0.8 * 0.2 / 800), rel=0.25)
    assert few["high"] - few["low"] > 2 * (many["high"] - many["low"])


def test_numbers_labels_and_translations_are_evaluated(tmp_path, evaluate):
    rows = [{"text": f"{'good ' * (i % 4)}film {i}", "label": i % 4 + 0.5} for i in range(60)]
    lists = [{"text": row["text"], "label": ["a", "b"][: i % 3]} for i, row in enumerate(rows)]
    for kind, content in (("numbers", rows), ("lists", lists)):
        write_jsonl(tmp_path / f"{kind}.jsonl", content)
        write_jsonl(tmp_path / f"{kind}_test.jsonl", [{**row, "text": f"{row['text']} x"} for row in content[:20]])
        words = [f"data.train={tmp_path / kind}.jsonl", f"data.test={tmp_path / kind}_test.jsonl", "epochs=1"]
        run_here(tmp_path / kind, "task=text_classification", "data=text_files", *words)
        written = json.loads((tmp_path / kind / "results.json").read_text())["metrics"]["test"]
        _, found = evaluate("--run", tmp_path / kind, "--input", tmp_path / f"{kind}_test.jsonl")
        for name, value in values(found).items():
            assert value == pytest.approx(written[name], rel=1e-6), (kind, name)
    lacking = [{"text": "no label"}, {"text": "no label", "label": None}, {"text": "no label", "label": "nan"}]
    write_jsonl(tmp_path / "lacking.jsonl", [*read_jsonl(tmp_path / "lists_test.jsonl"), *lacking])
    said, file = evaluate("--run", tmp_path / "lists", "--input", tmp_path / "lacking.jsonl")
    assert "left out 3 rows that cannot be read" in said.err
    assert values(file) == values(found)
    write_pairs(tmp_path / "pairs.csv", number_pairs(60))
    run_here(tmp_path / "t", "task=translation", "data=pair_files", f"data.train={tmp_path / 'pairs.csv'}", "epochs=1")
    _, found = evaluate("--run", tmp_path / "t", "--input", tmp_path / "pairs.csv")
    assert found["slices"]["all"]["examples"] == 60
    assert found["worst"][0]["source"]
    pairs = number_pairs(20)
    lists = [{"source": source, "target": [target, "None", None, ""]} for source, target in pairs]
    write_jsonl(tmp_path / "lists.jsonl", lists)
    write_pairs(
        tmp_path / "rows.csv", [pair for source, target in pairs for pair in ((source, target), (source, "None"))]
    )
    (said, listed), (_, rows) = (
        evaluate("--run", tmp_path / "t", "--input", tmp_path / name) for name in ("lists.jsonl", "rows.csv")
    )
    assert listed["slices"]["all"]["examples"] == 40
    assert "20 inputs of evaluation have several targets" in said.err
    assert values(listed) == values(rows)


def test_forecasts_are_evaluated_on_the_test_split(tmp_path, evaluate):
    hourly_table().to_csv(tmp_path / "a.csv", index=False)
    words = ["data.look_back=24", "data.horizon=6", "task.patch=6", "epochs=1"]
    run_here(tmp_path / "run", "task=forecasting", "data=series_csv", f"data.path={tmp_path / 'a.csv'}", *words)
    written = json.loads((tmp_path / "run" / "results.json").read_text())["metrics"]["test"]
    _, found = evaluate("--run", tmp_path / "run")
    assert values(found)["mse"] == pytest.approx(written["mse"], rel=1e-6)
    each = found["slices"]["all"]["metrics"]["mse"]
    assert each["low"] < each["value"] < each["high"]
    windows = mla_train.load(tmp_path / "run").task.load_data().test.columns["series"]
    hourly_table()[windows.first - windows.look_back :].to_csv(tmp_path / "test.csv", index=False)
    _, found = evaluate("--run", tmp_path / "run", "--input", tmp_path / "test.csv")
    assert found["slices"]["all"]["examples"] == len(windows)
    for name in ("mse", "mae"):
        assert values(found)[name] == pytest.approx(written[name], rel=1e-5)
    shutil.rmtree(tmp_path / "run" / "model")
    assert "no finished model" in evaluate("--run", tmp_path / "run", fails=True)[0].err


def test_images_of_a_table_are_evaluated_and_broken_ones_counted(tmp_path, evaluate):
    write_pictures(tmp_path / "images")
    run_here(tmp_path / "run", "data=image_folder", f"data.root={tmp_path / 'images'}", "epochs=1")
    names = [f"{kind}/{i}.png" for kind in ("cat", "dog") for i in range(12)]
    lines = [f"images/{name},{name[:3]}" for name in names]
    (tmp_path / "images" / "broken.png").write_bytes(b"no image")
    (tmp_path / "a.csv").write_text(
        "\n".join(["image,label", *lines, "images/broken.png,cat", "images/none.png,dog"]) + "\n"
    )
    said, written = evaluate("--run", tmp_path / "run", "--input", tmp_path / "a.csv")
    records = mla_train.load(tmp_path / "run").predict([tmp_path / "images" / name for name in names])
    right = [record["prediction"] == name[:3] for record, name in zip(records, names, strict=True)]
    assert values(written)["accuracy"] == pytest.approx(np.mean(right))
    assert written["slices"]["all"]["examples"] == 24
    assert "left out 2 rows that cannot be read" in said.err
    (tmp_path / "images" / "broken.png").unlink()
    shutil.copytree(tmp_path / "images" / "cat", tmp_path / "images" / "dog" / "thumbs")
    said, of_folders = evaluate("--run", tmp_path / "run", "--input", tmp_path / "images")
    assert values(of_folders)["accuracy"] == values(written)["accuracy"]
    assert "left out 12 thumbnails: dog/thumbs/0.png" in said.err
    assert f"labels are the names of the folders in {tmp_path / 'images'}" in said.err
    assert (
        "in no folder of a class"
        in evaluate("--run", tmp_path / "run", "--input", tmp_path / "images" / "cat", fails=True)[0].err
    )


def test_data_that_has_changed_since_is_not_taken_for_the_test_split_of_the_run(tmp_path, evaluate):
    """Rows in another order would be cut into other splits, and their words have other numbers."""
    table = tmp_path / "reviews.csv"
    write_reviews(table, 40)
    run_here(tmp_path / "run", "task=text_classification", "data=text_files", f"data.train={table}", "epochs=1")
    head, *rows = table.read_text().splitlines()
    table.write_text("\n".join([head, *reversed(rows)]) + "\n")
    said = evaluate("--run", tmp_path / "run", fails=True)[0].err
    assert "is not that with which" in said
    assert "labels of" in said
    assert "--input" in said
    found = evaluate("--run", tmp_path / "run", "--input", table)[1]  # a file is another matter
    assert found["slices"]["all"]["examples"] == len(rows)
    (tmp_path / "run" / "results.json").unlink()  # of an exported folder less is known
    table.write_text(
        "\n".join([head, *(f"{row.partition(' ')[0]} newword{i} {row}" for i, row in enumerate(rows))]) + "\n"
    )
    assert "what was learned from it differs (text" in evaluate("--run", tmp_path / "run", fails=True)[0].err


def test_values_that_differ_a_little_are_said(text_run, evaluate, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(text_run / "run", copy)
    results = json.loads((copy / "results.json").read_text())
    results["fingerprint"]["inputs"]["text of test"] = "other"
    (copy / "results.json").write_text(json.dumps(results))
    said, found = evaluate("--run", copy)
    assert "NOT COMPARABLE: the data has changed" in said.err
    assert "values of text of test differ" in found["notes"][0]
