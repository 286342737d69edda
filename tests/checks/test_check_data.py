"""Checks of prepared data, the report, and the command."""

import csv
import json
import re
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mla_train.checks import LoadedExamples, check_data, plain_values, problems_of
from mla_train.checks.label_errors import check_label_errors
from mla_train.commands import check_data as command
from mla_train.errors import UserError
from mla_train.report.run_report import report_run
from mla_train.task import build_task
from tests.helpers import SMALL, config, run_here, write_jsonl

HOSTILE = '<img src=x onerror="alert(1)"> </td><script>alert(2)</script>'
WORDS = ["film", "book", "play", "song", "story", "scene", "actor", "voice", "plot", "end", "start", "music"]
TASKS = [
    [],
    ["task=text_classification", "data.tfidf_features=1000"],
    ["task=translation", "data.train_size=1500", "data.val_size=50", "data.test_size=50"],
    ["task=forecasting"],
    ["task=masked_windows"],
    ["task=multimodal_sentiment"],
    ["task=series_classification"],
    ["task=speech_classification"],
]


def texts(count, seed=0):
    generator = np.random.default_rng(seed)
    return [" ".join(generator.choice(WORDS, 12)) for _ in range(count)]


def checks_of(*words):
    return {check.name: check for check in check_data(build_task(config(*words)).load_data())}


@pytest.fixture
def files(tmp_path):
    """Three splits of texts: two of test are in train, one of them nearly, one with another label; a token tells `bad`."""
    train = [
        {"text": f"{text}{' indeed' if i % 4 == 0 else ''}", "label": ("bad", "good", "fair", "good")[i % 4]}
        for i, text in enumerate(texts(80))
    ]
    val = [{"text": text, "label": ("bad", "good", "fair")[i % 3]} for i, text in enumerate(texts(20, 1))]
    test = [{"text": text, "label": ("bad", "good", "fair")[i % 3]} for i, text in enumerate(texts(20, 2))]
    test[4]["text"] = train[9]["text"]
    test[5] = {"text": train[8]["text"].replace(" ", "  ").upper() + " !!", "label": "bad"}
    test[6]["text"] = train[11]["text"]
    test[6]["label"] = "fair"
    val[3]["text"] = HOSTILE
    return [
        f"data.{split}={write_jsonl(tmp_path / f'{split}.jsonl', rows)}"
        for split, rows in (("train", train), ("val", val), ("test", test))
    ]


def run_command(monkeypatch, folder, *words):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["scripts/check_data.py", *words])
    command.main()


def test_what_is_wrong_with_texts_is_counted(files):
    checks = checks_of("task=text_classification", "data=text_files", *files)
    duplicates = checks["duplicates"].values
    assert duplicates["test"] == {"equal_within": 0, "equal_across": 2, "near_within": 0, "near_across": 1}
    assert duplicates["train"] == {"equal_within": 0, "equal_across": 0, "near_within": 0, "near_across": 0}
    assert duplicates["different_targets"] == 1
    listed = [(each["kind"], each["example"], each["example it repeats"]) for each in checks["duplicates"].listing]
    assert [kind for kind, _, _ in listed] == ["equal", "equal", "near"]
    assert re.search("test.jsonl.*5$", listed[0][1])
    assert re.search("train.jsonl.*10$", listed[0][2])
    assert "2 of 20 examples of test" in checks["duplicates"].problems[0]
    assert "duplicates.csv" in checks["duplicates"].problems[0]
    assert checks["labels"].values["train"] == {"bad": 20, "fair": 20, "good": 40}
    assert checks["labels"].values["imbalance"] == 2
    assert checks["inputs"].values["val"] == {"examples": 20, "text missing": 0}
    (token,) = checks["leakage"].values["tokens"]
    assert token == {"input": "text", "token": "indeed", "class": "bad", "precision": 1.0, "coverage": 1.0}
    assert "indeed" in checks["leakage"].problems[0]
    assert checks["texts_text"].values["val"]["unknown_share"] > 0
    assert json.loads(json.dumps(plain_values(checks.values())))["duplicates"]["problems"]


def test_long_and_unknown_texts_and_rare_classes_name_their_options(tmp_path):
    rows = [
        {"text": f"{text} w{i} x{i} y{i} {'z' * i}", "label": "ab"[i % 50 == 0]} for i, text in enumerate(texts(200))
    ]
    file = write_jsonl(tmp_path / "a.jsonl", rows)
    checks = checks_of(
        "task=text_classification",
        "data=text_files",
        f"data.train={file}",
        "data.tokens=word",
        "data.max_length=13",
        "data.rare=keep_in_train",
    )
    problems = " ".join(problems_of(checks.values()))
    assert checks["texts_text"].values["train"]["cut_share"] == 1.0
    assert "data.max_length" in problems
    assert "macro F1" in problems
    wide = checks_of("task=text_classification", "data=text_files", f"data.train={file}", "data.tokens=word")
    share = wide["texts_text"].values["test"]["unknown_share"]
    assert 0.2 < share < 0.3


