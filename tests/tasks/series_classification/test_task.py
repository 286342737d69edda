"""Labelled series of all kinds of files become the same examples, and are learned from."""

import csv
import json

import numpy as np
import pandas as pd
import pytest
import torch

from mla_train.baselines.start import begin_as_linear
from mla_train.data.series_archives import read_archive_file
from mla_train.errors import UserError
from mla_train.inference.examples import _open_series
from mla_train.modalities import Series
from mla_train.modalities.series.spec import SeriesSpec
from mla_train.modalities.series.statistics import STATISTICS, summarize
from mla_train.task import build_task
from tests.helpers import SMALL, check_report, config, train


def waves(count=24):
    """Two channels; the speed of the wave tells the class. Lengths differ."""
    chance = np.random.default_rng(0)
    return [
        (
            np.round(np.stack([np.sin(np.arange(10 + i % 3) * (1 + i % 2)), chance.normal(size=10 + i % 3)], 1), 4),
            "ab"[i % 2],
        )
        for i in range(count)
    ]


def write_long(file, examples):
    rows = [
        (i, step, *values, label) for i, (series, label) in enumerate(examples) for step, values in enumerate(series)
    ]
    np.random.default_rng(0).shuffle(rows := [list(row) for row in rows])
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([["id", "step", "x", "y", "label"], *rows])


def write_ts(file, examples):
    lines = [":".join([*(",".join(map(str, channel)) for channel in series.T), label]) for series, label in examples]
    file.write_text("\n".join(["# made", "@problemName waves", "@classLabel true a b", "@data", *lines]) + "\n")


def load(*words):
    return build_task(config("task=series_classification", "data=series_files", *words)).load_data()


def test_a_row_a_step_and_ts_files_are_the_same_series(tmp_path):
    write_long(tmp_path / "long.csv", waves())
    write_ts(tmp_path / "waves.ts", waves())
    long = load(f"data.train={tmp_path / 'long.csv'}", "data.series_column=id", "data.time_column=step")
    ts = load(f"data.train={tmp_path / 'waves.ts'}")
    for data in (long, ts):
        values = [value for split in (data.train, data.val, data.test) for value in split.columns["series"].values]
        assert sorted(map(str, values)) == sorted(str(series) for series, _ in waves())
        assert data.spec.target.classes == ["a", "b"]


def write_arff(file, examples):
    """As the archives have it: the channels of a series are lines of a relation."""
    rows = ["'" + r"\n".join(",".join(map(str, channel)) for channel in series.T) + f"',{y}" for series, y in examples]
    if examples[0][0].shape[1] == 1:
        rows = [f"{','.join(map(str, series[:, 0]))},{y}" for series, y in examples]
    file.write_text("\n".join(["% made", "@relation waves", "@attribute att0 numeric", "@data", *rows]) + "\n")


@pytest.mark.parametrize("channels", [1, 2])
def test_arff_and_ts_files_are_the_same_series(channels, tmp_path):
    examples = [(series[:, -channels:], label) for series, label in waves()]
    write_arff(tmp_path / "waves.arff", examples)
    write_ts(tmp_path / "waves.ts", examples)
    arff, ts = (load(f"data.train={tmp_path / name}") for name in ("waves.arff", "waves.ts"))
    for split in ("train", "val", "test"):
        one, other = (getattr(data, split) for data in (arff, ts))
        assert list(map(str, one.columns["series"].values)) == list(map(str, other.columns["series"].values))
        np.testing.assert_array_equal(one.targets, other.targets)


