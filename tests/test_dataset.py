"""From raw examples to splits: what is missing, broken, repeated, cut, dropped, and that all of it is said."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mla_train.data.examples import Examples, RawData
from mla_train.dataset import check_given, raw_batch
from mla_train.errors import UserError
from mla_train.heads import HEADS
from mla_train.modalities import Features, Image, Text
from mla_train.preparation import prepare
from mla_train.task import build_task, kind_of_labels
from tests.helpers import batch_of, config

KINDS = {"text": Text, "image": Image, "voice": Features}


def examples(count=20, start=0, inputs=("text",), **changes):
    """Examples of two classes by turns; `changes` replace values of an input, or of `targets`, by place."""
    places = range(start, start + count)
    generator = np.random.default_rng(start)
    made = {
        "text": [f"{('poor', 'fine')[i % 2]} day number {i}" for i in places],
        "image": torch.from_numpy(generator.integers(0, 256, (count, 1, 6, 6))).to(torch.uint8),
        "voice": list(generator.normal(size=(count, 1 + start % 2, 3)).astype(np.float32)),
    }
    targets = [("sad", "glad")[i % 2] for i in places]
    for name, values in changes.items():
        column = targets if name == "targets" else made[name]
        for place, value in values.items():
            column[place] = value
    return Examples({name: made[name] for name in inputs}, targets)


def read(splits, *words, head="classification", classes=None, notes=()):
    """Prepares splits, or a single one that is train."""
    splits = splits if isinstance(splits, dict) else {"train": splits}
    options = ["task=multimodal_sentiment", "data=text_image_files", "data.min_frequency=1", *words]
    kinds = {name: KINDS[name] for name in splits["train"].inputs}
    return prepare(RawData(splits, list(notes), classes), kinds, HEADS[head], config(*options))


def parts(train=None, inputs=("text",), **changes):
    """Train with changes, val and test without."""
    train = train or examples(inputs=inputs, **changes)
    return {"train": train, "val": examples(4, 100, inputs), "test": examples(6, 200, inputs)}


def test_given_splits_stay_as_they_are():
    data = read(parts())
    assert [data.count(split) for split in ("train", "val", "test")] == [20, 4, 6]
    assert data.train.columns["text"].texts == examples().inputs["text"]
    assert data.spec.target.classes == ["glad", "sad"]
    assert data.train.targets.tolist() == [1, 0] * 10
    assert data.notes == []
    assert not data.spec.sequences


def test_missing_splits_are_cut_stratified_and_said_so():
    data = read(examples(50), notes=["read first"])
    assert [len(part) for part in (data.train, data.val, data.test)] == [36, 4, 10]
    assert np.bincount(data.test.targets).tolist() == [5, 5]
    assert data.notes == [
        "read first",
        "no test split is given: cut 10 of 50 training examples off for it, stratified by class (data.split_seed=0)",
        "no val split is given: cut 4 of 40 training examples off for it, stratified by class (data.split_seed=0)",
    ]
    texts = [part.columns["text"].texts for part in (data.train, data.val, data.test)]
    assert sorted(itertools.chain(*texts)) == sorted(examples(50).inputs["text"])
    other = read(examples(50), "data.split_seed=1")
    assert other.test.columns["text"].texts != texts[2]
    again = read(examples(50), "seed=7")
    assert again.test.columns["text"].texts == texts[2]


@settings(max_examples=25, deadline=None)
@given(count=st.integers(12, 60), val=st.floats(0.1, 0.4), test=st.floats(0.1, 0.4), repeats=st.integers(0, 5))
def test_no_example_is_lost_or_in_two_splits(count, val, test, repeats):
    train = examples(count)
    train.inputs["text"] += train.inputs["text"][:repeats]
    train.targets += train.targets[:repeats]
    try:
        data = read(train, f"data.val_share={val}", f"data.test_share={test}", "data.tfidf_features=0")
    except UserError:  # too few examples to cut
        assert count * min(val * (1 - test), test) < 3
        return
    texts = [text for part in (data.train, data.val, data.test) for text in part.columns["text"].texts]
    assert sorted(texts) == sorted(examples(count).inputs["text"])
    assert ("repeated" in data.notes[0]) is bool(repeats)
    # What is learned is learned from train alone.
    known = set(data.spec.inputs["text"].tokenizer.get_vocab())
    assert {word for text in data.train.columns["text"].texts for word in text.split()} <= known
    hidden = {text.split()[-1] for text in data.test.columns["text"].texts}
    assert not hidden & known


def test_numbers_and_several_labels_are_cut_at_random():
    numbers = {place: place / 7 for place in range(40)}
    data = read(examples(40, targets=numbers), head="regression")
    assert [len(part) for part in (data.train, data.val, data.test)] == [29, 3, 8]
    assert "at random" in data.notes[0]
    assert data.spec.target.mean == pytest.approx(data.train.targets.mean())
    lists = {place: [["a"], ["a", "b"]][place % 2] for place in range(40)}
    assert "at random" in read(examples(40, targets=lists), head="multilabel").notes[0]


def test_empty_examples_are_left_out_and_counted():
    data = read(parts(text={2: " \t", 5: None, 6: ""}))
    assert data.notes == ["left out 3 examples of train without text"]
    assert data.count("train") == 17
    with pytest.raises(UserError, match="the val split has no example with text"):
        read(parts() | {"val": examples(1, 100, text={0: ""})})


def test_what_one_of_several_inputs_lacks_is_counted_and_kept():
    inputs = ("text", "voice")
    splits = parts(inputs=inputs, text={1: None, 2: None}, voice={2: None, 3: None})
    data = read(splits | {"test": examples(6, 200, inputs, voice={0: None})})
    assert data.notes == [
        "left out 1 examples of train without text or voice",
        "1 of 19 examples of train have no text",
        "1 of 19 examples of train have no voice",
        "1 of 6 examples of test have no voice",
    ]
    with pytest.raises(UserError, match=r"no training example has voice.*data\.modalities"):
        read(parts(inputs=inputs, voice=dict.fromkeys(range(20))))


def test_repeats_are_left_out_of_train_and_counted_elsewhere():
    splits = parts()
    train = splits["train"]
    train.inputs["text"] += [f"  {train.inputs['text'][0]} ", train.inputs["text"][1], train.inputs["text"][2]]
    train.targets += [train.targets[0], train.targets[1], "glad"]
    splits["test"].inputs["text"][:2] = train.inputs["text"][3:5]
    splits["val"].inputs["text"][1] = splits["val"].inputs["text"][0]
    data = read(splits)
    assert data.notes == [
        "1 examples of train occur with more than one label; all are kept",
        "1 examples of val occur with more than one label; all are kept",
        "left out 2 repeated examples of train",
        "2 examples of test are in train too; they stay, so that scores can be compared",
    ]
    assert [data.count(split) for split in ("train", "val", "test")] == [21, 4, 6]


def test_images_from_memory_are_not_searched_for_repeats():
    train = examples(inputs=("image",))
    train.inputs["image"][1::2] = train.inputs["image"][1]
    data = read(parts(train, ("image",)))
    assert data.notes == []
    assert data.count("train") == 20


@pytest.mark.parametrize(("on_error", "left"), [("stop", None), ("skip", 18), ("missing", 20)])
def test_broken_values_stop_are_left_out_or_missing(on_error, left):
    inputs = ("text", "voice")
    broken = {3: np.array([1.0, np.nan, 2.0]), 4: np.array([np.inf, 0, 0])}
    splits = parts(inputs=inputs, voice=broken)
    if left is None:
        with pytest.raises(UserError) as caught:
            read(splits)
        message = str(caught.value)
        assert "2 of 30 examples have voice that cannot be read: train example 4, train example 5" in message
        assert "data.on_error=skip" in message
        assert "data.on_error=missing" in message
        return
    data = read(splits, f"data.on_error={on_error}")
    assert data.count("train") == left
    assert data.notes[0].endswith({"skip": "left out", "missing": "taken as missing"}[on_error])
    assert data.train.columns["voice"].is_missing().sum() == left - 18
    assert torch.isfinite(batch_of(data, count=20).inputs["voice"].values).all()


def test_sequences_are_cut_whole_and_stay_in_order():
    train = examples(24, inputs=("voice",))
    videos = np.array([9, 3, 9, 5, 3, 9, 1, 1, 7, 7, 7, 2] * 2)
    train.sequence = videos
    train.names = [str(i) for i in range(24)]
    data = read(train, "data.val_share=0.2")
    assert data.spec.sequences
    rows_of = {}
    for part in (data.train, data.val, data.test):
        rows = np.array(part.names, dtype=int)
        for group in part.sequences:
            (video,) = set(videos[rows[group]])
            rows_of[video] = rows[group].tolist()
    assert rows_of == {video: np.flatnonzero(videos == video).tolist() for video in set(videos.tolist())}
    assert [len(part) for part in (data.train, data.val, data.test)] == [4, 1, 1]
    assert sum(data.count(split) for split in ("train", "val", "test")) == 24
    assert "in 1 whole sequences" in data.notes[0]
    batch = data.collate([data.train[0], data.train[1]], training=True)
    sizes = [len(data.train.sequences[i]) for i in (0, 1)]
    assert batch.sequence.tolist() == [0] * sizes[0] + [1] * sizes[1]
    assert data.lengths("train").tolist() == [len(group) for group in data.train.sequences]


def test_sequences_of_one_example_are_none():
    train = examples(20, inputs=("voice",))
    train.sequence = np.arange(20)
    assert not read(train).spec.sequences


def test_classes_given_as_numbers_get_their_names():
    splits = parts()
    for part in splits.values():
        part.targets = [place % 2 for place in range(len(part.targets))]
    names = ["no", "yes"]
    assert read(splits, classes=names).spec.target.classes == names
    assert read(splits, "data.labels=[a,b]", classes=names).spec.target.classes == ["a", "b"]
    # Data sets of the hub write -1 where nobody knows the class.
    splits["train"].targets[0] = -1
    assert read(splits, classes=names).spec.target.classes == ["-1", "no", "yes"]
    assert read(splits, head="regression", classes=names).spec.target.mean == pytest.approx(0.45)


@pytest.mark.parametrize(
    ("labels", "separator", "kind"),
    [
        (["a", "b"], None, "classification"),
        (["1", "2"], None, "classification"),
        (["1.0", "2.0"], None, "classification"),
        ([True, False], None, "classification"),
        (["1", "b", "1.5"], None, "classification"),
        (np.array([1, 2]), None, "classification"),
        (np.array(["1.5"]), None, "classification"),
        (["1.5", "2"], None, "regression"),
        ([1, 2.5], None, "regression"),
        (np.array([1.0, 2.0]), None, "regression"),
        (torch.tensor([1.0]), None, "regression"),
        ([["a"], []], None, "multilabel"),
        (["a|b", "c"], "|", "multilabel"),
        (["1.5", "2.5"], "|", "multilabel"),
        (["nan", "2", "inf", "1"], None, "classification"),
    ],
)
def test_labels_tell_the_kind_of_answer(labels, separator, kind):
    assert kind_of_labels(labels, separator) == kind


@pytest.mark.parametrize("kind", ["classification", "multilabel", "regression"])
def test_the_kind_of_answer_can_be_asked_for(kind):
    task = build_task(config("task=text_classification", f"task.head={kind}"))
    raw = RawData({"train": Examples({"text": ["a"]}, ["1.5"])})
    assert task.choose_head(raw).kind == kind
    assert raw.notes == []
    guessed = build_task(config("task=text_classification"))
    assert guessed.choose_head(raw).kind == "regression"
    assert "task.head=classification" in raw.notes[0]


def many(*words, dropout=0.5, inputs=("text", "voice"), count=2000, **changes):
    """A data set whose training leaves inputs out, and many training examples."""
    data = read(parts(examples(40, inputs=inputs, **changes), inputs), f"task.modality_dropout={dropout}", *words)
    torch.manual_seed(0)
    return data, [data.train[i % 40][0] for i in range(count)]


def test_training_leaves_inputs_out_and_evaluation_does_not():
    data, rows = many()
    lost = {name: np.array([row.inputs[name] is None for row in rows]) for name in ("text", "voice")}
    assert not (lost["text"] & lost["voice"]).any()
    # Of (.5, .5) a quarter loses both and gets one back at random: 1/4 + 1/8 each.
    for name in lost:
        assert lost[name].mean() == pytest.approx(0.375, abs=0.04)
    for part in (data.val, data.test):
        assert not any(value is None for i in range(4) for value in part[i][0].inputs.values())
    batch = data.collate([[row] for row in rows[:30]], training=True)
    for name in lost:
        assert batch.inputs[name].padding.all(1).tolist() == lost[name][:30].tolist()


def test_each_of_three_inputs_may_be_the_one_that_stays():
    _, rows = many(inputs=("text", "image", "voice"), dropout=0.9, count=1000)
    alone = [[name for name, value in row.inputs.items() if value is not None] for row in rows]
    assert all(alone)
    shares = {name: sum(names == [name] for names in alone) / len(alone) for name in ("text", "image", "voice")}
    assert all(share > 0.2 for share in shares.values()), shares


def test_the_only_input_of_an_example_is_never_left_out():
    _, rows = many(dropout=0.9, text=dict.fromkeys(range(20)), count=400)
    assert all(row.inputs["voice"] is not None for row in rows if row.index < 20)


def test_a_single_input_is_never_left_out():
    assert read(parts()).train.modality_dropout == 0


def test_augmentation_varies_training_examples_alone():
    data = read(parts(), "regularization=strong")
    torch.manual_seed(0)
    varied, same = ([part[0][0].inputs["text"].tokens.tolist() for _ in range(20)] for part in (data.train, data.test))
    assert len(set(map(tuple, varied))) > 5
    assert len(set(map(tuple, same))) == 1
    assert read(parts()).train.augmentations
    assert read(parts(), "regularization=none").train.augmentations == {}


def test_images_are_mixed_in_training_batches_alone():
    splits = parts(inputs=("image",))
    data = read(splits, "regularization=strong")
    torch.manual_seed(0)
    batches = [batch_of(data, count=8, training=True) for _ in range(20)]
    assert all(batch.targets.shape == (8, 2) for batch in batches)
    assert any(((batch.targets > 0) & (batch.targets < 1)).any() for batch in batches)
    assert batch_of(data, "val").targets.shape == (4,)
    assert batch_of(data, count=1, training=True).targets.shape == (1,)
    assert read(splits, "regularization=light").vary is None


def test_few_examples_to_learn_by_heart_are_evaluated_without_variation():
    data, _ = many("regularization=strong")
    few = data.overfit(8)
    assert [few.count(split) for split in ("train", "val", "test")] == [8, 8, 8]
    assert few.train.augmentations
    assert few.train.modality_dropout
    for part in (few.val, few.test):
        assert not part.augmentations
        assert not part.modality_dropout
        assert part.columns["text"].texts == data.train.columns["text"].texts[:8]
        assert part.targets.tolist() == data.train.targets[:8].tolist()
    assert few.spec is data.spec


def test_few_sequences_to_learn_by_heart():
    splits = parts(examples(12, inputs=("voice",)), ("voice",))
    numbers = {"train": [0, 0, 1, 1, 1, 0, 2, 2, 3, 3, 4, 4], "val": [9, 9, 8, 8], "test": [5, 5, 5, 6, 6, 6]}
    for split, part in splits.items():
        part.sequence, part.names = np.array(numbers[split]), [f"{split} {i}" for i in range(len(numbers[split]))]
    few = read(splits).overfit(2)
    assert [group.tolist() for group in few.train.sequences] == [[0, 1, 2], [3, 4, 5]]
    assert few.train.names == [f"train {place}" for place in (0, 1, 5, 2, 3, 4)]
    assert few.count("train") == 6
    assert few.train.first(99).names == few.train.names


def test_raw_examples_make_the_batch_of_the_split():
    inputs = ("text", "image", "voice")
    data = read(parts(inputs=inputs) | {"test": examples(6, 200, inputs, text={1: None}, voice={2: None})})
    expected = batch_of(data, "test")
    batch = raw_batch(data.spec, [data.test.raw(place) for place in range(4)])
    assert batch.targets is None
    assert batch.sequence.tolist() == [0, 1, 2, 3]
    for name, tensors in batch.inputs.items():
        for key, value in vars(tensors).items():
            torch.testing.assert_close(value, vars(expected.inputs[name])[key])
    with pytest.raises(UserError, match="example 1 has no text or image or voice"):
        check_given(data.spec, [{"text": "a"}, {"text": " "}])