def test_hidden_words_are_not_unknown(tmp_path):
    file = tmp_path / "corpus.txt"
    file.write_text("\n".join(texts(200)))
    hidden = checks_of("task=masked_lm", "data=text_lines", f"data.train={file}", "data.tokens=word")["texts_text"]
    assert "unknown" not in " ".join(hidden.problems)
    for split in ("train", "val", "test"):
        assert hidden.values[split]["unknown_share"] < 0.1


def write_images(folder, side_of):
    generator = np.random.default_rng(0)
    for name, level in (("cat", 60), ("dog", 120)):
        (folder / name).mkdir(parents=True)
        for i in range(30):
            pixels = generator.integers(0, level, (side_of(name), 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")


def test_images_are_described_and_a_size_that_tells_the_class_is_found(tmp_path):
    write_images(tmp_path / "a", lambda name: {"cat": 20, "dog": 24}[name])
    Image.open(tmp_path / "a/cat/1.png").save(tmp_path / "a/cat/copy.bmp")
    Image.new("RGB", (20, 20), (9, 9, 9)).save(tmp_path / "a/cat/blank.png")
    checks = checks_of("data=image_folder", f"data.root={tmp_path / 'a'}")
    assert checks["images_image"].values == {"sizes": 2, "modes": {"RGB": 62}}
    inputs = checks["inputs"].values
    assert sum(inputs[split]["image constant"] for split in inputs) == 1
    duplicates = checks["duplicates"].values
    assert (
        sum(duplicates[split][key] for split in ("train", "val", "test") for key in ("equal_within", "equal_across"))
        == 1
    )
    accuracies = {each["input"]: each["alone"] for each in checks["leakage"].values["columns"]}
    assert accuracies["height of the files of image"] == 1.0
    assert "width of the files of image" not in accuracies


def test_gaps_and_a_known_column_that_tells_the_future_are_found(tmp_path):
    generator = np.random.default_rng(0)
    load = generator.normal(size=600).cumsum()
    table = pd.DataFrame(
        {"time": pd.date_range("2024-01-01", periods=600, freq="h"), "load": load, "plan": load * 2 + 1}
    )
    table.loc[100:104, "load"] = np.nan
    table.to_csv(tmp_path / "a.csv", index=False)
    words = [
        "task=forecasting",
        "data=series_csv",
        f"data.path={tmp_path / 'a.csv'}",
        "data.look_back=24",
        "data.horizon=6",
    ]
    check = checks_of(*words, "data.known=[plan]")["series"]
    assert check.values["missing"] == {"load": 5}
    assert check.values["longest_gap"] == {"load": 5}
    assert check.values["leaks"] == [{"covariate": "plan", "role": "known", "series": "load", "steps_ahead": 0}]
    assert "data.known=" in check.problems[0]
    assert checks_of(*words, "data.observed=[plan]")["series"].values["leaks"] == []


def test_the_command_writes_the_report_and_the_lists(files, tmp_path, monkeypatch, capsys):
    run_command(
        monkeypatch, tmp_path, "task=text_classification", "data=text_files", *files, "--output", "out/page.html"
    )
    out = capsys.readouterr().out
    assert "80 train, 20 val, 20 test examples" in out
    assert "look at: 2 of 20 examples of test are in an earlier split" in out
    page = (tmp_path / "out/page.html").read_text()
    assert HOSTILE not in page
    assert "<img src=x" not in page
    assert page.count("<script>") == 1
    assert not re.search(r"(src|href)=[\"'](?!data:)", page)
    assert len(page) < 1_000_000
    rows = list(csv.DictReader((tmp_path / "out/duplicates.csv").open()))
    assert len(rows) == 3
    run_command(monkeypatch, tmp_path, "--no-label-errors", "task=text_classification", "data=text_files", *files)
    assert (tmp_path / "data_report.html").is_file()
    assert not (tmp_path / "label_errors.csv").exists()
    (tmp_path / "duplicates.csv").write_text("of an earlier check\n")
    capsys.readouterr()
    alone = write_jsonl(tmp_path / "b.jsonl", [{"text": text, "label": i % 2} for i, text in enumerate(texts(60))])
    run_command(
        monkeypatch, tmp_path, "task=text_classification", "data=text_files", f"data.train={alone}", "--no-label-errors"
    )
    assert "duplicates.csv is of an earlier check; now there is nothing to list" in capsys.readouterr().out


def test_histories_that_users_share_are_no_fault(tmp_path):
    rows = [f"u{user},i{item},{item}" for user in range(20) for item in range(5)]
    file = tmp_path / "events.csv"
    file.write_text("\n".join(["user,item,time", *rows]) + "\n")
    checks = checks_of("task=recommendation", "data=event_files", f"data.path={file}")
    assert "duplicates" not in checks
    assert not problems_of(list(checks.values()))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["task=forecasting", "--label-errors"], "--label-errors"),
        (["task=text_clasification"], "text_classification"),
        (["data=text_files", "task=text_classification"], "data.train"),
        (["--output", "."], "name a file"),
    ],
)
def test_a_wrong_command_is_one_line(words, message, tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit) as stopped:
        run_command(monkeypatch, tmp_path, *words)
    assert stopped.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error


