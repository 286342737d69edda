"""Events become histories in splits that know no future, baselines are what they are called, and a run can be used."""

import csv
import io
import json
import lzma
import os
import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

import mla_train
from mla_train.baselines import Limit
from mla_train.config import EventTableOptions
from mla_train.data.tables import open_source
from mla_train.errors import UserError
from mla_train.heads.ranking_metrics import metrics_of
from mla_train.inference.artifact import load_model
from mla_train.inference.histories import from_events
from mla_train.report.model_card import _example
from mla_train.task import build_task
from tasks.recommendation.baselines import ease, item_knn, ranking_baselines
from tasks.recommendation.movielens import FrameReader, read_columns
from tests.helpers import SMALL, check_report, config, load, python, run_here, train

HEADER = ("user", "item", "time")


def write(file, rows, header=HEADER):
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return file


def made_events(users=24, items=12, length=7):
    """Users who go round the items in steps of one or two."""
    return [
        (f"u{user}", f"i{(user * 5 + step * (1 + user % 2)) % items}", 1_000 * user + step)
        for user in range(users)
        for step in range(length + user % 3)
    ]


def read(file, *words):
    return load("task=recommendation", "data=event_files", f"data.path={file}", *words)


def examples(data, split):
    part = getattr(data, split)
    catalogue = [None, *data.spec.inputs["history"].spec.catalogue]
    return {
        name.removeprefix("user "): (part.columns["history"].raw(place), catalogue[part.targets[place]])
        for place, name in enumerate(part.names)
    }


ROWS = [
    ("a", "x", 3), ("b", "y", 1), ("a", "y", 1), ("a", "z", 2), ("b", "x", 2), ("a", "w", 4), ("a", "y", 9), ("b", "w", 3),
    ("c", "x", 1), ("d", "w", 1), ("d", "x", 2),
]  # fmt: skip


def test_the_last_item_of_each_user_is_test_and_the_one_before_val(tmp_path):
    data = read(write(tmp_path / "e.csv", ROWS))
    assert examples(data, "train") == {"a": (["y"], "z"), "d": (["w"], "x")}
    assert examples(data, "val") == {"a": (["y", "z"], "x"), "b": (["y"], "x")}
    assert examples(data, "test") == {"a": (["y", "z", "x"], None), "b": (["y", "x"], "w")} | {
        "a": (["y", "z", "x"], "w")
    }
    notes = "\n".join(data.notes)
    assert "left out 1 events of an item that the user had before" in notes
    assert "2 of 4 users have one or two events: they are not in val and test" in notes
    assert "2 users are not in train: of one event, or of three" in notes
    assert "user is read from column user, item is read from column item, time is read from column time" in notes
    assert "4 users, 4 items, 10 events; 2 validation and 2 test histories" in notes


def test_a_split_by_time_knows_nothing_of_what_comes_later(tmp_path):
    rows = [(f"u{(number * 7) % 5}", f"i{number % 30}", 10 * number) for number in range(100)]
    data = read(write(tmp_path / "e.csv", rows), "data.split=time", "data.test_share=0.2", "data.val_share=0.25")
    catalogue = data.spec.inputs["history"].spec.catalogue
    times = {(user, item): 0.0 for user, item, _ in rows}
    times |= {(user, item): time for user, item, time in reversed(rows)}  # the first of each
    starts = np.quantile(sorted(times.values()), [0.6, 0.8])
    for split, first, last in (("val", *starts), ("test", starts[1], np.inf)):
        part = getattr(data, split)
        for place, name in enumerate(part.names):
            user, target = name.removeprefix("user "), part.targets[place]
            history = part.columns["history"].raw(place)
            if target:
                moment = times[user, catalogue[target - 1]]
                assert first - 10 <= moment <= last + 10
                assert all(times[user, item] < moment for item in history)
        assert part.groups is not None
        assert len(np.unique(part.groups)) == len(set(part.names))


