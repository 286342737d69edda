"""scripts/predict.py: a file in, the same rows with answers out."""

import base64
import csv
import gzip
import io
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from PIL import Image

import mla_train
from mla_train.commands.predict import main
from mla_train.errors import UserError
from mla_train.inference.columns import Files, find_columns, raw_value
from mla_train.inference.examples import open_examples
from mla_train.inference.files import CHUNK, Writer, open_source
from mla_train.inference.predict import _example as example_of
from mla_train.task import build_task
from tests.helpers import (
    config,
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
    """A classifier of two classes."""
    folder = tmp_path_factory.mktemp("text")
    write_reviews(folder / "reviews.csv", 30)
    words = ["task=text_classification", "data=text_files", f"data.train={folder / 'reviews.csv'}", "epochs=1"]
    run_here(folder / "run", *words)
    return folder / "run"


@pytest.fixture(scope="module")
def multilabel_run(tmp_path_factory):
    """A model of several labels."""
    folder = tmp_path_factory.mktemp("multilabel")
    rows = [
        {"text": f"{'good ' * (i % 2)}{'long ' * (i % 3)}film {i}", "label": ["a", "b"][: i % 3]} for i in range(60)
    ]
    write_jsonl(folder / "a.jsonl", rows)
    run_here(
        folder / "run", "task=text_classification", "data=text_files", f"data.train={folder / 'a.jsonl'}", "epochs=1"
    )
    return folder / "run"


@pytest.fixture
def predict(monkeypatch, capsys):
    """The script with some words: what it prints, and what it says beside."""

    def call(*words, stdin=b"", fails=False):
        monkeypatch.setattr("sys.argv", ["predict.py", *map(str, words)])
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        if fails:
            with pytest.raises(SystemExit) as stopped:
                main()
            assert stopped.value.code == 1
        else:
            main()
        return capsys.readouterr()

    return call


TEXTS = ["a fine film", "an awful, sad film", 'so "nice"', "poor", "two\nlines"]


def answers_in_python(run, texts):
    return mla_train.load(run).predict(texts)


def write_table(file, rows):
    """The rows in the format of the file's ending."""
    if file.suffix == ".jsonl":
        write_jsonl(file, rows)
    elif file.suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(file)
    else:
        pd.DataFrame(rows).to_csv(
            file, index=False, sep="\t" if ".tsv" in file.name else ";" if "semi" in file.name else ","
        )


def read_table(file):
    if file.suffix == ".jsonl":
        return read_jsonl(file)
    if file.suffix == ".parquet":
        return pyarrow.parquet.read_table(file).to_pylist()
    with file.open(newline="") as stream:
        return list(
            csv.DictReader(stream, delimiter="\t" if file.suffix == ".tsv" else ";" if "semi" in file.name else ",")
        )


@pytest.mark.parametrize("name", ["a.csv", "semi.csv", "a.tsv", "a.jsonl", "a.parquet", "a.csv.gz"])
def test_every_format_keeps_its_rows_and_columns(text_run, tmp_path, predict, name):
    rows = [{"id": f"0{i}", "text": text, "extra": i / 2} for i, text in enumerate(TEXTS)]
    write_table(tmp_path / name, rows)
    output = tmp_path / f"out_{name.removesuffix('.gz')}"
    said = predict("--run", text_run, "--input", tmp_path / name, "--output", output)
    written = read_table(output)
    assert list(written[0]) == ["id", "text", "extra", "prediction", "probability", "error"]
    assert [row["id"] for row in written] == [row["id"] for row in rows]
    assert [row["text"] for row in written] == TEXTS
    for row, record in zip(written, answers_in_python(text_run, TEXTS), strict=True):
        assert row["prediction"] == record["prediction"]
        assert float(row["probability"]) == pytest.approx(record["probability"], abs=2e-4)
        assert not row["error"]
    assert "5 rows" in said.err
    if name == "a.parquet":
        assert isinstance(written[1]["extra"], float)


def test_thousands_of_rows_of_all_lengths_keep_their_order(text_run, tmp_path, predict):
    generator = np.random.default_rng(0)
    texts = [f"{' '.join(['film'] * int(generator.integers(1, 30)))} {i}" for i in range(2 * CHUNK + 100)]
    (tmp_path / "a.txt").write_text("\n".join(texts) + "\n")
    predict("--run", text_run, "--input", tmp_path / "a.txt", "--output", tmp_path / "b.csv")
    written = read_table(tmp_path / "b.csv")
    assert [row["text"] for row in written] == texts
    expected = answers_in_python(text_run, texts[::97])
    assert [row["prediction"] for row in written[::97]] == [record["prediction"] for record in expected]


def test_a_bad_row_keeps_its_place(text_run, tmp_path, predict):
    (tmp_path / "a.csv").write_text("text,n\na fine film,1\n,2\n  ,3\nsad,4,5\npoor,6\n")
    said = predict("--run", text_run, "--input", tmp_path / "a.csv", "--output", tmp_path / "b.csv")
    rows = read_table(tmp_path / "b.csv")
    assert [row["n"] for row in rows] == ["1", "2", "3", "4", "6"]
    assert [bool(row["error"]) for row in rows] == [False, True, True, True, False]
    assert [bool(row["prediction"]) for row in rows] == [True, False, False, False, True]
    assert "line 5 has 3 cells, the header has 2" in rows[3]["error"]
    assert "5 rows" in said.err
    assert "3 with an error, the first: line 3: no text" in said.err
    said = predict(
        "--run",
        text_run,
        "--input",
        tmp_path / "a.csv",
        "--output",
        tmp_path / "c.csv",
        "--on-error",
        "stop",
        fails=True,
    )
    assert "line 3: no text" in said.err
    assert not list(tmp_path.glob("c.csv*"))
    lines = b'{"text": "fine"}\nno json\n[1]\n{"text": ["a"]}\n{"text": 5}\n'
    said = predict("--run", text_run, "--input", "-", "--format", "jsonl", stdin=lines)
    errors = [json.loads(line)["error"] for line in said.out.splitlines()]
    assert errors == [None, "line 2 is no JSON object", "line 3 is no JSON object", "a text is needed, not list", None]


def test_classes_are_ranked_and_uncertain_ones_left_out(text_run, tmp_path, predict):
    (tmp_path / "a.txt").write_text("a fine film\n")
    words = ["--run", text_run, "--input", tmp_path / "a.txt", "--top", "5", "--probabilities"]
    (row,) = csv.DictReader(predict(*words).out.splitlines())
    (record,) = answers_in_python(text_run, ["a fine film"])
    assert {name: float(row[f"probability {name}"]) for name in ("bad", "good")} == record["probabilities"]
    assert {row["prediction"], row["prediction_2"]} == {"bad", "good"}
    assert float(row["probability"]) + float(row["probability_2"]) == pytest.approx(1, abs=2e-4)
    (row,) = csv.DictReader(predict(*words, "--threshold", "1").out.splitlines())
    assert row["prediction"] == ""
    assert float(row["probability"]) > 0


def test_several_labels_stand_in_one_cell(multilabel_run, tmp_path, predict):
    (tmp_path / "a.txt").write_text("a good film\nlong\n")
    words = ["--run", multilabel_run, "--input", tmp_path / "a.txt"]
    rows = list(csv.DictReader(predict(*words, "--threshold", "0").out.splitlines()))
    assert [row["prediction"] for row in rows] == ["a|b", "a|b"]
    rows = list(csv.DictReader(predict(*words, "--threshold", "1").out.splitlines()))
    assert [row["prediction"] for row in rows] == ["", ""]
    write_jsonl(tmp_path / "a.jsonl", [{"text": "long"}])
    said = predict("--run", multilabel_run, "--input", tmp_path / "a.jsonl", "--threshold", "0")
    assert json.loads(said.out)["prediction"] == ["a", "b"]


def test_images_come_from_folders_tables_and_the_command_line(tmp_path, predict):
    write_pictures(tmp_path / "images")
    run_here(tmp_path / "run", "data=image_folder", f"data.root={tmp_path / 'images'}", "epochs=1")
    (tmp_path / "images" / "cat" / "broken.png").write_bytes(b"no image")
    said = predict("--run", tmp_path / "run", "--input", tmp_path / "images")
    rows = list(csv.DictReader(said.out.splitlines()))
    assert len(rows) == 25
    assert [row["image"] for row in rows] == sorted(row["image"] for row in rows)
    assert [row["image"] for row in rows if row["error"]] == ["cat/broken.png"]
    (tmp_path / "table.csv").write_text("photo\nimages/dog/3.png\nimages/none.png\n")
    found = list(csv.DictReader(predict("--run", tmp_path / "run", "--input", tmp_path / "table.csv").out.splitlines()))
    assert found[0]["prediction"] == next(row["prediction"] for row in rows if row["image"] == "dog/3.png")
    assert found[1]["error"]
    one = json.loads(predict("--run", tmp_path / "run", "--image", tmp_path / "images/dog/3.png").out)
    assert one["prediction"] == found[0]["prediction"]
    Image.new("L", (30, 20)).save(tmp_path / "images" / "other.png")
    assert "prediction" in json.loads(predict("--run", tmp_path / "run", "--image", tmp_path / "images/other.png").out)


def test_translations_are_lines(tmp_path, predict):
    write_pairs(tmp_path / "pairs.csv", number_pairs(60))
    run_here(
        tmp_path / "run", "task=translation", "data=pair_files", f"data.train={tmp_path / 'pairs.csv'}", "epochs=1"
    )
    lines = b"one two\n\nthree\n"
    said = predict("--run", tmp_path / "run", "--input", "-", stdin=lines)
    expected = mla_train.load(tmp_path / "run").predict(["one two", "three"])
    assert said.out.split("\n")[::2][:2] == [" ".join(record["prediction"].split()) for record in expected]
    assert said.out.split("\n")[1] == ""
    assert said.out.count("\n") == 3

    table = tmp_path / "lines.csv"
    table.write_text("source\none two\nthree\n")
    run = tmp_path / "run"
    rows = list(csv.DictReader(io.StringIO(predict("--run", run, "--input", table, "--n-best", 3, "--beams", 4).out)))
    for row in rows:
        scores = [float(row[name]) for name in ("score", "score_2", "score_3")]
        assert scores == sorted(scores, reverse=True)
        assert row["prediction"] != row["prediction_2"]
    scored = predict("--run", run, "--input", "-", "--scores", stdin=b"three\n").out.split("\t")
    assert float(scored[0]) == pytest.approx(expected[1]["score"], abs=1e-3)
    assert "--beams 6" in predict("--run", run, "--input", table, "--n-best", 6, "--beams", 2, fails=True).err
    assert ".jsonl" in predict("--run", run, "--input", "-", "--n-best", 2, stdin=lines, fails=True).err


@pytest.mark.parametrize("kind", ["long", "wide", "ts"])
def test_series_of_each_kind_of_file(tmp_path, predict, kind):
    file, words = tmp_path / ("a.ts" if kind == "ts" else "a.csv"), ["hardware.threads=1"]
    series = [np.sin(np.arange(12) * (1 + i % 2)) + i / 100 for i in range(24)]
    labels = ["ab"[i % 2] for i in range(24)]
    if kind == "long":
        rows = [
            f"{i},{step},{x},{y}"
            for i, (s, y) in enumerate(zip(series, labels, strict=True))
            for step, x in enumerate(s)
        ]
        file.write_text("\n".join(["id,step,x,label", *rows]))
        words += ["data.series_column=id", "data.time_column=step"]
    else:
        sign, first = (":", []) if kind == "ts" else (",", [",".join([*(f"t{i}" for i in range(12)), "label"])])
        lines = [f"{','.join(map(str, s))}{sign}{y}" for s, y in zip(series, labels, strict=True)]
        file.write_text("\n".join([*first, *lines]) + "\n")
    task = ["task=series_classification", "data=series_files", f"data.train={file}", "epochs=1"]
    run_here(tmp_path / "run", *task, *words)
    expected = mla_train.load(tmp_path / "run").predict([s[:, None] for s in series])
    rows = list(csv.DictReader(io.StringIO(predict("--run", tmp_path / "run", "--input", file).out)))
    assert [row["prediction"] for row in rows] == [record["prediction"] for record in expected]
    assert [row["label"] for row in rows] == labels
    file.write_text(file.read_text().replace("0.0,", "soft,", 1))
    said = predict("--run", tmp_path / "run", "--input", file, fails=kind == "ts")
    if kind != "ts":
        errors = [row["error"] for row in csv.DictReader(io.StringIO(said.out))]
        assert "is 'soft', not a number" in errors[0]
        assert not any(errors[1:])


def reader_of(*words):
    """What `open_examples` must know of a run, without training it."""
    options = config(*words)
    return SimpleNamespace(spec=build_task(options).load_data().spec, config=options)


@pytest.fixture(scope="module")
def dated(tmp_path_factory):
    """A long table whose dates may be read in two ways, of which training finds one, and the reader of such tables."""
    days = pd.date_range("2024-01-20", periods=31)  # from 20/01 on, so that months come second
    rows = [(f"s{i}", days[i + step], (-1) ** i * step + i / 97, "ab"[i % 2]) for i in range(20) for step in range(12)]
    table = pd.DataFrame(rows, columns=["id", "when", "x", "label"])
    table["when"] = table["when"].dt.strftime("%d/%m/%Y")
    file = tmp_path_factory.mktemp("dated") / "a.csv"
    table.to_csv(file, index=False)
    columns = ["data.series_column=id", "data.time_column=when"]
    return reader_of("task=series_classification", "data=series_files", f"data.train={file}", *columns), table


def test_images_of_a_table_are_found_as_in_training_and_in_its_folder_alone(tmp_path):
    (tmp_path / "in" / "Pics").mkdir(parents=True)
    for file in (tmp_path / "in" / "Pics" / "A.PNG", tmp_path / "secret.png"):
        Image.new("L", (4, 4)).save(file)
    actual = tmp_path / "in" / "Pics" / "A.PNG"
    coded = base64.b64encode(actual.read_bytes()).decode()
    missing = "x" * 5000
    outside = "../secret.png", str(tmp_path / "secret.png"), "https://example.org/a.png"
    cells = [r"pics\a.png", "Pics/A.PNG", coded, missing, *outside]
    pd.DataFrame({"image": cells}).to_csv(tmp_path / "in" / "a.csv", index=False)
    source = open_source(tmp_path / "in" / "a.csv")
    files, (written, plain, content, lost, *others) = Files(source), source.rows

    def found(row):
        return raw_value("image", row, "image", files)

    assert found(written) == found(plain) == actual.resolve()
    assert found(content) == actual.read_bytes()
    assert not found(lost).exists()
    for row in others:
        with pytest.raises(UserError, match=f"{row.place}: the image .* (outside|web)"):
            found(row)
    assert [note for note in source.notes if "written otherwise" in note and r"pics\\a.png" in note]


def texts_of(reader, file):
    """Raw texts of a file, or what is wrong with a row, and the notes on its columns."""
    notes, source = [], open_examples(reader, str(file))
    where = find_columns(reader, source.columns, {}, source.name, notes)
    examples = [example_of(reader, row, where, Files(source)) for row in source.rows]
    return [each if isinstance(each, str) else each["text"] for each in examples], notes


@pytest.mark.parametrize("name", ["sentence", "Text"])
@pytest.mark.parametrize("task", ["text_classification data=text_files", "masked_lm data=text_lines"])
def test_texts_are_read_from_the_column_of_training(tmp_path, name, task):
    table = pd.DataFrame({name: [f"good film {i}" for i in range(40)], "label": ["a", "b"] * 20})
    table.to_csv(tmp_path / "a.csv", index=False)
    reader = reader_of(*f"task={task}".split(), f"data.train={tmp_path / 'a.csv'}")
    labels = {"label": "label"} if "classification" in task else {}
    assert reader.spec.columns == {"text": name} | labels
    assert reader.spec.to_dict()["columns"] == {"text": name} | labels
    table.assign(text="another").to_csv(tmp_path / "b.csv", index=False)
    assert texts_of(reader, tmp_path / "b.csv")[0] == table[name].tolist()
    table.rename(columns={name: "text"}).to_csv(tmp_path / "c.csv", index=False)
    texts, notes = texts_of(reader, tmp_path / "c.csv")
    assert texts == table[name].tolist()
    assert any(f"has no column {name}, which text was read from in training" in note for note in notes)


@pytest.mark.parametrize("columns", ["text", "[title,text]"])
def test_marks_of_missing_texts_are_those_of_training(tmp_path, columns):
    table = pd.DataFrame({"title": "-", "text": [f"good film {i}" for i in range(40)], "label": ["a", "b"] * 20})
    table.loc[3, "text"] = "[deleted]"
    table.to_csv(tmp_path / "a.csv", index=False)
    words = [f"data.train={tmp_path / 'a.csv'}", f"data.text_column={columns}", "data.na_values=['[deleted]','-']"]
    texts, _ = texts_of(reader_of("task=text_classification", "data=text_files", *words), tmp_path / "a.csv")
    several = columns != "text"
    assert texts[3].startswith("no ")
    assert texts[4] == ([None, "good film 4"] if several else "good film 4")


def test_percents_of_some_steps_are_those_of_training(tmp_path):
    """The first steps are written with %, the others without: so they are in new tables, and nowhere else."""
    table = pd.DataFrame({f"t{step}": [(i * 7 + step) % 50 for i in range(30)] for step in range(4)}).astype(str)
    table[["t0", "t1"]] += "%"
    table["label"] = ["a", "b"] * 15
    table.to_csv(tmp_path / "a.csv", index=False)
    reader = reader_of("task=series_classification", "data=series_files", f"data.train={tmp_path / 'a.csv'}")
    rows = list(open_examples(reader, str(tmp_path / "a.csv")).rows)
    assert rows[1].values["series"][:, 0].tolist() == [7, 8, 9, 10]
    table["t1"] = "0.5"
    table.to_csv(tmp_path / "b.csv", index=False)
    errors = {row.error for row in open_examples(reader, str(tmp_path / "b.csv")).rows}
    assert len(errors) == 1
    assert "t1 has numbers without a unit, and in the training data they are in %" in errors.pop()


def steps_of(reader, file):
    rows = open_examples(reader, str(file)).rows
    return {row.cells["id"]: row.error or row.values["series"][:, 0].tolist() for row in rows}


def test_times_of_steps_are_read_as_in_training(tmp_path, dated):
    """Days and months up to 3, which may be either: the days come first, as training found."""
    assert dated[0].spec.inputs["series"].spec.time_format == "day_first"
    rows = [("a", f"{day:02d}/{month:02d}/2024", 10 * month + day) for day in (1, 2, 3) for month in (3, 1, 2)]
    pd.DataFrame(rows, columns=["id", "when", "x"]).to_csv(tmp_path / "a.csv", index=False)
    assert steps_of(dated[0], tmp_path / "a.csv") == {"a": [11, 12, 13, 21, 22, 23, 31, 32, 33]}


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        ({"id": ("s1", "")}, "a.csv line 14: there is no name in column id"),
        (
            {"when": ("21/01/2024", "22/01/2024")},
            "22/01/2024 of column when stands twice in series s0, in line 3 and line 4",
        ),
        ({"label": ("a", "b")}, "series s0 has the labels a, b"),
    ],
)
def test_rows_that_training_refuses_are_refused(tmp_path, dated, edit, fault):
    reader, table = dated[0], dated[1].copy()
    ((column, (old, new)),) = edit.items()
    table.loc[table.index[table[column] == old][0], column] = new
    table.to_csv(tmp_path / "a.csv", index=False)
    if column == "id":
        with pytest.raises(UserError, match=fault):
            steps_of(reader, tmp_path / "a.csv")
        return
    steps = steps_of(reader, tmp_path / "a.csv")
    assert fault in steps.pop("s0")
    assert all(len(each) == 12 for each in steps.values())