@pytest.mark.parametrize("words", TASKS, ids=lambda words: (words or ["digits"])[0])
def test_every_task_is_checked(words, tmp_path, monkeypatch, capsys):
    run_command(monkeypatch, tmp_path, *words, "--no-label-errors")
    assert "written: data_report.html" in capsys.readouterr().out
    assert (tmp_path / "data_report.html").stat().st_size < 1_000_000


def test_a_run_holds_the_checks_and_survives_their_failure(files, tmp_path, monkeypatch):
    words = ["task=text_classification", "data=text_files", *files, "debug=fast", *SMALL]
    run_here(tmp_path / "run", *words, report=report_run)
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["data_checks"]["duplicates"]["test"]["equal_across"] == 2
    assert (tmp_path / "run/data_report.html").is_file()
    report = (tmp_path / "run/report.html").read_text()
    assert 'href="data_report.html"' in report
    assert "2 of 20 examples of test are in an earlier split" in report
    monkeypatch.setattr("mla_train.checks.check_data", lambda *_, **__: 1 / 0)
    run_here(tmp_path / "other", *words, report=report_run)
    assert json.loads((tmp_path / "other/results.json").read_text())["data_checks"] == {}
    assert not (tmp_path / "other/data_report.html").exists()


def rows_with_wrong_labels():
    """Rows of two classes that words tell; those of places 10, 31 and 52 have the other label."""
    generator = np.random.default_rng(0)
    rows = [
        {"text": " ".join([*generator.choice([["good", "fine", "nice"], ["bad", "poor", "dull"]][i % 2], 4), *generator.choice(WORDS, 6)]), "label": "yn"[i % 2]}
        for i in range(200)
    ]  # fmt: skip
    for i in (10, 31, 52):
        rows[i]["label"] = "ny"[i % 2]
    return rows


def test_the_command_lists_labels_that_are_probably_wrong(tmp_path, monkeypatch, capsys):
    file = write_jsonl(tmp_path / "a.jsonl", rows_with_wrong_labels())
    run_command(monkeypatch, tmp_path, "task=text_classification", "data=text_files", f"data.train={file}")
    assert "look at: 3 of 200 labels may be wrong" in capsys.readouterr().out
    errors = list(csv.DictReader((tmp_path / "label_errors.csv").open()))
    assert list(errors[0]) == ["split", "example", "label", "suggested", "score"]
    assert {int(re.search(r"(\d+)$", row["example"])[1]) - 1 for row in errors} == {10, 31, 52}
    assert all(row["label"] != row["suggested"] for row in errors)
    assert (np.diff([float(row["score"]) for row in errors]) <= 0).all()


@pytest.mark.parametrize("clean", ["drop", "relabel"])
def test_wrong_labels_of_train_alone_are_cleaned(clean, tmp_path):
    rows = rows_with_wrong_labels()
    words = [
        f"data.{split}={write_jsonl(tmp_path / f'{split}.jsonl', part)}"
        for split, part in (("train", rows[:160]), ("val", rows[160:180]), ("test", rows[180:]))
    ]
    data = build_task(config("task=text_classification", "data=text_files", *words, f"data.clean={clean}")).load_data()
    (note,) = [note for note in data.notes if "data.clean=" in note]
    assert note.startswith("3 of 160 training examples have a label that is probably wrong")
    assert data.count("train") == {"drop": 157, "relabel": 160}[clean]
    labels = {
        name: data.spec.target.classes[label] for name, label in zip(data.train.names, data.train.targets, strict=True)
    }
    by_number = {int(re.search(r"(\d+)$", name)[1]) - 1: label for name, label in labels.items()}
    for i in (10, 31, 52):
        assert by_number.get(i) == {"drop": None, "relabel": "yn"[i % 2]}[clean]
    assert data.count("val") == data.count("test") == 20


def test_labels_that_say_nothing_of_the_texts_are_not_cleaned(tmp_path):
    labels = np.random.default_rng(3).integers(0, 2, 200)
    rows = [{"text": text, "label": "yn"[label]} for text, label in zip(texts(200), labels, strict=True)]
    words = ["task=text_classification", "data=text_files", f"data.train={write_jsonl(tmp_path / 'a.jsonl', rows)}"]
    check = check_label_errors(LoadedExamples(build_task(config(*words)).load_data()))
    assert check.values == {"cannot_tell": True}
    assert not check.problems
    assert not check.listing
    with pytest.raises(UserError, match=r"data\.clean=drop"):
        build_task(config(*words, "data.clean=drop")).load_data()
