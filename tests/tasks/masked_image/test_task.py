"""Hidden patches of images and series: what is hidden, what is read, what is scored, and runs at the command line."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits

from mla_train.baselines import Limit
from mla_train.baselines.filling import filling_baselines
from mla_train.data.batch import Batch
from mla_train.errors import UserError
from mla_train.heads.masked_patches import hidden_patches, metrics_of_sums
from mla_train.task import build_task
from tests.helpers import SMALL, check_report, config, python, train

KINDS = ("masked_image", "masked_series")


def load(kind, *words):
    task = build_task(config(*SMALL, f"task={kind}", *words))
    return task, task.load_data()


def some(data, count=6, split="val", training=False):
    part = getattr(data, split)
    return data.collate([part[place] for place in range(count)], training)


def pictures(folder, count=60):
    """Images in folders below one, without classes."""
    for place, pixels in enumerate(load_digits().images[:count]):
        file = folder / f"part{place % 2}" / f"{place}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 15).astype(np.uint8)).save(file)
    return folder


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=5, unique=True),
    st.integers(1, 12),
    st.floats(0.01, 0.99),
    st.data(),
)
def test_what_is_hidden_depends_on_the_example_alone(seeds, length, rate, data):
    lengths = [data.draw(st.integers(0, length)) for _ in seeds]
    present = torch.arange(length) < torch.tensor(lengths)[:, None]
    hidden = hidden_patches(seeds, present, rate)
    assert not (hidden & ~present).any()
    for row, seed, own in zip(hidden, seeds, lengths, strict=True):
        expected = min(max(1, round(own * rate)), own - 1) if own else 0
        assert abs(int(row.sum()) - expected) <= (own * rate % 1 == 0.5)
        if own:
            assert torch.equal(hidden_patches([seed], torch.ones(1, own, dtype=torch.bool), rate)[0], row[:own])


@pytest.mark.parametrize("kind", KINDS)
def test_val_and_test_hide_the_same_patches_each_time(kind):
    _, data = load(kind)
    assert torch.equal(some(data).targets, some(data).targets)
    assert not torch.equal(some(data, 6, "train", True).targets, some(data, 6, "train", True).targets)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["task.tokenizer=patch"],
        ["task.positions=learned"],
        ["attention.pattern=window"],
        ["encoder.block=conv_attention"],
    ],
)
def test_hidden_pixels_are_not_read(words):
    task, data = load("masked_image", *words)
    check_hidden(
        task,
        data,
        lambda tensors, hidden: replace(tensors, images=torch.where(hidden > 0, 255 - tensors.images, tensors.images)),
    )


def test_hidden_steps_are_not_read():
    task, data = load("masked_series")
    check_hidden(task, data, lambda tensors, hidden: replace(tensors, past=tensors.past + 3 * hidden))


def check_hidden(task, data, change):
    """Other values in hidden patches change what is scored, and not what is filled in; others do."""
    model = task.build_model(data.spec).eval()
    batch = some(data)
    ((name, tensors),) = batch.inputs.items()
    embedding = model.embeddings[name]
    first = model(batch)
    whole = torch.ones(*first.patches.shape, embedding.reconstruction_size)
    hidden = embedding.join(first.patches.unsqueeze(-1) * whole)
    if name == "series":
        hidden = hidden[..., : tensors.past.size(-1)]
    second = model(Batch(batch.index, {name: change(tensors, hidden)}, batch.targets, batch.sequence))
    torch.testing.assert_close(first.values, second.values)
    assert not torch.equal(first.true, second.true)
    third = model(Batch(batch.index, {name: change(tensors, 1 - hidden)}, batch.targets, batch.sequence))
    assert not torch.allclose(first.values, third.values)
    assert torch.equal(first.true, third.true)


@pytest.mark.parametrize("kind", KINDS)
def test_patches_are_put_together_again(kind):
    task, data = load(kind)
    model = task.build_model(data.spec)
    (embedding,) = model.embeddings.values()
    values = torch.randn(2, 1, 8, 8) if kind == "masked_image" else torch.randn(2, 1, 150)
    torch.testing.assert_close(embedding.join(embedding.cut(values)), values)


@pytest.mark.parametrize("kind", KINDS)
def test_loss_and_metrics_are_those_of_a_naive_sum(kind):
    task, data = load(kind)
    model = task.build_model(data.spec).eval()
    batch = some(data)
    outputs = model(batch)
    ((name, tensors),) = batch.inputs.items()
    target = model.embeddings[name].reconstruction_target(tensors)
    hidden = hidden_patches(batch.targets.tolist(), target.known.any(-1), data.spec.target.rate)
    error = size = count = place = 0
    for example, row in enumerate(hidden.tolist()):
        for patch, is_hidden in enumerate(row):
            if is_hidden:
                for value, true, known in zip(
                    outputs.values[place], target.values[example, patch], target.known[example, patch], strict=True
                ):
                    error, size, count = error + known * (value - true) ** 2, size + known * true**2, count + known
                place += 1
    total, terms = model.head.loss(outputs, batch)
    torch.testing.assert_close(total, error)
    assert int(terms) == int(count)
    metrics = model.head.metrics(model.predict(batch))
    assert metrics["mse"] == pytest.approx(float(error / count), rel=1e-5)
    assert metrics["r2"] == pytest.approx(float(1 - error / size), rel=1e-4)
    total.backward()
    assert all(weight.grad is not None for weight in model.parameters())


def test_series_of_several_lengths_are_filled_as_alone():
    task, data = load("masked_series")
    model = task.build_model(data.spec).eval()
    modality = data.spec.inputs["series"]
    chance = np.random.default_rng(0)
    examples = [chance.normal(size=(length, 1)) for length in (150, 60, 33)]
    targets = torch.tensor([4, 5, 6])
    index = torch.arange(3)
    together = model(Batch(index, {"series": modality.collate(examples)}, targets, index))
    alone = [
        model(Batch(index[:1], {"series": modality.collate([each])}, targets[i : i + 1], index[:1])).values
        for i, each in enumerate(examples)
    ]
    torch.testing.assert_close(together.values, torch.cat(alone), atol=1e-5, rtol=1e-4)


def test_baselines_are_those_of_naive_sums():
    task, data = load("masked_image", "regularization=none")
    (modality,) = data.spec.inputs.values()
    embedding = modality.embedding(task.config)
    baselines = {name: make(Limit()) for name, make in filling_baselines(data, embedding).items()}

    def patches(split):
        batch = some(data, data.count(split), split)
        values = embedding.reconstruction_target(batch.inputs["image"]).values
        return values, hidden_patches(range(len(values)), torch.ones(values.shape[:2], dtype=torch.bool), 0.5)

    train_values, _ = patches("train")
    values, hidden = patches("val")
    mean = train_values.mean(0)
    expected = float(((values - mean) ** 2)[hidden].mean())
    assert metrics_of_sums(*(baselines["mean"].val[name].sum() for name in ("numbers", "error", "size")))[
        "mse"
    ] == pytest.approx(expected, rel=1e-4)
    rows = train_values.flatten(1).double().numpy()
    covariance = np.cov(rows.T) + baselines["linear"].chosen["penalty"] * np.cov(rows.T).diagonal().mean() * np.eye(64)
    gone = hidden[0].repeat_interleave(4).numpy()
    given = values[0].flatten().double().numpy()[~gone] - rows.mean(0)[~gone]
    guess = rows.mean(0)[gone] + covariance[np.ix_(gone, ~gone)] @ np.linalg.solve(
        covariance[np.ix_(~gone, ~gone)], given
    )
    error = ((guess - values[0].flatten().numpy()[gone]) ** 2).sum()
    assert baselines["linear"].val["error"][0] == pytest.approx(error, rel=1e-3)
    assert baselines["linear"].val["error"].sum() < baselines["mean"].val["error"].sum()


def test_what_a_classification_keeps_for_test_is_not_learnt_from():
    for task, pretraining in (("image_classification", "masked_image"), ("series_classification", "masked_series")):
        splits = []
        for name in (task, pretraining):
            _, data = load(name)
            ((_, column),) = data.test.columns.items()
            splits.append([np.asarray(column.raw(place)).tobytes() for place in range(len(column))])
        assert splits[0] == splits[1]


@pytest.mark.slow
def test_own_images_without_labels_are_learnt_from(tmp_path):
    pictures(tmp_path / "pictures")
    words = ["task=masked_image", "data=image_files", "data.train=pictures", "run_dir=mine", "hardware.threads=1"]
    train(*words, *SMALL, "encoder.dim=32", "epochs=40", "batch_size=8", cwd=tmp_path, pages=True)
    results = json.loads((tmp_path / "mine" / "results.json").read_text())
    assert results["metrics"]["test"]["mse"] < 0.9
    assert set(results["baselines"]) == {"mean", "neighbours", "linear"}
    check_report(tmp_path / "mine")
    assert (tmp_path / "mine" / "figures" / "filled.png").is_file()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8), np.uint8)).save(tmp_path / "noise.png")
    done = python("scripts/predict.py", "--run", "mine", "--image", "noise.png", cwd=tmp_path)
    (noise,) = (json.loads(line)["prediction"] for line in done.stdout.splitlines() if line.startswith("{"))
    assert noise > 1.3 * results["metrics"]["test"]["mse"]
    done = python("scripts/evaluate.py", "--run", "mine", "--input", "pictures", cwd=tmp_path, check=False)
    assert done.returncode
    assert "Traceback" not in done.stderr
    (tmp_path / "labelled").mkdir()
    for place, name in enumerate(("a", "b")):
        (tmp_path / "pictures" / f"part{place}").rename(tmp_path / "labelled" / name)
    again = train(
        "data=image_folder",
        "data.root=labelled",
        "init.from=mine",
        "run_dir=next",
        "epochs=1",
        *SMALL,
        "encoder.dim=32",
        cwd=tmp_path,
    )
    assert "encoder" in again.stdout
    assert "taken" in again.stdout


def test_series_without_labels_are_learnt_from(tmp_path):
    rows = np.random.default_rng(0).normal(size=(40, 30)).cumsum(1)
    (tmp_path / "rows.csv").write_text(
        ",".join(f"t{i}" for i in range(30))
        + "\n"
        + "\n".join(",".join(f"{x:.3f}" for x in row) for row in rows)
        + "\n"
    )
    words = ["data=series_files", f"data.train={tmp_path / 'rows.csv'}", "data.label_column=none", "task.patch=5"]
    _, data = load("masked_series", *words)
    assert [data.count(split) for split in ("train", "val", "test")] == [29, 3, 8]
    with pytest.raises(UserError, match="label"):
        load("series_classification", *words)


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["task.mask_rate=0"], "task.mask_rate"),
        (["task.mask_rate=1"], "task.mask_rate"),
        (["encoder.masked_modeling=true"], "encoder.masked_modeling=true"),
        (["attention.qk_rope_head_dim=0"], "attention.qk_rope_head_dim=0"),
        (["data=image_files"], "data.train=FOLDER"),
        (["data=image_files", "data.train=nowhere"], "data.train=nowhere: there is no such folder"),
        (["data=image_files", "data.train=empty"], "data.train=empty has no images"),
        (["data=gunpoint"], "does not belong to task=masked_image"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(words, key, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=re.escape(key)):
        load("masked_image", *words)


@pytest.mark.parametrize(
    "words",
    [
        ["regularization=[light,rdrop]"],
        ["attention=mha"],
        ["encoder.latent=array"],
        ["encoder.latent=variational"],
        ["regularization=strong"],
    ],
)
def test_other_options_work_with_it(words, tmp_path):
    train("task=masked_series", *SMALL, *words, "epochs=1", "run_dir=mine", "baselines=none", cwd=tmp_path)
    assert (tmp_path / "mine" / "results.json").is_file()