@pytest.mark.parametrize(
    ("attributes", "line", "message"),
    [
        (["target {a,b}", "x numeric", "y numeric"], "a,1,2", "the class is not the last attribute"),
        (
            ["x numeric", "y numeric", "target{a,b}"],
            "1\t2\ta",
            "has 1 values with commas between, and the header 3 attributes",
        ),
        (["x numeric", "'y z' numeric", "target { a,b}"], "1,2,3,a", "has 4 values .* the header 3 attributes"),
        (["x numeric", "y numeric", "target {a,b}"], "1,inf,a", "line 5: a value is infinite"),
        (
            ["sex {0,1}", "y numeric", "target {a,b}"],
            "0,2,a",
            "attribute sex has names as values and is no step: remove it",
        ),
        (
            ["id numeric", "y numeric", "target {a,b}"],
            "1,2,a\n2,2,b",
            "attribute id counts rows and is no step: remove it",
        ),
        (["x numeric", "y numeric", "target {a,b}"], "1,2,a\n1,2,?", r"no labels to learn from .*\? or NaN"),
    ],
)
def test_arff_files_that_would_be_read_otherwise_are_refused(attributes, line, message, tmp_path):
    header = [f"@attribute {each}" for each in attributes]
    (tmp_path / "a.arff").write_text("\n".join([*header, "@data", line]) + "\n")
    with pytest.raises(UserError, match=message):
        load(f"data.train={tmp_path / 'a.arff'}")


def test_the_first_number_of_series_without_labels_is_said_to_be_left_out(tmp_path):
    write_tsv(tmp_path / "a.tsv", [(series[:10, 1:], i % 2) for i, (series, _) in enumerate(waves())])
    words = ["task=masked_series", "data=series_files", f"data.train={tmp_path / 'a.tsv'}", "data.label_column=none"]
    notes = build_task(config(*words)).load_data().notes
    assert any("the first number of each line is taken for its label and is no step" in note for note in notes)


@pytest.mark.parametrize("label", ["?", "NaN"])
@pytest.mark.parametrize(("name", "line"), [("a.tsv", "{}\t1\t2"), ("a.arff", "1,2,{}"), ("a.ts", "1,2:{}")])
def test_a_missing_label_is_no_class(name, line, label, tmp_path):
    (tmp_path / name).write_text("\n".join(line.format(each) for each in ("1", "2", label)) + "\n")
    assert read_archive_file(tmp_path / name).targets == ["1", "2", None]


@pytest.mark.parametrize(("name", "place"), [("a.tsv", "first number"), ("a.arff", "last value")])
def test_prediction_says_which_value_is_no_step(name, place, tmp_path):
    lines = {"a.tsv": "1\t2\t3", "a.arff": "1,2,3"}
    (tmp_path / name).write_text(lines[name] + "\n")
    (note,) = _open_series(None, {}, "wide", str(tmp_path / name), None, None).notes
    assert f"the {place} of each line is taken for its label and is no step" in note


def write_archive(root, write, ending, name="ECG200"):
    """Folder of an archive with one made data set of heartbeats of a fixed length."""
    (root / name).mkdir(parents=True)
    for split in ("TRAIN", "TEST"):
        write(
            root / name / f"{name}_{split}{ending}",
            [(series[:10, 1:], str(i % 2)) for i, (series, _) in enumerate(waves())],
        )


def write_tsv(file, examples):
    file.write_text("".join("\t".join(map(str, [y, *series[:, 0]])) + "\n" for series, y in examples))


def write_commas(file, examples):
    file.write_text("".join(",".join(map(str, [y, *series[:, 0]])) + "\n" for series, y in examples))


@pytest.mark.parametrize(
    ("write", "ending"),
    [(write_ts, ".ts"), (write_tsv, ".tsv"), (write_arff, ".arff"), (write_commas, ""), (write_commas, ".txt")],
)
def test_data_sets_of_an_archive_by_name(write, ending, tmp_path):
    write_archive(tmp_path / "archive", write, ending)
    words = ["task=series_classification", f"data.root={tmp_path / 'archive'}"]
    by_name, data = (
        build_task(config(*words, *choice)).load_data()
        for choice in (["data=ecg200"], ["data=ucr", "data.dataset=ECG200"])
    )
    assert (len(data.train), len(data.val), len(data.test)) == (17, 7, 24)
    assert str(data.train.columns["series"].values) == str(by_name.train.columns["series"].values)
    with pytest.raises(UserError, match=r"archive has no data set ECG5000\. .*ECG200.*named by data\.root="):
        build_task(config(*words, "data=ecg5000")).load_data()


