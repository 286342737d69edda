"""Features from npz and parquet: labels, parts, sequences, padding, what is missing, and what is refused."""

import warnings
from datetime import date

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from mla_train.errors import UserError
from tests.helpers import load

NAN, INF = float("nan"), float("inf")


def read(file, *words, modalities="[audio,vision]"):
    path = [] if file is None else [f"data.path={file}"]
    words = ["task.modality_dropout=0", f"data.modalities={modalities}", *words]
    return load("task=multimodal_sentiment", "data=feature_table", *path, *words)


def arrays(count=20, **more):
    """Vectors of audio, sequences of vision, and two classes by turns."""
    generator = np.random.default_rng(0)
    return {
        "audio": generator.normal(size=(count, 3)),
        "vision": generator.normal(size=(count, 4, 2)).astype(np.float32),
        "label": np.arange(count) % 2,
    } | more


def npz(folder, content):
    np.savez(folder / "mine.npz", **content)
    return folder / "mine.npz"


def parquet(folder, content):
    pyarrow.parquet.write_table(pyarrow.table(content), folder / "mine.parquet")
    return folder / "mine.parquet"


def rows_of(split):
    return [int(name.row.removeprefix("row ")) for name in split.names]


def lists(count=20, **more):
    return {name: array.tolist() for name, array in arrays(count).items()} | more


@pytest.mark.parametrize("write", [npz, parquet])
def test_all_is_cut_stratified_and_said_so(write, tmp_path):
    content = arrays(40) if write is npz else lists(40)
    data = read(write(tmp_path, content))
    assert [len(part) for part in (data.train, data.val, data.test)] == [29, 3, 8]
    assert data.notes == [
        "no test split is given: cut 8 of 40 training examples off for it, stratified by class (data.split_seed=0)",
        "no val split is given: cut 3 of 32 training examples off for it, stratified by class (data.split_seed=0)",
    ]
    assert np.bincount(data.test.targets).tolist() == [4, 4]
    assert sorted(rows_of(data.train) + rows_of(data.val) + rows_of(data.test)) == list(range(40))
    assert data.spec.target.classes == ["0", "1"]
    assert list(data.spec.inputs) == ["audio", "vision"]
    assert not data.spec.sequences
    for place, row in enumerate(rows_of(data.test)):
        assert data.test.targets[place] == row % 2
        for name, shape in (("audio", (1, 3)), ("vision", (4, 2))):
            value = data.test.columns[name].values[place]
            assert value.dtype == np.float32
            np.testing.assert_allclose(value, np.asarray(content[name][row]).reshape(shape), rtol=1e-6)
    again = read(write(tmp_path, content), "data.split_seed=1")
    assert rows_of(again.test) != rows_of(data.test)