@pytest.fixture(scope="module")
def waves():
    """Series of 12 steps, whose numbers may be those of thousands with another sign."""
    steps = {f"t{step}": np.round(np.sin(np.arange(30) % 2 + step) * 1.2 + np.arange(30) / 97, 3) for step in range(12)}
    return pd.DataFrame({"label": ["ab"[i % 2] for i in range(30)], **steps})


@pytest.fixture(scope="module")
def comma_run(tmp_path_factory, waves):
    """A classifier of series with decimal commas."""
    folder = tmp_path_factory.mktemp("comma")
    waves.to_csv(folder / "a.csv", index=False, sep=";", decimal=",")
    task = ["task=series_classification", "data=series_files", f"data.train={folder / 'a.csv'}", "epochs=1"]
    run_here(folder / "run", *task, "hardware.threads=1")
    return folder / "run"


STEPS = [f"t{step}" for step in range(12)]


@pytest.mark.parametrize(
    ("columns", "how", "note"),
    [
        (STEPS, {"decimal": ","}, ""),
        (STEPS, {}, "t0 is read with a decimal point, where the training data has a decimal comma; 11 more"),
        (STEPS[::-1], {"decimal": ","}, "steps are read in the order of the training data, t0, t1"),
        (sorted(STEPS), {"decimal": ","}, "steps are read in the order of the training data, t0, t1"),
        (["age", *STEPS], {"decimal": ","}, "left out what the training data has not: column age"),
        ([f"{name} kg" for name in STEPS], {"decimal": ","}, "is in kg"),
        (STEPS[:9], {"decimal": ","}, "has no column t9, t10, t11: its series end"),
        ([*STEPS[:3], *STEPS[4:]], {"decimal": ","}, "has no column t3"),
        (["t1", *STEPS], {"decimal": ","}, "several columns t1"),
        ([f"x{step}" for step in range(12)], {"decimal": ","}, "has no column t0"),
    ],
)
def test_steps_of_new_series_are_those_of_the_training_data(comma_run, waves, tmp_path, predict, columns, how, note):
    frame = waves.assign(age=40 + np.arange(30), **{f"x{step}": waves[f"t{step}"] for step in range(12)})
    kilos = {f"{name} kg": [f"{value} kg".replace(".", ",") for value in waves[name]] for name in STEPS}
    frame = pd.concat([frame, pd.DataFrame(kilos)], axis=1)[columns]
    frame.columns = [name.removesuffix(" kg") for name in frame.columns]
    frame.to_csv(tmp_path / "a.csv", index=False, sep=";", **how)
    fails = any(word in note for word in ("no column t3", "several", "no column t0"))
    said = predict("--run", comma_run, "--input", tmp_path / "a.csv", fails=fails)
    assert note in said.err
    if fails:
        assert "name" in said.err
        return
    rows = pd.read_csv(io.StringIO(said.out), sep=";")
    if "is in kg" in note:
        assert rows["error"].notna().all()
    elif len(columns) >= len(STEPS):
        series = [row[:, None] for row in waves[STEPS].to_numpy()]
        expected = mla_train.load(comma_run).predict(series)
        np.testing.assert_allclose(rows["probability"], [each["probability"] for each in expected], atol=1e-4)


