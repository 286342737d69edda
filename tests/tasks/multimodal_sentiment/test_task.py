"""The bundled faces, dropped modalities, baselines, and runs at the command line."""

import json

import numpy as np
import pytest
import torch
from mla_train.training.build import build_data
from mla_train.training.model_folder import load_model
from PIL import Image
from sklearn.linear_model import LogisticRegression
from tasks.multimodal_sentiment.baselines import linear_models
from tasks.multimodal_sentiment.columns import Features, MultimodalSplit, singles
from tasks.multimodal_sentiment.data import MultimodalData

from tasks.multimodal_sentiment.kaomoji import POLARITY
from tests.helpers import config, train

SIZES = ["encoder.dim=16", "encoder.num_heads=2", "task.tfidf_dim=8"]


@pytest.fixture(scope="module")
def faces():
    pytest.importorskip("kaomoji_dataset")
    data = build_data(config("task=multimodal_sentiment", "task.modality_dropout=0.5"))
    data.setup()
    return data


def test_faces_are_split_once_and_drawn_whole(faces):
    parts = [getattr(faces, part) for part in ("train", "val", "test")]
    texts = [set(part.columns["text"].texts) for part in parts]
    assert list(map(len, texts)) == [1141, 163, 326]
    assert len(set.union(*texts)) == 1141 + 163 + 326
    assert faces.facts.classes == list(POLARITY)
    shares = [np.bincount(part.labels) / len(part.labels) for part in parts]
    np.testing.assert_allclose(shares[0], shares[2], atol=0.01)
    assert "(T_T)" in set().union(*texts)
    for part in parts:
        images = part.columns["image"].images.float()
        assert images.shape[1:] == (1, 32, 96)
        assert (images.flatten(1).amax(1) > 100).all()  # something is drawn
        # And not cut off: it stands in the middle.
        left, right = images[..., :48].sum(), images[..., 48:].sum()
        assert 0.8 < left / right < 1.25


def test_training_leaves_modalities_out_and_evaluation_does_not(faces):
    torch.manual_seed(0)
    rows = [faces.train[i % 1000][0] for i in range(2000)]
    no_text = np.array([len(row.inputs["text"]) == 0 for row in rows])
    no_image = np.array([row.inputs["image"] is None for row in rows])
    assert not (no_text & no_image).any()
    # Of (.5, .5) a quarter loses both and gets one back at random: 1/4 + 1/8 each.
    assert no_text.mean() == pytest.approx(0.375, abs=0.04)
    assert no_image.mean() == pytest.approx(0.375, abs=0.04)
    assert all(not len(row.terms["text"][0]) for row, lost in zip(rows, no_text, strict=True) if lost)
    assert not any(row.inputs["image"] is None for i in range(100) for row in faces.test[i])


def test_a_batch_masks_what_is_missing(faces):
    torch.manual_seed(0)
    examples = [faces.train[i] for i in range(30)]
    batch = faces.collate(examples, training=True)
    for place, (row,) in enumerate(examples):
        tokens = batch.inputs["text"][place][~batch.padding["text"][place]]
        assert torch.equal(tokens, row.inputs["text"])
        assert bool(batch.missing("image")[place]) is (row.inputs["image"] is None)
        numbers, weights, offsets = batch.terms["text"]
        ends = [*offsets.tolist()[1:], len(numbers)]
        np.testing.assert_array_equal(numbers[offsets[place] : ends[place]], row.terms["text"][0])
        np.testing.assert_array_equal(weights[offsets[place] : ends[place]], row.terms["text"][1])
    assert batch.missing("text").any()
    assert batch.to("cpu").terms["text"][0].equal(batch.terms["text"][0])