def test_a_row_a_series_and_tsv_files_end_where_values_end(tmp_path):
    examples = [(series[:, 1], i % 2) for i, (series, _) in enumerate(waves())]
    with (tmp_path / "wide.csv").open("w", newline="") as stream:
        header = ["label", *(f"t{i}" for i in range(12))]
        csv.writer(stream).writerows([header, *([y, *x, *[""] * (12 - len(x))] for x, y in examples)])
    lines = ["\t".join(map(str, [y, *x, *["NaN"] * (12 - len(x))])) for x, y in examples]
    (tmp_path / "ucr.tsv").write_text("\n".join(lines) + "\n")
    for name in ("wide.csv", "ucr.tsv"):
        data = load(f"data.train={tmp_path / name}")
        values = [
            value[:, 0] for split in (data.train, data.val, data.test) for value in split.columns["series"].values
        ]
        assert sorted(map(str, values)) == sorted(str(series) for series, _ in examples)


@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        ("id,x,label\n1,2,a\n1,3,b\n", ["data.series_column=id"], "series 1 has the labels a, b"),
        ("id,x,label\n1,2,a\n", ["data.series_column=name"], "no column name"),
        ("t1,t2,label\n1,2,a\n1,3,\n", [], "without label, the first is line 3"),
        ("note,label\nx,a\ny,b\n", [], "data.series_column="),
        ("t1,t2,label\n1,2,a\n1,err,b\n2,3,a\n4,5,a\n", [], r"column t2: 'err' .* data.na_values="),
        ("id,x,label\n1,2,a\n,3,a\n", ["data.series_column=id"], "a.csv line 3: there is no name in column id"),
        (
            "id,step,x,label\n1,1,2,a\n1,2,3,a\n1,1,4,a\n",
            ["data.series_column=id", "data.time_column=step"],
            "1 of column step stands twice in series 1, in line 2 and line 4",
        ),
        (
            "id,step,label,x\n" + "".join(f"{i // 4},{i % 4},a,{i}.5\n" for i in range(24)),
            [],
            "data.series_column=id data.time_column=step puts them together",
        ),
    ],
)
def test_errors_name_the_place_and_the_remedy(tmp_path, content, words, message):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(UserError, match=message):
        load(f"data.train={tmp_path / 'a.csv'}", *words)


def test_statistics_are_those_of_numpy_over_what_was_measured():
    values, real = torch.randn(3, 2, 20), torch.rand(3, 2, 20) < 0.8
    found = summarize(values, real).unflatten(1, (2, len(STATISTICS)))
    for row in range(3):
        for channel in range(2):
            steps = np.flatnonzero(real[row, channel])
            x = values[row, channel].numpy()[steps]
            slope = np.polyfit(steps / len(steps), x, 1)[0]
            pairs = np.diff(x)[np.diff(steps) == 1]
            expected = [
                x.mean(),
                x.std(),
                x.min(),
                x.max(),
                slope,
                np.abs(pairs).mean(),
                *np.quantile(x, [0.25, 0.5, 0.75]),
            ]
            np.testing.assert_allclose(found[row, channel], expected, rtol=1e-4, atol=1e-4)
    assert not summarize(values, torch.zeros_like(real)).any()


def test_padding_changes_no_answer(tmp_path):
    write_ts(tmp_path / "waves.ts", waves())
    task = build_task(
        config("task=series_classification", "data=series_files", f"data.train={tmp_path / 'waves.ts'}", *SMALL)
    )
    data = task.load_data()
    model = task.build_model(data.spec).eval()
    task.init_from_data(model, data)
    torch.nn.init.normal_(model.head.layers["series"].weight)
    alone = [model(data.collate([data.train[i]], training=False)) for i in range(6)]
    together = model(data.collate([data.train[i] for i in range(6)], training=False))
    torch.testing.assert_close(torch.cat(alone), together)


