"""Rules of splitting: groups stay whole, the newest are test, folds are a partition; and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mla_train.config import SplitOptions
from mla_train.data.splits import fold_cut, joined_groups, stratified_group_cut, time_cut
from mla_train.errors import UserError
from mla_train.splitting import draw_train
from tests.helpers import load, write_jsonl

calm = settings(deadline=None, max_examples=60)
seeds = st.integers(0, 1000)
labels = st.lists(st.integers(0, 2), min_size=12, max_size=60)


@calm
@given(strata=labels, groups=st.integers(3, 12), share=st.floats(0.1, 0.5), seed=seeds)
def test_groups_are_never_divided(strata, groups, share, seed):
    strata = np.array(strata)
    numbers = np.random.default_rng(seed).integers(0, groups, len(strata))
    if len(np.unique(numbers)) < 2:
        return
    cut = stratified_group_cut(numbers, strata, share, seed)
    rest = np.delete(np.arange(len(strata)), cut)
    assert len(cut)
    assert len(rest)
    assert not set(numbers[cut]) & set(numbers[rest])
    assert (cut == stratified_group_cut(numbers, strata, share, seed)).all()


def test_small_groups_give_every_class_its_share():
    groups = np.repeat(np.arange(100), 5)
    strata = np.repeat(np.arange(100) % 4 == 0, 5).astype(int)
    cut = stratified_group_cut(groups, strata, 0.2, 3)
    assert np.bincount(strata[cut]).tolist() == [75, 25]


@calm
@given(times=st.lists(st.integers(0, 15), min_size=2, max_size=60), share=st.floats(0.05, 0.9))
def test_the_newest_are_cut_and_ties_stay_together(times, share):
    times = np.array(times)
    if len(set(times.tolist())) == 1:
        with pytest.raises(UserError, match=r"Remove data\.time_column"):
            time_cut(times, share)
        return
    cut = time_cut(times, share)
    rest = np.delete(times, cut)
    assert len(cut)
    assert len(rest)
    assert times[cut].min() > rest.max()
    largest_tie = np.unique(times, return_counts=True)[1].max()
    assert abs(len(cut) - share * len(times)) <= max(largest_tie, 1)


@calm
@given(strata=labels, folds=st.integers(2, 6), seed=seeds, grouped=st.booleans(), by_class=st.booleans())
def test_folds_are_a_partition_that_respects_groups(strata, folds, seed, grouped, by_class):
    count, strata = len(strata), np.array(strata) if by_class else None
    groups = np.arange(count) % 9 if grouped else None
    parts = [fold_cut(count, folds, fold, seed, strata, groups) for fold in range(folds)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(count))
    for part in parts if grouped else ():
        assert not set(groups[part]) & set(np.delete(groups, part))
    if by_class and not grouped and np.bincount(strata).min() >= folds:
        shares = np.array([np.bincount(strata[part], minlength=strata.max() + 1) for part in parts])
        assert (shares.max(0) - shares.min(0) <= 1).all()


def test_too_few_groups_for_folds_are_named():
    with pytest.raises(UserError, match=r"data\.folds=5: there are 3 groups"):
        fold_cut(30, 5, 0, 0, None, np.arange(30) % 3)


def test_groups_that_share_an_example_belong_together():
    authors, texts = np.array([0, 0, 1, 2, 3]), np.array([0, 1, 1, 2, 3])
    joined = joined_groups(authors, texts)
    assert len({*joined[:3].tolist()}) == 1
    assert len(set(joined.tolist())) == 3


# Through the command line's options, from a file of rows to three splits.


def rows(count=120):
    words = {"good": ["fine", "nice", "great"], "bad": ["poor", "awful", "sad"]}
    content = []
    for i in range(count):
        label = ("good", "bad")[i % 2]
        text = f"{words[label][i % 3]} film number {i}"
        day = f"2024-{1 + i // 28:02}-{1 + i % 28:02}"
        content.append({"key": f"k{i}", "text": text, "label": label, "author": f"a{i % 12}", "day": day})
    return content


def files(tmp_path, *words, content=None):
    file = write_jsonl(tmp_path / "mine.jsonl", content or rows())
    return load("task=text_classification", "data=text_files", f"data.train={file}", "data.tfidf_features=0", *words)


def lines(split):
    return {int(name.row.removeprefix("line ")) for name in split.names}


def authors(split):
    return {(line - 1) % 12 for line in lines(split)}


def test_all_rows_of_an_author_are_in_one_split(tmp_path):
    data = files(tmp_path, "data.group_column=author")
    parts = [authors(part) for part in (data.train, data.val, data.test)]
    assert sum(map(len, parts)) == 12
    assert sum("whole groups of author" in note for note in data.notes) == 2
    folds = [files(tmp_path, "data.group_column=author", "data.folds=3", f"data.fold={fold}") for fold in range(3)]
    assert sorted(line for each in folds for line in lines(each.test)) == list(range(1, 121))
    for each in folds:
        assert not authors(each.test) & (authors(each.train) | authors(each.val))
        assert not authors(each.val) & authors(each.train)


def test_a_row_without_an_author_is_a_group_of_its_own(tmp_path):
    content = rows()
    content[0]["author"] = content[5]["author"] = " "
    notes = files(tmp_path, "data.group_column=author", content=content).notes
    assert "2 rows have no author: each is a group of its own (data.group_column)" in notes


def test_a_group_of_a_given_split_that_train_has_is_counted(tmp_path):
    test = write_jsonl(tmp_path / "test.jsonl", [{**row, "text": f"other {row['text']}"} for row in rows(4)])
    notes = files(tmp_path, "data.group_column=author", f"data.test={test}").notes
    assert any(note.startswith("4 groups of test are in train too") for note in notes)


def test_the_newest_rows_are_test_and_those_before_them_val(tmp_path):
    content = rows()
    np.random.default_rng(0).shuffle(content)
    data = files(tmp_path, "data.time_column=day", content=content)
    days = [[content[line - 1]["day"] for line in lines(part)] for part in (data.train, data.val, data.test)]
    assert max(days[0]) < min(days[1])
    assert max(days[1]) < min(days[2])
    assert len(days[2]) == 24
    assert any(f"the newest, from {min(days[2])} on" in note for note in data.notes)


def test_numbers_are_times_too(tmp_path):
    data = files(tmp_path, "data.time_column=year", content=[{**row, "year": i // 20} for i, row in enumerate(rows())])
    assert lines(data.test) == set(range(101, 121))


def test_numbers_that_are_dates_in_another_order_are_read_or_refused(tmp_path):
    content = [{**row, "month": f"{1 + i % 12}.{2014 + i // 12}"} for i, row in enumerate(rows())]
    data = files(tmp_path, "data.time_column=month", content=content)
    assert lines(data.test) == set(range(97, 121))
    assert any("the newest, from 2022-01-01" in note for note in data.notes)
    content = [{**row, "day": f"{1 + i % 28:02}{1 + i // 28:02}2024"} for i, row in enumerate(rows())]
    with pytest.raises(UserError, match=r"1012024, may be dates whose year comes last.*data\.time_format=%d%m%Y"):
        files(tmp_path, "data.time_column=day", content=content)
    data = files(tmp_path, "data.time_column=day", "data.time_format=%d%m%Y", content=content)
    assert lines(data.test) == set(range(97, 121))


def test_what_is_no_time_is_named_with_its_row(tmp_path):
    content = rows()
    content[6]["day"] = "soon"
    with pytest.raises(UserError, match=r"mine\.jsonl line 7: 'soon' in column day \(data\.time_column\) is no time"):
        files(tmp_path, "data.time_column=day", content=content)
    content[6]["day"] = None
    with pytest.raises(UserError, match=r"mine\.jsonl line 7: column day is empty"):
        files(tmp_path, "data.time_column=day", content=content)


def test_a_date_that_may_be_two_is_asked(tmp_path):
    """Rows in any order do not tell whether the day or the month comes first."""
    content = [{**row, "day": f"{i % 12 + 1:02d}/{i // 12 + 1:02d}/2024"} for i, row in enumerate(rows())]
    with pytest.raises(UserError, match=r"day .*data\.time_format=day_first or .*data\.time_format=month_first"):
        files(tmp_path, "data.time_column=day", content=content)
    data = files(tmp_path, "data.time_column=day", "data.time_format=day_first", content=content)
    assert lines(data.test) == set(range(97, 121))
    content = [{**row, "day": row["day"].replace("/", ".")} for row in content]
    assert lines(files(tmp_path, "data.time_column=day", content=content).test) == set(range(97, 121))


def test_a_class_that_only_the_test_fold_has_is_said(tmp_path):
    content = [{**row, "label": "odd" if row["author"] == "a3" else row["label"]} for row in rows()]
    words = ["data.group_column=author", "data.folds=3"]
    notes = [files(tmp_path, *words, f"data.fold={fold}", content=content).notes for fold in range(3)]
    said = [any("no example of class odd" in note and "data.group_column" in note for note in each) for each in notes]
    assert sum(said) >= 1


def with_splits(*names, count=120):
    return [{**row, "part": names[i % len(names)]} for i, row in enumerate(rows(count))]


def test_a_column_says_the_split_in_any_spelling(tmp_path):
    content = with_splits("Train", "training", " TEST ", "Validation", "dev")
    data = files(tmp_path, "data.split_column=part", content=content)
    parts = [{content[line - 1]["part"] for line in lines(part)} for part in (data.train, data.val, data.test)]
    assert parts == [{"Train", "training"}, {"Validation", "dev"}, {" TEST "}]
    assert not any("is given: cut" in note for note in data.notes)


def test_a_split_that_the_column_lacks_is_cut(tmp_path):
    data = files(tmp_path, "data.split_column=part", content=with_splits("train", "train", "test"))
    assert len(data.test.targets) == 40
    assert any(note.startswith("no val split is given") for note in data.notes)


@pytest.mark.parametrize("seed", [0, 1])
def test_fewer_training_examples_are_a_part_of_more_with_each_class_its_share(seed):
    strata = np.array([0] * 600 + [1] * 300 + [2] * 100)
    kept = {}
    for count in (10, 50, 400):
        rows = {"train": np.arange(1000), "val": np.arange(5)}
        notes = []
        draw_train(rows, strata, SplitOptions(split_seed=seed, train_examples=count), notes)
        kept[count] = set(rows["train"].tolist())
        assert len(kept[count]) == count
        shares = np.bincount(strata[rows["train"]], minlength=3) / count
        np.testing.assert_allclose(shares, [0.6, 0.3, 0.1], atol=1.01 / count)
        assert "data.train_examples" in notes[0]
    assert kept[10] < kept[50] < kept[400]
    rows = {"train": np.arange(30)}
    draw_train(rows, None, SplitOptions(train_examples=30), [])
    assert len(rows["train"]) == 30
    draw_train(rows, None, SplitOptions(train_examples=7), [])
    assert len(rows["train"]) == 7


def test_splits_of_a_run_are_read_back(tmp_path):
    from mla_train.data.split_file import write_splits

    first = files(tmp_path, "data.split_seed=7", "data.group_column=author")
    parts = {split: getattr(first, split).names for split in ("train", "val", "test")}
    write_splits(parts, tmp_path / "data_splits.csv")
    header, *written = (tmp_path / "data_splits.csv").read_text().splitlines()
    assert header == "file,row,id,split,content"
    assert len(written) == 120
    again = files(tmp_path, f"data.split_column={tmp_path / 'data_splits.csv'}")
    assert {split: getattr(again, split).names for split in parts} == parts
    more = files(tmp_path, f"data.split_column={tmp_path / 'data_splits.csv'}", content=rows(125))
    assert any(note.startswith("left out 5 rows that") for note in more.notes)


def test_splits_of_a_run_are_not_given_to_other_rows(tmp_path):
    from mla_train.data.split_file import write_splits

    first, file = files(tmp_path, "data.split_seed=7"), tmp_path / "data_splits.csv"
    write_splits({split: getattr(first, split).names for split in ("train", "val", "test")}, file)
    moved = [rows(125)[-1], *rows()]  # a row in front of the others
    with pytest.raises(UserError) as error:
        files(tmp_path, f"data.split_column={file}", content=moved)
    assert "lists other rows than" in str(error.value)
    assert "120 of 121 are not as they were" in str(error.value)
    lines = [line.rpartition(",")[0] for line in file.read_text().splitlines()]  # as an earlier version wrote it
    file.write_text("\n".join(lines) + "\n")
    again = files(tmp_path, f"data.split_column={file}", content=moved)
    assert sum(len(getattr(again, split).names) for split in ("train", "val", "test")) == 120


MISTAKES = {
    ("data.split_column=part",): "line 5: part is 'holdout'; a split is called train, training, val",
    ("data.split_column=parts",): "has no column parts",
    ("data.group_column=writer",): "has no column writer",
    ("data.fold=2",): "data.fold=2 needs data.folds=",
    ("data.folds=3", "data.fold=3"): "data.fold=3: with data.folds=3 it is from 0 to 2",
    ("data.folds=3", "data.time_column=day"): "data.time_column and data.folds",
    ("data.group_column=author", "data.time_column=day"): "data.time_column and data.group_column",
    ("data.folds=13", "data.group_column=author"): "there are 12 groups; give fewer folds",
}


@pytest.mark.parametrize("words", MISTAKES, ids=" ".join)
def test_rules_that_cannot_be_meant(words, tmp_path):
    content = [{**row, "part": "holdout" if i == 4 else "train"} for i, row in enumerate(rows())]
    with pytest.raises(UserError) as error:
        files(tmp_path, *words, content=content)
    assert MISTAKES[words] in str(error.value)


def test_a_split_is_not_given_twice(tmp_path):
    test = write_jsonl(tmp_path / "test.jsonl", rows(4))
    with pytest.raises(UserError, match=r"column part says test.*remove one of them"):
        files(tmp_path, "data.split_column=part", f"data.test={test}", content=with_splits("train", "test"))
    with pytest.raises(UserError, match=r"data\.folds=3 takes the test split from train, but the data brings one"):
        files(tmp_path, "data.folds=3", f"data.test={test}")


def test_identifiers_name_rows_and_repeated_ones_are_counted(tmp_path):
    content = rows()
    content[3]["key"] = content[4]["key"] = "k0"
    data = files(tmp_path, "data.id_column=key", content=content)
    known = {name.row: name.id for name in data.train.names}
    assert all(content[int(row.removeprefix("line ")) - 1]["key"] == key for row, key in known.items())
    assert any("1 values of key name more than one row: k0" in note for note in data.notes)


def test_pairs_are_split_by_group_with_equal_sources_together(tmp_path):
    pairs = [{"source": f"word {i // 2} of {i % 5}", "target": f"wort {i}", "book": f"b{i % 10}"} for i in range(200)]
    file = write_jsonl(tmp_path / "pairs.jsonl", pairs)
    data = load(
        "task=translation", "data=pair_files", f"data.train={file}", "data.group_column=book", "data.val_share=0.2",
        "data.test_share=0.2",
    )  # fmt: skip
    parts = [{pairs[line - 1]["book"] for line in lines(part)} for part in (data.train, data.val, data.test)]
    assert sum(map(len, parts)) == 10
    assert all(parts)


def test_whole_series_are_split_by_column_and_group(tmp_path):
    content = [
        {"a": i % 7, "b": i % 3 + i / 10, "c": -i, "label": ("x", "y")[i % 2], "ward": i % 6, "part": "train"}
        for i in range(60)
    ]
    for row in content[:12]:
        row["part"] = "test"
    file = write_jsonl(tmp_path / "wide.jsonl", content)
    words = ["task=series_classification", "data=series_files", f"data.train={file}"]
    data = load(*words, "data.split_column=part", "data.group_column=ward")
    assert lines(data.test) == set(range(1, 13))
    assert len(data.train.columns["series"][0]) == 3
    assert not {line % 6 for line in lines(data.train)} & {line % 6 for line in lines(data.val)}


def test_arrays_are_split_by_group_and_by_time(tmp_path):
    generator = np.random.default_rng(0)
    np.savez(
        tmp_path / "a.npz", text=generator.normal(size=(80, 4)), label=np.arange(80) % 2, ward=np.arange(80) % 8,
        year=np.arange(80) // 10,
    )  # fmt: skip
    words = ["task=multimodal_sentiment", "data=feature_table", f"data.path={tmp_path / 'a.npz'}"]
    words.append("data.modalities=[text]")
    data = load(*words, "data.group_column=ward")
    assert not {line % 8 for line in lines_of_arrays(data.train)} & {line % 8 for line in lines_of_arrays(data.test)}
    data = load(*words, "data.time_column=year")
    assert lines_of_arrays(data.test) == set(range(60, 80))


def lines_of_arrays(split):
    return {int(name.row.removeprefix("row ")) for name in split.names}