def test_rows_without_times_are_taken_in_order_and_gaps_need_times(tmp_path):
    rows = [row[:2] for row in made_events()]
    file = write(tmp_path / "e.csv", rows, HEADER[:2])
    assert any("the rows of each user are taken to be in order" in note for note in read(file).notes)
    with pytest.raises(UserError, match=r"data.gaps=true needs times.*data.time_column="):
        read(file, "data.gaps=true")


def test_titles_name_items_and_those_of_several_items_keep_their_identifier(tmp_path):
    rows = [
        (user, item, time, {"i1": "Heat", "i2": "Heat"}.get(item, f"film {item}")) for user, item, time in made_events()
    ]
    file = write(tmp_path / "e.csv", rows, ("customer_id", "product_id", "date", "name"))
    names = set(read(file, "data.title_column=name").spec.inputs["history"].spec.catalogue)
    assert {"Heat [i1]", "Heat [i2]", "film i3"} <= names
    # New events of one of them alone call it as training did.
    spec = read(file, "data.title_column=name").spec.inputs["history"].spec
    new = write(
        tmp_path / "new.csv", [("a", "i1", 1, "Heat"), ("a", "i3", 2, "film i3")], ("user", "item", "time", "name")
    )
    source = from_events(open_source(new), EventTableOptions(title_column="name"), "history", spec, holds_out=False)
    assert [row.values["history"].tolist() for row in source.rows] == [["Heat [i1]", "film i3"]]
    assert not any("bar in their names" in note for note in read(file).notes)
    rows = [(*row[:3], row[3].replace("film ", "film|")) for row in rows]
    barred = read(
        write(tmp_path / "bars.csv", rows, ("customer_id", "product_id", "date", "name")), "data.title_column=name"
    )
    assert any("10 items have a bar in their names, such as film|i" in note for note in barred.notes)
    data = read(file)
    assert "i1" in data.spec.inputs["history"].spec.catalogue
    assert any("column name is not used" in note for note in data.notes)


def test_dates_are_times(tmp_path):
    rows = [(user, item, f"2024-01-{1 + time % 1000:02} 10:00") for user, item, time in made_events()]
    plain = examples(read(write(tmp_path / "a.csv", made_events())), "test")
    assert examples(read(write(tmp_path / "b.csv", rows)), "test") == plain
    bought = read(write(tmp_path / "c.csv", rows[::-1], ("user", "item", "bought_at")))
    assert examples(bought, "test") == plain


MOMENTS = {
    "within a second": [f"2024-01-01 10:00:00.{part}" for part in (900, 100, 500, 700)],
    "months before years": ["12.2023", "1.2024", "2.2024", "11.2023"],
    "days before years": ["31122023", "01012024", "02012024", "30122023"],
    "days before short years": ["311223", "010124", "020124", "301223"],
    "years before days": ["240102", "240103", "240104", "231230"],
}


@pytest.mark.parametrize(("kind", "order"), [(kind, "xyz" if kind == "within a second" else "wxy") for kind in MOMENTS])
def test_times_that_look_like_other_numbers_or_are_close_keep_their_order(tmp_path, kind, order):
    items = "wxyz" if kind == "within a second" else "xyzw"
    rows = [(f"u{u}", item, time) for u in range(9) for item, time in zip(items, MOMENTS[kind], strict=True)]
    file, words = write(tmp_path / "e.csv", rows), []
    if kind.startswith("days before"):
        form = "%d%m%Y" if kind == "days before years" else "%d%m%y"
        with pytest.raises(UserError, match=rf"3112\d+, may be dates whose year comes last.*data.time_format={form}"):
            read(file)
        words = [f"data.time_format={form}"]
    history, _ = examples(read(file, *words), "test")["u0"]
    assert "".join(history) == order