def test_steps_without_a_value_at_the_end_are_no_steps():
    spec = SeriesSpec(["1"], [0.0], [1.0])
    values = Series(spec).preprocess([[1, None, 2, None], [[1.0], [np.nan]], [None, 1, float("inf")], [None]]).values
    assert [len(value) for value in values] == [3, 1, 2, 1]


def test_a_run_on_own_files(tmp_path):
    write_ts(tmp_path / "waves.ts", waves(60))
    words = [
        "task=series_classification",
        "data=series_files",
        "data.train=waves.ts",
        *SMALL,
        "epochs=8",
        "run_dir=run",
    ]
    train(*words, cwd=tmp_path, pages=True)
    check_report(tmp_path / "run", "Confusion matrix", "series over series")
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["baselines"].keys() == {"majority", "nearest", "linear", "minirocket"}
    assert results["metrics"]["test"]["accuracy"] > results["baselines"]["majority"]["accuracy"]


def _at_rest(model, data):
    for name, embedding in model.embeddings.items():
        embedding.init_from_data(data.train.columns[name])
    return model.eval(), data


def test_the_bundled_series_and_its_start():
    data = build_task(config("task=series_classification")).load_data()
    assert [data.count(split) for split in ("train", "val", "test")] == [35, 15, 150]
    assert data.spec.target.classes == ["1", "2"]
    assert data.test.raw(0)["series"].shape == (150, 1)
    model = build_task(config("task=series_classification")).build_model(data.spec)
    assert begin_as_linear(*_at_rest(model, data)) is not None
    outputs = model(data.collate([data.test[place] for place in range(150)], training=False))
    assert (outputs.argmax(-1).numpy() == data.test.targets).mean() > 0.95
    with pytest.raises(UserError, match="Did you mean Coffee"):
        build_task(config("task=series_classification", "data.dataset=Cofee")).load_data()


def test_a_numbering_of_rows_is_no_step(tmp_path):
    rows = [{"id": 100 + i, "t0": float(i % 3), "t1": i % 2 + 0.5, "label": "ab"[i % 2]} for i in range(40)]
    pd.DataFrame(rows).to_csv(tmp_path / "a.csv", index=False)
    data = build_task(
        config("task=series_classification", "data=series_files", f"data.train={tmp_path / 'a.csv'}")
    ).read()
    assert data.splits["train"].inputs["series"][4].ravel().tolist() == [1.0, 0.5]
    assert any("id counts rows" in note for note in data.notes)


def test_numbers_are_those_of_all_tables(tmp_path):
    rows = [f"{'ab'[i % 2]};{i % 3},5;{'NA' if i % 4 else '1'};-999" for i in range(40)]
    (tmp_path / "a.csv").write_text("\n".join(["label;t0;t1;t2", *rows]))
    words = [
        "task=series_classification",
        "data=series_files",
        f"data.train={tmp_path / 'a.csv'}",
        "data.na_values=[-999]",
    ]
    data = build_task(config(*words)).read()
    series = data.splits["train"].inputs["series"]
    assert [each.ravel().tolist() for each in (series[0], series[1])] == [[0.5, 1.0], [1.5]]
    assert sum("decimal comma" in note for note in data.notes) == 1


def test_steps_of_val_and_test_are_those_of_train(tmp_path):
    rows = [{"t0": i % 3 + 0.5, "t1": i % 2 + 0.25, "label": "ab"[i % 2]} for i in range(40)]
    pd.DataFrame(rows).to_csv(tmp_path / "a.csv", index=False, sep=";", decimal=",")
    pd.DataFrame(rows)[["t1", "label", "t0"]].to_csv(tmp_path / "b.csv", index=False, sep=";", decimal=",")
    words = [f"data.train={tmp_path / 'a.csv'}", f"data.test={tmp_path / 'b.csv'}"]
    data = build_task(config("task=series_classification", "data=series_files", *words)).read()
    train, test = (data.splits[split].inputs["series"] for split in ("train", "test"))
    np.testing.assert_array_equal(np.stack(train), np.stack(test))
    assert any("in the order of the training data" in note for note in data.notes)