def test_a_number_that_may_be_thousands_is_that_of_the_training_data(comma_run, tmp_path, predict):
    (tmp_path / "a.csv").write_text(f"{';'.join(STEPS)}\n{';'.join(['1,029'] * 12)}\n{';'.join(['1.029'] * 12)}\n")
    rows = pd.read_csv(io.StringIO(predict("--run", comma_run, "--input", tmp_path / "a.csv").out), sep=";")
    (expected,) = mla_train.load(comma_run).predict([np.full((12, 1), 1.029)])
    assert rows["probability"][0] == pytest.approx(expected["probability"], abs=1e-4)
    assert "no number with a decimal comma" in rows["error"][1]


def test_arrays_are_predicted_by_name(tmp_path, predict):
    chance, file = np.random.default_rng(0), tmp_path / "clips.npz"
    arrays = {"voice": chance.normal(size=(40, 5)), "face": chance.normal(size=(40, 3, 2))}
    np.savez(file, **arrays, label=np.arange(40) % 2, name=np.array([f"clip {i}" for i in range(40)]))
    words = ["data=feature_table", f"data.path={file}", "data.modalities=[voice,face]", "epochs=1"]
    run_here(tmp_path / "run", "task=multimodal_sentiment", *words)
    rows = list(csv.DictReader(io.StringIO(predict("--run", tmp_path / "run", "--input", file).out)))
    expected = mla_train.load(tmp_path / "run").predict(
        [{name: array[i] for name, array in arrays.items()} for i in range(40)]
    )
    assert [row["prediction"] for row in rows] == [record["prediction"] for record in expected]
    assert [row["name"] for row in rows] == [f"clip {i}" for i in range(40)]
    assert "face" not in rows[0]
    np.savez(tmp_path / "b.npz", sound=arrays["voice"])
    said = predict("--run", tmp_path / "run", "--input", tmp_path / "b.npz", fails=True)
    assert "no array voice or face; there are sound" in said.err