def test_equal_times_are_said_and_infinite_ones_refused(tmp_path):
    rows = [(f"u{u}", f"i{(u + i) % 7}", i // 2) for u in range(9) for i in range(6)]
    notes = read(write(tmp_path / "e.csv", rows)).notes
    assert any(note.startswith("27 events have the same time as another of their user") for note in notes)
    with pytest.raises(UserError, match="line 2: time is 'inf'"):
        read(write(tmp_path / "f.csv", [(*rows[0][:2], "inf"), *rows[1:]]))


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"item": ["i1", "i2"]}, r"line 1: item is \['i1', 'i2'\], and a row is one event"),
        ({"item": "['i1', 'i2']"}, "line 1: item is .* and a row is one event"),
        ({"user": {"id": 1}}, r"line 1: user is \{'id': 1\}, and a row is one event"),
        ({"time": 10**400}, "column time holds a number of too many digits"),
    ],
)
def test_cells_that_are_no_event_are_named(tmp_path, cells, message):
    rows = [dict(zip(HEADER, row, strict=True)) for row in made_events()]
    file = tmp_path / "e.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in [rows[0] | cells, *rows[1:]]))
    with pytest.raises(UserError, match=message):
        read(file)


@pytest.mark.parametrize(
    ("times", "gap"),
    [
        (lambda day: f"202401{day:02}", 86_400),
        (lambda day: 1_700_000_000_000 + 5_000 * day, 5),
        (lambda day: 3 * day, 3),
    ],
)
def test_gaps_are_seconds_whatever_the_numbers_count(tmp_path, times, gap):
    rows = [(f"u{u}", f"i{(u + i) % 7}", times(1 + i)) for u in range(9) for i in range(6)]
    data = read(write(tmp_path / "e.csv", rows), "data.gaps=true")
    history = data.test.columns["history"].raw(0)
    assert history[1][1] - history[0][1] == gap
    assert any("column time are" in note for note in data.notes)


@pytest.mark.parametrize(
    ("rows", "header", "words", "message"),
    [
        (
            ROWS,
            ("who", "item", "time"),
            [],
            r"has no column user; there are who, item, time. Name the one with data.user_column=",
        ),
        (ROWS, HEADER, ["data.time_column=when"], "has no column when"),
        (
            [*ROWS, ("", "x", 3)],
            HEADER,
            [],
            r"1 rows of .* lack user or item or time, the first is line 13.*data.on_error=skip",
        ),
        ([("a", "x", 1), ("b", "x", 2)], HEADER, [], "users with events of four items or more"),
        ([*ROWS, ("e", "x", "soon")], HEADER, [], r"line 13: time is 'soon', and most times are numbers: correct"),
        (
            [*ROWS, ("e", "x", "inf")],
            HEADER,
            [],
            r"line 13: time is 'inf', and most times are numbers: correct or remove the row",
        ),
        (
            [*ROWS, ("e", "x", "9" * 400)],
            HEADER,
            [],
            r"line 13: time is '9+, and most times are numbers: correct or remove the row",
        ),
        (
            [*((user, item, 1_700_000_000 + time) for user, item, time in ROWS), ("e", "x", 1_700_000_000_000)],
            HEADER,
            [],
            r"some numbers are seconds since 1970, as 1700000003 and others milliseconds since 1970, as 17.*write all in one unit",
        ),
        (
            [*((user, item, 1_700_000_000 + time) for user, item, time in ROWS), ("e", "x", 0)],
            HEADER,
            [],
            r"line 13: 0 is no time where others are seconds since 1970: .* with data.na_values=\[0\]",
        ),
    ],
)
def test_what_cannot_be_meant_is_one_line(tmp_path, rows, header, words, message):
    with pytest.raises(UserError, match=message) as error:
        read(write(tmp_path / "e.csv", rows, header), *words)
    assert "\n" not in str(error.value)


def test_no_file_is_named():
    with pytest.raises(UserError, match=r"name data\.path=FILE"):
        load("task=recommendation", "data=event_files")


@pytest.mark.parametrize("row", [("u1", "", 5), ("", "i1", 5), ("u1", "i1", "")])
def test_rows_without_user_item_or_time_are_left_out_if_asked(tmp_path, row):
    file = write(tmp_path / "e.csv", [*made_events(), row])
    assert any("they are left out" in note for note in read(file, "data.on_error=skip").notes)