@pytest.mark.parametrize(("before", "behind"), [("t", ""), ("", " min"), ("at ", "s")])
def test_columns_that_are_sorted_as_words_are_steps_by_number(tmp_path, before, behind):
    steps = [f"{before}{step}{behind}" for step in range(12)]
    rows = [{name: step + i / 64 for step, name in enumerate(steps)} | {"label": "ab"[i % 2]} for i in range(40)]
    pd.DataFrame(rows)[[*sorted(steps), "label"]].to_csv(tmp_path / "a.csv", index=False)
    words = ["task=series_classification", "data=series_files", f"data.train={tmp_path / 'a.csv'}"]
    data = build_task(config(*words)).read()
    series = data.splits["train"].inputs["series"]
    assert series[0].ravel().tolist() == list(range(12))
    assert list(series[0].formats) == steps
    assert any(f"in the order of their numbers, {', '.join(steps[:3])}" in note for note in data.notes)
    pd.DataFrame(rows)[[steps[1], steps[0], steps[2], "label"]].to_csv(tmp_path / "a.csv", index=False)
    shown = ", ".join([steps[1], steps[0], steps[2]])
    assert any(f"in the order of the file, {shown}" in note for note in build_task(config(*words)).read().notes)


@pytest.mark.parametrize(
    ("words", "note"),
    [
        (["data.time_column=step"], "40 series have steps at uneven distances in step, such as 0"),
        ([], "with the channels step, x"),
    ],
)
def test_steps_that_are_not_there_and_channels_are_said(tmp_path, words, note):
    rows = [(i, step, i + step / 8, "ab"[i % 2]) for i in range(40) for step in (0, 1, 2, 4)]
    pd.DataFrame(rows, columns=["id", "step", "x", "label"]).to_csv(tmp_path / "a.csv", index=False)
    words = [f"data.train={tmp_path / 'a.csv'}", "data.series_column=id", *words]
    data = build_task(config("task=series_classification", "data=series_files", *words)).read()
    assert any(note in each for each in data.notes)


def test_names_of_series_have_one_form(tmp_path):
    steps = [
        (f"{i} " if step % 2 else i, f"{step + 1:02d}.01.2024", step + 10 * i, "ab"[i % 2])
        for i in range(30)
        for step in range(4)
    ]
    frame = pd.DataFrame(steps, columns=["id", "day", "x", "label"]).sample(frac=1, random_state=0)
    frame.to_csv(tmp_path / "a.csv", index=False)
    words = [f"data.train={tmp_path / 'a.csv'}", "data.series_column=id", "data.time_column=day"]
    data = load(*words)
    values = data.train.columns["series"].values
    assert sum(data.count(split) for split in ("train", "val", "test")) == 30
    assert all((each.ravel() % 10).tolist() == [0, 1, 2, 3] for each in values)


def test_columns_that_are_taken_for_steps_are_named(tmp_path):
    rows = [{"age": 30 + i % 5, "t0": i % 3 + 0.5, "t1": i % 2 + 0.5, "label": "ab"[i % 2]} for i in range(40)]
    pd.DataFrame(rows).to_csv(tmp_path / "a.csv", index=False)
    words = ["task=series_classification", "data=series_files", f"data.train={tmp_path / 'a.csv'}"]
    assert "the 3 steps of a series are the columns age, t0, t1" in build_task(config(*words)).read().notes
    pd.DataFrame(rows).drop(columns="age").to_csv(tmp_path / "a.csv", index=False)
    assert not any("steps of a series" in note for note in build_task(config(*words)).read().notes)


def write_lines(file, rows, header=""):
    """Rows of a label and numbers, as the archives have them; those of .ts files end with the label."""
    lines = [":".join([",".join(map(str, values)), label]) if file.suffix == ".ts" else "\t".join(map(str, (label, *values)))
             for label, *values in rows]  # fmt: skip
    file.write_text(header + "\n".join(lines) + "\n")
    return read_archive_file(file)