def test_batches_hold_the_features_and_mask_what_is_not_there(tmp_path):
    content = lists(20, split=["train"] * 8 + ["val"] * 6 + ["test"] * 6)
    content["audio"][14], content["vision"][15] = None, content["vision"][15][:2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = read(parquet(tmp_path, content), "data.split=split")
        batch = data.collate([data.test[i] for i in range(3)], training=False)
    audio, vision = batch.inputs["audio"], batch.inputs["vision"]
    assert audio.values.shape == (3, 1, 3)
    assert vision.values.shape == (3, 4, 2)
    assert vision.padding.sum(1).tolist() == [0, 2, 0]
    assert audio.padding.all(1).tolist() == [True, False, False]
    assert vision.values[2].numpy() == pytest.approx(np.array(content["vision"][16]))
    assert batch.targets.tolist() == [0, 1, 0]
    assert data.notes == ["1 of 6 examples of test have no audio"]
    assert data.lengths("test").tolist() == [4, 3, 5, 5, 5, 5]


def test_steps_of_zeros_at_the_ends_are_padding(tmp_path):
    content = arrays(20, split=np.array(["train"] * 18 + ["val", "test"]))
    vision = content["vision"]
    vision[0, :2] = 0  # in front
    vision[1, 3] = 0  # behind
    vision[2, 1] = 0  # in the middle
    vision[3, [0, 3]] = 0
    vision[4] = 0  # throughout
    vision[5, 0] = [0, 1]
    content["audio"][6] = 0  # a vector of zeros is a vector
    data = read(npz(tmp_path, content), "data.split=split")
    values = data.train.columns["vision"].values
    assert [len(value) for value in values[:7]] == [2, 3, 4, 2, 0, 4, 4]
    assert values[4].shape == (0, 2)
    assert np.array_equal(values[0], vision[0, 2:])
    assert np.array_equal(values[3], vision[3, 1:3])
    assert data.train.columns["vision"].is_missing()[:6].tolist() == [False] * 4 + [True, False]
    assert not data.train.columns["audio"].is_missing().any()
    padded = "4 sequences of features have steps of zeros at their ends, which are taken for padding and not read"
    assert data.notes == [padded, "1 of 18 examples of train have no vision"]
    predicted = data.spec.inputs["vision"].preprocess(list(vision[:18])).values
    assert all(map(np.array_equal, predicted, values))


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([10, 9, -1, 10], ["-1", "9", "10"]),
        (["b", "10", "9", "a"], ["9", "10", "a", "b"]),
        (["no", "2", "inf", "1"], ["1", "2", "inf", "no"]),
        ([True, False, True, False], ["False", "True"]),
    ],
)
@pytest.mark.parametrize("write", [npz, parquet])
def test_classes_in_order(write, labels, classes, tmp_path):
    content = {"audio": np.ones((12, 2)), "label": np.array(labels * 3)}
    if write is parquet:
        content = {name: column.tolist() for name, column in content.items()}
    content["split"] = ["train"] * 4 + ["val"] * 4 + ["test"] * 4
    data = read(write(tmp_path, content), "data.split=split", modalities="[audio]")
    assert data.spec.target.classes == classes
    assert [classes[i] for i in data.test.targets] == [str(label) for label in labels]


def test_floats_are_predicted_as_numbers(tmp_path):
    label = np.linspace(-3, 3, 40).reshape(40, 1)  # a further axis is forgiven
    data = read(npz(tmp_path, arrays(40, label=label)))
    assert data.spec.head.kind == "regression"
    assert [len(part) for part in (data.train, data.val, data.test)] == [29, 3, 8]
    assert "decimal numbers" in data.notes[0]
    assert data.notes[1] == (
        "no test split is given: cut 8 of 40 training examples off for it, at random (data.split_seed=0)"
    )
    assert data.test.targets == pytest.approx(label[rows_of(data.test), 0])
    assert rows_of(data.test) == sorted(rows_of(data.test))
    assert data.spec.target.mean == pytest.approx(data.train.targets.mean())
    assert rows_of(read(npz(tmp_path, arrays(40, label=label))).test) == rows_of(data.test)


@pytest.mark.parametrize("kind", [str, bytes])
def test_parts_have_many_names(kind, tmp_path):
    names = ["Train", "training", "VALID", "validation", "dev", "val", "test", " Test "]
    names = [name.encode() for name in names] if kind is bytes else names
    content = arrays(16, split=np.array(names * 2), label=np.array([0, 1] * 4 + [1, 0] * 4))
    data = read(npz(tmp_path, content), "data.split=split")
    assert rows_of(data.train) == [0, 1, 8, 9]
    assert rows_of(data.val) == [2, 3, 4, 5, 10, 11, 12, 13]
    assert rows_of(data.test) == [6, 7, 14, 15]
    assert data.notes == []


def test_a_part_that_is_not_given_is_cut_from_train(tmp_path):
    content = arrays(30, split=np.array(["test"] * 10 + ["train"] * 20))
    data = read(npz(tmp_path, content), "data.split=split")
    assert rows_of(data.test) == list(range(10))
    assert [len(part) for part in (data.train, data.val)] == [18, 2]
    assert data.notes == [
        "no val split is given: cut 2 of 20 training examples off for it, stratified by class (data.split_seed=0)"
    ]