def test_one_text_is_answered_with_json(text_run, predict):
    answer = json.loads(predict("--run", text_run, "--text", "a fine film").out)
    (record,) = answers_in_python(text_run, ["a fine film"])
    assert answer == {"prediction": record["prediction"], "probability": record["probability"]}


def test_other_columns_are_named(text_run, tmp_path, predict):
    (tmp_path / "a.csv").write_text("remark,other\nfine,sad\n")
    said = predict("--run", text_run, "--input", tmp_path / "a.csv", fails=True)
    assert "no column for text; there are remark, other" in said.err
    assert "--column text=COLUMN" in said.err
    said = predict("--run", text_run, "--input", tmp_path / "a.csv", "--column", "text=remark")
    assert said.out.startswith("remark,other,prediction")
    said = predict("--run", text_run, "--input", tmp_path / "a.csv", "--column", "text=remrk", fails=True)
    assert "Did you mean remark?" in said.err
    said = predict("--run", text_run, "--input", tmp_path / "a.csv", "--column", "txt=remark", fails=True)
    assert "this model reads text" in said.err


def test_lines_of_all_systems_are_texts(text_run, tmp_path, predict):
    (tmp_path / "a.txt").write_bytes(b"fine\rsad\r")
    (tmp_path / "b.txt").write_bytes(b"fine\r\nsad\n")
    first, second = (predict("--run", text_run, "--input", tmp_path / f"{name}.txt").out for name in "ab")
    assert first == second
    assert first.count("\n") == 3