ROWS = [("1", 0.5, 1.5, -0.5), ("2", 0.25, 0.75, 2), ("1", 1, 2, 4)]


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("ending", ["tsv", "txt"])
def test_a_header_of_numbers_is_no_series(tmp_path, ending, first):
    file = tmp_path / f"a.{ending}"
    header = "\t".join(str(first + i) for i in range(4)) + "\n"
    with pytest.raises(UserError, match=f"the first line counts columns, {first} to {first + 3}"):
        write_lines(file, ROWS, header)
    assert len(write_lines(file, [("1", 2, 3, 4), ("2", 3, 4, 5), ("1", 2, 3, 4)]).targets) == 3  # which all count
    assert write_lines(file, ROWS).targets == ["1", "2", "1"]


def test_labels_of_txt_files_are_exact(tmp_path):
    written = ["1000001", "1000002", "2.0000000e+00", "1.5000000e+00", "0.1234567891", "12345678901234567890", "a"]
    labels = write_lines(tmp_path / "a.txt", [(label, 0.5, 1.5) for label in written]).targets
    assert labels == ["1000001", "1000002", "2", "1.5", "0.1234567891", "12345678901234567890", "a"]


def test_labels_of_tsv_files_may_begin_with_any_sign(tmp_path):
    rows = [("1", 0.5, 1.5), *((f"{sign}1", 0.5, 2.5) for sign in "#%@")]
    examples = write_lines(tmp_path / "a.tsv", rows)
    assert examples.targets == ["1", "#1", "%1", "@1"]
    with pytest.raises(UserError, match=r"a.tsv line 2: a series needs values and a label"):
        write_lines(tmp_path / "a.tsv", [("1", 0.5, 1.5), ("", 0.5, 1.5)])


def test_ts_files_without_labels(tmp_path):
    """The last channel is no label: such a file can be predicted, and not learned from."""
    header = "@univariate false\n@classLabel false\n@data\n"
    examples = write_lines(tmp_path / "a.ts", [(f"{i % 2},{i % 2}", 1, 2) for i in range(20)], header)
    assert examples.targets == [None] * 20
    np.testing.assert_array_equal(examples.inputs["series"][3], [[1, 1], [2, 1]])
    with pytest.raises(UserError, match="no labels to learn from"):
        load(f"data.train={tmp_path / 'a.ts'}")
    labelled = header.replace("false\n@data", "true a b\n@data")
    assert write_lines(tmp_path / "a.ts", [("a", 1, 2), ("b", 2, 1)], labelled).targets == ["a", "b"]


@pytest.mark.parametrize("name", ["a.ts", "a.tsv", "a.txt"])
def test_numbers_of_python_are_none(tmp_path, name):
    with pytest.raises(UserError, match=r"line 2.*'1_0'"):
        write_lines(tmp_path / name, [("1", 1, 2), ("2", "1_0", 2)])


def test_a_split_in_several_tables_and_no_archive_in_a_list(tmp_path):
    for name, mark, first in (("a", ".", 0), ("b", ",", 30)):
        rows = [f"{'xy'[i % 2]};{i}{mark}5;{i * i % 7}{mark}25" for i in range(first, first + 30)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["label;t0;t1", *rows]) + "\n")
    write_tsv(tmp_path / "c.tsv", [(series[:10, 1:], i % 2) for i, (series, _) in enumerate(waves())])
    data = load(f"data.train=[{tmp_path / 'a.csv'},{tmp_path / 'b.csv'}]")
    series = [
        each[:, 0].tolist() for split in (data.train, data.val, data.test) for each in split.columns["series"].values
    ]
    assert sorted(series) == [[i + 0.5, i * i % 7 + 0.25] for i in range(60)]
    with pytest.raises(UserError, match="a split is one; lists are of tables"):
        load(f"data.train=[{tmp_path / 'a.csv'},{tmp_path / 'c.tsv'}]")