def test_files_without_a_header_and_with_two_colons_are_events(tmp_path):
    """As MovieLens has them."""
    plain = examples(read(write(tmp_path / "e.csv", made_events())), "test")
    rows = [(user.removeprefix("u"), item.removeprefix("i"), 5, time) for user, item, time in made_events()]
    words = [f"data.{name}_column=column_{place}" for name, place in (("user", 1), ("item", 2), ("time", 4))]
    for name, separator in (("ratings.dat", "::"), ("u.data", "\t")):
        file = tmp_path / name
        file.write_text("".join(separator.join(map(str, row)) + "\n" for row in rows))
        read_so = examples(read(file, *words), "test")
        named = {f"u{user}": ([f"i{item}" for item in items], f"i{last}") for user, (items, last) in read_so.items()}
        assert named == {user: (list(items), last) for user, (items, last) in plain.items()}


def test_a_user_or_an_item_that_may_be_missing_is_said(tmp_path):
    file = write(tmp_path / "e.csv", [*made_events(), ("NA", "i1", 5), ("u1", "NA", 9)])
    notes = read(file).notes
    for column in ("user", "item"):
        assert any(f"column {column}: 1 cells are NA" in note and "data.na_values=" in note for note in notes)


# MovieLens, and its pickle.


def test_movielens_is_read_without_unpickling_anything_but_a_table(tmp_path):
    data = load("task=recommendation")
    assert [len(data.train), len(data.val), len(data.test)] == [671, 671, 671]
    assert "671 users, 9,066 items, 100,004 events; 671 validation and 671 test histories" in data.notes
    assert data.spec.inputs["history"].spec.catalogue[:2] == ["Forrest Gump (1994)", "Pulp Fiction (1994)"]


def test_another_pickle_is_refused(tmp_path):
    class Bad:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'owned'}",)

    for number, value in enumerate((Bad(), [Bad()], {"a": 1}, pd.Series([1]))):
        file = tmp_path / f"{number}.xz"
        file.write_bytes(lzma.compress(pickle.dumps(value)))
        with pytest.raises(UserError, match="is not the table that it was"):
            read_columns(file)
    assert not (tmp_path / "owned").exists()
    with pytest.raises(pickle.UnpicklingError, match="is no part of a table"):
        FrameReader(io.BytesIO(pickle.dumps(os.system))).load()


# Baselines.


def test_ease_through_users_is_ease_through_items():
    generator = np.random.default_rng(0)
    train, new = ((generator.random((count, 9)) < 0.4).astype(float) for count in (14, 5))
    inverse = np.linalg.inv(train.T @ train + 3.0 * np.eye(9))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    assert ease(csr_matrix(train), 3.0)(csr_matrix(new)) == pytest.approx(new @ weights, abs=1e-9)


def test_item_knn_is_the_sum_of_damped_cosines():
    generator = np.random.default_rng(1)
    train, new = ((generator.random((count, 9)) < 0.4).astype(float) for count in (14, 5))
    counts = train.sum(0)
    cosines = (train.T @ train) / np.sqrt(np.outer(counts + 2, counts + 2))
    assert item_knn(csr_matrix(train), 2.0)(csr_matrix(new)) == pytest.approx(new @ cosines)


def test_baselines_rank_what_a_user_has_not_had(tmp_path):
    data = read(write(tmp_path / "e.csv", made_events()))
    for name, baseline in ranking_baselines(data).items():
        done = baseline(Limit())
        assert len(done.test["rank"]) == len(data.test)
        for place, row in enumerate(done.test["predicted"]):
            assert not set(row[row >= 0] + 1) & set(data.test.columns["history"][place].seen)
        if name == "sequential_item_knn":
            assert metrics_of(done.test["rank"])["hr@10"] == 1
    popular = ranking_baselines(data)["popularity"](Limit(quick=True)).test
    assert popular["predicted"][0, 0] == next(n for n in range(12) if n + 1 not in data.test.columns["history"][0].seen)