def test_what_is_guessed_of_a_file_is_said(text_run, tmp_path, predict):
    (tmp_path / "a.csv").write_text("text;n\nfine;1\ntext;n\nsad;2\n")
    said = predict("--run", text_run, "--input", tmp_path / "a.csv").err
    assert "cells are separated by a semicolon" in said
    assert "left out 1 lines that repeat the header" in said


@pytest.mark.parametrize(
    ("content", "name", "remedy"),
    [
        (b"", "a.csv", "no rows"),
        (b"text,text\nfine,sad\n", "a.csv", "several columns text: give each a name"),
        (b"text\nfine\n", "a.docx", "use .csv"),
        (b"text,prediction\nfine,1\n", "a.csv", "rename"),
        (b"no parquet", "a.parquet", "cannot be read"),
        (b"{", "a.json", "JSON"),
    ],
)
def test_files_that_cannot_be_read_are_named(text_run, tmp_path, predict, content, name, remedy):
    (tmp_path / name).write_bytes(content)
    said = predict("--run", text_run, "--input", tmp_path / name, "--output", tmp_path / "b.csv", fails=True)
    assert said.err.startswith("error: ")
    assert remedy in said.err
    assert not list(tmp_path.glob("b.csv*"))


def test_bytes_of_another_encoding_keep_their_place(text_run, tmp_path, predict):
    (tmp_path / "a.csv").write_bytes("text,n\nfine,1\nschön,2\nsad,3\n".encode("cp1252"))
    rows = list(csv.DictReader(io.StringIO(predict("--run", text_run, "--input", tmp_path / "a.csv").out)))
    assert [row["n"] for row in rows] == ["1", "2", "3"]
    assert "line 3 is not UTF-8" in rows[1]["error"]
    assert not rows[0]["error"] + rows[2]["error"]