def test_linear_models_are_those_of_scikit_learn():
    generator = np.random.default_rng(0)
    parts = {}
    for part, size in (("train", 80), ("val", 30), ("test", 40)):
        values = generator.normal(size=(size, 3, 4)).astype(np.float32)
        labels = (values.mean(1)[:, 0] + 0.1 * generator.normal(size=size) > 0).astype(int)
        parts[part] = MultimodalSplit({"voice": Features(list(values))}, labels, [""] * size, singles(size))
    found = linear_models(parts, regression=False)
    assert list(found) == ["linear_features"]
    table = {part: np.stack(split.columns["voice"].values).mean(1) for part, split in parts.items()}
    scaled = {part: (x - table["train"].mean(0)) / table["train"].std(0) / 2 for part, x in table.items()}
    scores = {}
    for strength in (0.001, 0.01, 0.1, 1.0, 10.0):
        model = LogisticRegression(C=strength, max_iter=300, tol=1e-3).fit(scaled["train"], parts["train"].labels)
        scores[strength] = model.score(scaled["val"], parts["val"].labels), model.predict(scaled["test"])
    best = max(scores, key=lambda strength: scores[strength][0])
    np.testing.assert_array_equal(found["linear_features"], scores[best][1])


@pytest.mark.slow
def test_a_run_on_the_bundled_faces(tmp_path):
    pytest.importorskip("kaomoji_dataset")
    train("task=multimodal_sentiment", *SIZES, "epochs=1", "run_dir=run", cwd=tmp_path)
    run = tmp_path / "run"
    results = json.loads((run / "results.json").read_text())
    assert set(results["baselines"]) == {"majority", "linear_text", "linear_image", "linear_all"}
    assert results["examples"] == {"train": 1141, "val": 163, "test": 326}
    ablation = results["details"]["ablation"]
    assert set(ablation) == {"only text", "without text", "only image", "without image"}
    assert ablation["only text"] == ablation["without image"]
    row = json.loads((run / "predictions.jsonl").read_text().splitlines()[0])
    assert set(row) == {"index", "source", "text", "label", "predicted", "confidence", "contribution"}
    assert set(row["contribution"]) == {"text", "image"}
    names = {path.name for path in (run / "figures").iterdir()}
    assert names == {"ablation.png", "confusion.png", "curves.png", "words_over_pictures.png"}
    with Image.open(run / "figures" / "words_over_pictures.png") as picture:
        assert picture.size[0] > 500
    assert load_model(run).facts.images["image"].width == 96


@pytest.mark.slow
@pytest.mark.parametrize("labels", ["numbers", "classes"])
def test_a_run_on_sequences_of_features(tmp_path, labels):
    """Numbers or classes that only the other examples of a sequence tell are learnt from them."""
    generator = np.random.default_rng(0)
    videos = np.repeat(np.arange(150), 4)
    voice, mood = generator.normal(size=(600, 5)), generator.normal(size=150)
    voice[::4, 0] = 3 * mood  # the first utterance of a video tells the mood of all
    label = np.repeat(mood, 4)
    label = label if labels == "numbers" else np.where(label > 0, "glad", "sad")
    face = generator.normal(size=(600, 3, 2))
    face[5] = 0
    np.savez(tmp_path / "a.npz", voice=voice, face=face, label=label, video=videos)
    words = ["task=multimodal_sentiment", "data=feature_table", "data.path=a.npz", "data.modalities=[voice,face]"]
    words += [
        "encoder=tiny",
        "encoder.dim=32",
        "epochs=40",
        "regularization=none",
        "task.modality_dropout=0",
        "lr=3e-3",
    ]
    done = train(*words, "data.sequence=video", "run_dir=run", cwd=tmp_path)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["examples"] == {"train": 432, "val": 48, "test": 120}
    test, linear = results["metrics"]["test"], results["baselines"]["linear_features"]
    rows = (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()
    assert len(rows) == 120
    if labels == "numbers":
        assert test["mae"] < 0.6 * linear["mae"]
        assert test["pearson"] > 0.8 > linear["pearson"]
        assert f"also acc_7 {test['acc_7']:.4f}" in done.stdout  # what the table has no room for
        assert (tmp_path / "run" / "figures" / "scatter.png").is_file()
    else:
        assert test["accuracy"] > 0.85 > linear["accuracy"]
    assert load_model(tmp_path / "run").facts.sequences


def test_what_is_scored_are_examples_and_not_sequences():
    data = MultimodalData(config("task=multimodal_sentiment"))
    data.train = MultimodalSplit({}, np.zeros(6), [""] * 6, [np.array([0, 1, 2]), np.array([3]), np.array([4, 5])])
    assert (data.count("train"), data.count("train", 2), data.count("train", 9)) == (6, 4, 6)