def test_the_network_begins_as_item_knn(tmp_path):
    data = read(write(tmp_path / "e.csv", made_events()))
    task = build_task(config("task=recommendation", "data=event_files", f"data.path={tmp_path / 'e.csv'}", *SMALL))
    model = task.build_model(data.spec).eval()
    assert task.init_from_data(model, data) == "sequential_item_knn"
    batch = data.collate([data.test[place] for place in range(len(data.test))], training=False)
    predicted = model.predict(batch)
    expected = ranking_baselines(data)["sequential_item_knn"](Limit()).test
    assert predicted["rank"].tolist() == expected["rank"].tolist()


# A run, and what is done with it.


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recommendation")
    file = write(folder / "events.csv", made_events())
    words = ["task=recommendation", "data=event_files", f"data.path={file}", "epochs=2", "run_dir=mine"]
    train(*words, *SMALL, "baselines=quick", cwd=folder, pages=True)
    return folder


def test_items_that_the_run_it_starts_from_does_not_know_are_counted_as_such(run, tmp_path):
    events = [[user, f"new {item}" if item == "i3" else item, *rest] for user, item, *rest in made_events()]
    notes = read(write(tmp_path / "e.csv", events), f"init.from={run / 'mine'}").notes
    assert "history is read with the catalogue of 12 items of the run that init.from names" in notes
    assert any("items to be found in train are not in the catalogue: they are not learned" in note for note in notes)
    assert not any("training history" in note for note in notes)


@pytest.mark.slow
def test_a_run_leaves_scores_baselines_figures_and_examples(run):
    results = json.loads((run / "mine" / "results.json").read_text())
    assert results["baselines"].keys() == {"popularity", "item_knn", "decayed_item_knn", "sequential_item_knn", "ease"}
    assert results["metrics"]["test"].keys() == {"loss", "ndcg@10", "hr@10", "mrr", "coverage@10"}
    assert set(results["intervals"]) == {"ndcg@10", "hr@10", "mrr"}
    assert {"history_length", "item_users"} <= results["details"].keys()
    assert (run / "mine" / "figures" / "groups.png").is_file()
    table = (run / "mine" / "figures" / "examples.md").read_text().splitlines()
    assert table[2].startswith("| newest items | the next one | its rank |")
    assert len(table) == 4 + 12
    check_report(run / "mine")
    rows = [json.loads(line) for line in (run / "mine" / "predictions.jsonl").read_text().splitlines()]
    for row in rows:
        assert (row["label"] in row["prediction"]) == (row["rank"] <= 10)
        assert not set(row["history"]) & set(row["prediction"])


@pytest.mark.slow
def test_predictions_from_the_command_line_and_files(run):
    def ask(*words):
        return python("scripts/predict.py", "--run", "mine", *words, cwd=run)

    record = json.loads(ask("--text", "i1 | i3 | nothing", "--top", "3").stdout)
    assert len(record["prediction"]) == 3
    assert (record["based_on"], record["unknown"]) == ("history", ["nothing"])
    assert json.loads(ask("--text", "").stdout)["based_on"] == "popularity"
    (run / "histories.csv").write_text("who,history\na,i1|i3\nb,\nc,what\n")
    ask("--input", "histories.csv", "--output", "answers.csv")
    rows = list(csv.DictReader((run / "answers.csv").open()))
    assert [row["based_on"] for row in rows] == ["history", "popularity", "popularity"]
    assert [row["unknown"] for row in rows] == ["", "", "what"]
    assert json.loads(ask("--text", '["i1", "i3", "nothing"]', "--top", "3").stdout) == record
    (run / "no_items.csv").write_text("user,thing,time\na,i1,1\na,i3,2\n")
    refused = python("scripts/predict.py", "--run", "mine", "--input", "no_items.csv", cwd=run, check=False)
    assert "--column item=COLUMN" in refused.stderr
    assert all(each in {f"i{i}" for i in range(100)} for each in json.loads(_example(load_model(run / "mine"))))
    assert rows[1]["prediction"].split("|") == mla_train.load(run / "mine").spec.inputs["history"].spec.catalogue[:10]