def test_wrong_words_are_answered(text_run, tmp_path, predict):
    (tmp_path / "a.txt").write_text("fine\n")
    for words, remedy in (
        ([], "--input FILE"),
        (["--input", tmp_path / "none.csv"], "no such file"),
        (["--input", tmp_path / "a.txt", "--text", "fine"], "--input FILE"),
        (["--image", "a.png"], "this model reads text"),
        (["--input", tmp_path / "a.txt", "--top", "0"], "--top"),
        (["--input", tmp_path / "a.txt", "--threshold", "2"], "--threshold"),
        (["--input", tmp_path / "a.txt", "--output", tmp_path / "b.doc"], "--output"),
        (["--input", tmp_path / "a.txt", "--output", tmp_path / "no" / "b.csv"], "cannot be written"),
    ):
        said = predict("--run", text_run, *words, fails=True)
        assert remedy in said.err, words


def test_a_source_is_read_as_a_stream(tmp_path):
    file = tmp_path / "a.csv.gz"
    with gzip.open(file, "wt") as stream:
        stream.write("text\n" + "a\n" * 100_000 + "b,c\n")
    source = open_source(str(file))
    assert next(source.rows).cells == {"text": "a"}
    assert sum(1 for _ in source.rows) == 100_000
    with pytest.raises(UserError, match="no such file"):
        open_source(str(tmp_path / "b.csv"))


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json", "parquet", "txt"])
def test_halves_of_characters_are_replaced_in_answers(tmp_path, kind):
    with Writer(str(tmp_path / f"a.{kind}"), kind, ["text", "of"]) as rows:
        rows.write([{"text": "a \ud83d fine", "of": ["\ud83d"]}])
    content = (tmp_path / f"a.{kind}").read_bytes()
    assert b"a ? fine" in content


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_columns_of_late_rows_are_kept(text_run, tmp_path, predict, ending):
    rows = [{"text": f"film {i}"} for i in range(CHUNK + 5)]
    rows[-2] = {"text": "good film", "note": "late"}
    write_jsonl(tmp_path / "a.jsonl", rows)
    predict("--run", text_run, "--input", tmp_path / "a.jsonl", "--output", tmp_path / f"b.{ending}")
    file = tmp_path / f"b.{ending}"
    table = pd.read_parquet(file) if ending == "parquet" else pd.read_csv(file, sep={"csv": ",", "tsv": "\t"}[ending])
    assert table["note"].dropna().to_dict() == {CHUNK + 3: "late"}
    assert list(table.columns)[:2] == ["text", "note"]