@pytest.mark.parametrize("kind", [str, int])
def test_sequences_stay_whole_and_in_order(kind, tmp_path):
    videos = np.array([9, 3, 9, 5, 3, 9, 1, 1, 7, 7, 7, 2] * 2)
    data = read(npz(tmp_path, arrays(24, video=videos.astype(kind))), "data.sequence=video", "data.val_share=0.2")
    assert data.spec.sequences
    found = {}
    for split in (data.train, data.val, data.test):
        rows = np.array(rows_of(split))
        for group in split.sequences:
            (video,) = set(videos[rows[group]])
            found[video] = rows[group].tolist()
        assert sorted(np.concatenate(split.sequences)) == list(range(len(rows)))
    assert found == {video: np.flatnonzero(videos == video).tolist() for video in set(videos.tolist())}
    assert [len(part) for part in (data.train, data.val, data.test)] == [4, 1, 1]
    cut = len(data.test.targets)
    assert data.notes[0] == (
        f"no test split is given: cut {cut} of 24 training examples off for it, in 1 whole sequences (data.split_seed=0)"
    )
    assert [example.index for example in data.train[1]] == data.train.sequences[1].tolist()


def test_sequences_of_parts_that_are_given(tmp_path):
    content = arrays(
        12, video=np.array(list("aabbaacccddd")), split=np.array(["train"] * 6 + ["val"] * 3 + ["test"] * 3)
    )
    data = read(npz(tmp_path, content), "data.split=split", "data.sequence=video")
    assert [group.tolist() for group in data.train.sequences] == [[0, 1, 4, 5], [2, 3]]
    assert [len(part) for part in (data.train, data.val, data.test)] == [2, 1, 1]
    assert data.lengths("train").tolist() == [20, 10]
    batch = data.collate([data.train[0], data.train[1]], training=True)
    assert batch.sequence.tolist() == [0, 0, 0, 0, 1, 1]
    content["split"][5] = "test"
    with pytest.raises(
        UserError,
        match=r"sequence a is in train and, with row 5 \(counted from 0\), in test; put all rows of a sequence",
    ):
        read(npz(tmp_path, content), "data.split=split", "data.sequence=video")


def changed(name, place, value):
    content = arrays()
    content[name] = content[name].astype(np.float64)
    content[name][place] = value
    return content