@pytest.mark.slow
def test_labelled_histories_are_evaluated(run):
    (run / "labelled.jsonl").write_text(
        "".join(json.dumps({"history": ["i1", "i3"], "label": label}) + "\n" for label in ("i5", "i2", "never seen"))
    )
    done = python("scripts/evaluate.py", "--run", "mine", "--input", "labelled.jsonl", "--draws", "20", cwd=run)
    assert "ndcg@10" in done.stdout
    assert (
        "1 of 3 items to be found in evaluation are not in the catalogue: they count as missed"
        in done.stdout + done.stderr
    )


@pytest.mark.slow
def test_events_are_histories_of_their_users_when_they_are_predicted_and_evaluated(run):
    (run / "new_events.csv").write_text("who,item,time\na,i3,2\nb,i2,1\na,i1,1\na,i5,9\nc,,4\n")
    said = python(
        *(
            "scripts/predict.py",
            "--run",
            "mine",
            "--input",
            "new_events.csv",
            "--output",
            "new.csv",
            "--column",
            "user=who",
        ),
        cwd=run,
    )
    assert "1 rows of new_events.csv lack who or item" in said.stderr
    rows = list(csv.DictReader((run / "new.csv").open()))
    model = mla_train.load(run / "mine")
    expected = ["|".join(each["prediction"]) for each in model.predict([["i1", "i3", "i5"], ["i2"]])]
    assert [(row["user"], row["prediction"]) for row in rows] == list(zip("ab", expected, strict=True))
    words = ["--input", "new_events.csv", "--column", "user=who", "--draws", "20", "--output", "scores"]
    done = python("scripts/evaluate.py", "--run", "mine", *words, cwd=run)
    assert "left out 1 rows that cannot be read, the first: user b has one event" in done.stderr
    assert "the last item of each user is to be found" in done.stderr
    assert json.loads((run / "scores" / "evaluation.json").read_text())["slices"]["all"]["examples"] == 1
    # The last item of each user is what test asks for.
    python(
        "scripts/evaluate.py", "--run", "mine", "--input", "events.csv", "--draws", "20", "--output", "again", cwd=run
    )
    again = json.loads((run / "again" / "evaluation.json").read_text())["slices"]["all"]["metrics"]
    test = json.loads((run / "mine" / "results.json").read_text())["metrics"]["test"]
    assert {name: again[name]["value"] for name in ("ndcg@10", "hr@10", "mrr")} == pytest.approx(
        {name: test[name] for name in ("ndcg@10", "hr@10", "mrr")}, abs=1e-6
    )


@pytest.mark.slow
def test_items_of_a_history_explain_what_is_recommended(run):
    words = ["--input", '{"history": ["i1", "i3", "i5"]}', "--method", "attention", "occlusion", "--out", "seen"]
    python("scripts/attention.py", "--run", "mine", *words, cwd=run)
    content = json.loads((run / "seen" / "attribution.json").read_text())
    assert content["units"] == ["i1", "i3", "i5"]
    new = python("scripts/attention.py", "--run", "mine", "--input", '{"history": []}', cwd=run, check=False)
    assert "no known item" in new.stderr


@pytest.mark.slow
def test_latents_read_all_items_at_once_and_are_refused(run):
    done = train("task=recommendation", "encoder.latent=array", cwd=run, check=False)
    assert "encoder.latent=plain" in done.stderr


@pytest.mark.slow
def test_gaps_and_pretrained_embeddings(run):
    file = run / "events.csv"
    words = ["task=recommendation", "data=event_files", f"data.path={file}", "epochs=1", "task.neighbours=0"]
    first = run_here(run / "gaps", *words, "data.gaps=true")
    assert first["model"]["side_paths"] == 0
    record = mla_train.load(run / "gaps").predict([[("i1", 5), ("i2", 9.5)]])[0]
    assert record["based_on"] == "history"
    with pytest.raises(UserError, match="pair of name and time"):
        mla_train.load(run / "gaps").predict([["i1"]])