@pytest.mark.parametrize("ending", ["jsonl", "xlsx"])
def test_parquet_has_the_kind_of_all_values_of_a_column(ending, text_run, tmp_path, predict):
    rows = [{"text": f"film {i}", "size": i, "later": None} for i in range(CHUNK)]
    rows.append({"text": "good film", "size": 0.5, "later": 7})
    file, output = tmp_path / f"a.{ending}", tmp_path / "b.parquet"
    if ending == "xlsx":
        pd.DataFrame(rows, dtype=object).to_excel(file, index=False)
    else:
        write_jsonl(file, rows)
    predict("--run", text_run, "--input", file, "--output", output)
    written = pd.read_parquet(output)
    assert list(written["size"]) == [*range(CHUNK), 0.5]
    assert written["later"].iloc[-1] == 7
    assert written["prediction"].notna().all()
    rows[-1]["size"] = "large"
    write_jsonl(tmp_path / "c.jsonl", rows)
    said = predict(
        "--run", text_run, "--input", tmp_path / "c.jsonl", "--output", tmp_path / "d.parquet", fails=True
    ).err
    assert "column size holds values of several kinds" in said
    assert "let --output end in .csv or .jsonl" in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "d.parquet").exists()


def test_late_rows_with_a_name_twice_or_that_of_an_answer_are_refused(text_run, tmp_path, predict):
    rows = [json.dumps({"text": f"film {i}", "label": "a"}) for i in range(CHUNK + 5)]
    rows[-2] = '{"text": "good", "text": "bad", "label": "a"}'
    file = tmp_path / "a.jsonl"
    file.write_text("\n".join(rows))
    predict("--run", text_run, "--input", file, "--output", tmp_path / "b.jsonl")
    errors = [row["error"] for row in read_jsonl(tmp_path / "b.jsonl")]
    assert "there are several text" in errors[-2]
    assert not any([*errors[:-2], errors[-1]])
    rows[-2] = '{"text": "good", "prediction": "mine"}'
    file.write_text("\n".join(rows))
    said = predict("--run", text_run, "--input", file, "--output", tmp_path / "b.jsonl", fails=True).err
    assert f"line {CHUNK + 4} has a column prediction of its own" in said