@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        (arrays(), ["data.label=mood"], r"no array mood \(data\.label=\); there are audio, vision, label$"),
        (arrays(), ["data.modalities=[text]"], r"no array text \(data\.modalities=\); there are audio, vision, label"),
        (arrays(), ["data.split=part"], r"no array part \(data\.split=\)"),
        (arrays(), ["data.sequence=video"], r"no array video \(data\.sequence=\)"),
        (arrays(), ["data.label=audio"], r"audio: an array is one of data\.modalities, data\.label, .*, not two"),
        (arrays(), ["data.split=label"], "label: an array is one of"),
        (arrays(), ["data.sequence=vision"], "vision: an array is one of"),
        (arrays(vision=np.ones((19, 2))), [], "vision has 19 rows, but label has 20; each array needs one row"),
        (arrays(split=np.array(["train"] * 7)), ["data.split=split"], "split has 7 rows, but label has 20"),
        (arrays(0), [], "has no rows"),
        (changed("audio", (3, 1), NAN), [], r"audio has NaN or inf in 1 rows, the first is row 3 \(counted from 0\)"),
        (changed("vision", (slice(5, 9), 2), INF), [], "vision has NaN or inf in 4 rows, the first is row 5"),
        (changed("audio", (2, 0), 1e300), [], "audio has NaN or inf in 1 rows, the first is row 2"),
        (changed("label", [4, 6], NAN), [], "label has NaN or inf in 2 rows, the first is row 4"),
        (arrays(label=np.array(["a", "", "b", "a"] * 5)), [], "label has no value in 5 rows, the first is row 1"),
        (arrays(audio=np.ones(20)), [], r"audio holds float64 of shape \(20,\); features are numbers of shape"),
        (arrays(audio=np.ones((20, 1, 1, 2))), [], r"audio holds float64 of shape \(20, 1, 1, 2\)"),
        (arrays(audio=np.ones((20, 0))), [], r"audio holds float64 of shape \(20, 0\)"),
        (arrays(audio=np.full((20, 2), "x")), [], r"audio holds <U1 of shape \(20, 2\); features are numbers"),
        (arrays(audio=np.array(3.0)), [], "audio is not an array with a row for each example"),
        (arrays(vision=np.zeros((20, 4, 2))), [], r"no training example has vision.*data\.modalities"),
        (arrays(label=np.ones((20, 2))), [], r"label holds float64 of shape \(20, 2\); needed is one number or string"),
        (arrays(label=np.ones(20, complex)), [], r"label holds complex128 of shape \(20,\)"),
        (arrays(label=np.array([{}] * 20)), [], "label cannot be read: .*Python objects are refused"),
        (arrays(label=np.ones(20, int)), [], r"single class \(1\)"),
        (
            arrays(split=np.array(["train"] * 9 + ["Trial"] * 11)),
            ["data.split=split"],
            "has Trial in row 9 .* are called",
        ),
        (arrays(split=np.arange(20)), ["data.split=split"], "split has 0 in row 0"),
        (arrays(split=np.array(["test"] * 20)), ["data.split=split"], "split marks no row as train"),
        (arrays(4, label=np.ones(4) / 2), [], r"cannot cut 10% of 3 examples off .*: that is 0"),
        (arrays(video=np.arange(20) // 10), ["data.sequence=video"], "cannot cut 20% of 2 sequences off"),
        (
            arrays(label=np.arange(20) // 18, split=np.array(["train"] * 18 + ["val", "test"])),
            ["data.split=split"],
            "val has label 1, which train lacks",
        ),
    ],
)
def test_what_an_npz_must_not_hold(content, words, message, tmp_path):
    with pytest.raises(UserError, match=message):
        read(npz(tmp_path, content), *words)


def test_a_rare_class_stays_in_train(tmp_path):
    splits = read(npz(tmp_path, arrays(label=np.arange(20) // 19)))
    assert [split.targets.sum() for split in (splits.train, splits.val, splits.test)] == [1, 0, 0]
    assert "1 classes have too few examples to be in test" in splits.notes[0]


def with_cell(name, row, value, **more):
    content = lists(**more)
    content[name][row] = value
    return content


@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        (lists(), ["data.label=mood"], r"no array mood \(data\.label=\); there are audio, vision, label$"),
        (with_cell("label", 3, None), [], r"label has no value in 1 rows, the first is row 3 \(counted from 0\)"),
        (with_cell("label", 3, None, label=[0.5] * 20), [], "label has no value in 1 rows, the first is row 3"),
        (with_cell("label", 3, NAN, label=[0.5] * 20), [], "label has NaN or inf in 1 rows, the first is row 3"),
        (with_cell("split", 2, None, split=["train"] * 20), ["data.split=split"], "split has no value in 1 rows"),
        (lists(label=[[1.0]] * 20), [], "label holds list<.*double>; needed is one number or string in each row"),
        (lists(label=[date(2020, 1, 1)] * 20), [], "label holds date32"),
        (with_cell("audio", 3, [1.0, NAN, 2.0]), [], "audio has NaN or inf in 1 rows, the first is row 3"),
        (with_cell("audio", 3, [1.0, None, 2.0]), [], "audio has NaN or inf in 1 rows, the first is row 3"),
        (with_cell("audio", 3, [1.0]), [], "audio has 1 features in row 3 .*, but 3 in those before"),
        (with_cell("vision", 3, [[1.0, 2.0], [1.0]]), [], "vision has steps of different width in row 3"),
        (with_cell("vision", 3, [[1.0, 2.0], None]), [], "vision has steps of different width in row 3"),
        (with_cell("vision", 3, [[1.0]]), [], "vision has 1 features in row 3 .*, but 2 in those before"),
        (lists(audio=[1.0] * 20), [], "audio holds double; features are lists of numbers, or lists of such lists"),
        (lists(audio=[["a"]] * 20), [], "audio holds list<.*string>; features"),
        (lists(audio=[[[[1.0]]]] * 20), [], "audio holds list<.*list<.*list<.*double>>>; features"),
        (lists(audio=[None] * 20), [], "no training example has audio"),
    ],
)
def test_what_a_parquet_must_not_hold(content, words, message, tmp_path):
    with pytest.raises(UserError, match=message):
        read(parquet(tmp_path, content), *words)


def test_a_name_that_stands_there_twice(tmp_path):
    table = pyarrow.table(lists())
    pyarrow.parquet.write_table(table.append_column("label", table["label"]), tmp_path / "a.parquet")
    with pytest.raises(UserError, match="several arrays called label; give each a name of its own"):
        read(tmp_path / "a.parquet")


def test_lists_of_any_parquet_kind(tmp_path):
    content = lists(20, split=["train"] * 8 + ["val"] * 6 + ["test"] * 6)
    content["audio"][3], content["audio"][2] = None, [0.0, 0.0, 0.0]
    content["vision"][0], content["vision"][1], content["vision"][2] = [], [[0.0, 0.0]], [[0.0, 0.0], [1.0, 2.0]]
    content["label"] = pyarrow.array([f"class {i}" for i in content["label"]]).dictionary_encode()
    plain = read(parquet(tmp_path, content), "data.split=split")
    assert [len(value) for value in plain.train.columns["audio"].values[:4]] == [1, 1, 1, 0]
    assert [value.shape for value in plain.train.columns["vision"].values[:4]] == [(0, 2), (0, 2), (1, 2), (4, 2)]
    assert plain.spec.target.classes == ["class 0", "class 1"]
    inner = pyarrow.list_(pyarrow.float16(), 2)
    for audio, vision in (
        (pyarrow.list_(pyarrow.float32(), 3), pyarrow.large_list(inner)),
        (pyarrow.large_list(pyarrow.float64()), pyarrow.list_(pyarrow.large_list(pyarrow.float32()))),
    ):
        other = content | {
            name: pyarrow.array(content[name], kind) for name, kind in (("audio", audio), ("vision", vision))
        }
        found = read(parquet(tmp_path, other), "data.split=split")
        for name in ("audio", "vision"):
            for value, expected in zip(found.train.columns[name].values, plain.train.columns[name].values, strict=True):
                np.testing.assert_allclose(value, expected, rtol=2e-3, atol=1e-3)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r"data\.path"):
        read(None)
    with pytest.raises(UserError, match=r"none\.npz: there is no such file \(/"):
        read(tmp_path / "none.npz")
    for name, message in (
        ("a.pkl", r"cannot read \.pkl; use \.npz, \.parquet"),
        ("a", "cannot read a file without ending"),
        ("a.npz", "is not a zip file. Write it with numpy"),
        ("a.parquet", "cannot be read as parquet"),
    ):
        (tmp_path / name).write_text("nothing of the kind")
        with pytest.raises(UserError, match=message):
            read(tmp_path / name)
    np.save(tmp_path / "one.npy", np.ones(3))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    with pytest.raises(UserError, match="is not a zip file"):
        read(tmp_path / "one.npz")
    file = npz(tmp_path, arrays())
    content = bytearray(file.read_bytes())
    content[200] ^= 255  # within the first array
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"mine\.npz cannot be read: .*\. Write it with numpy\.savez"):
        read(file)
