"""The bundled faces, and runs on texts with images and on sequences of features."""

import json

import numpy as np
import pytest

import mla_train
from mla_train.report.run_report import report_run
from tasks.multimodal_sentiment.kaomoji import POLARITY
from tests.helpers import check_report, load, read_jsonl, run_here, write_jsonl, write_pictures


def test_faces_are_split_once_and_drawn_whole():
    pytest.importorskip("kaomoji_dataset")
    faces = load("task=multimodal_sentiment")
    parts = [getattr(faces, split) for split in ("train", "val", "test")]
    texts = [set(part.columns["text"].texts) for part in parts]
    assert list(map(len, texts)) == [1141, 163, 326]
    assert len(set.union(*texts)) == 1141 + 163 + 326
    assert faces.spec.target.classes == list(POLARITY)
    shares = [np.bincount(part.targets) / len(part.targets) for part in parts]
    np.testing.assert_allclose(shares[0], shares[2], atol=0.01)
    assert "(T_T)" in set().union(*texts)
    for part in parts:
        images = part.columns["image"].images.float()
        assert images.shape[1:] == (1, 32, 96)
        assert (images.flatten(1).amax(1) > 100).all()  # something is drawn
        # And not cut off: it stands in the middle.
        left, right = images[..., :48].sum(), images[..., 48:].sum()
        assert 0.8 < left / right < 1.25


def test_a_run_on_texts_and_images(tmp_path):
    write_pictures(tmp_path / "images", count=15)
    rows = [
        {"text": f"a day , number {i}", "image": f"images/{name}/{i}.png", "label": name}
        for i in range(15)
        for name in ("cat", "dog")
    ]
    file = write_jsonl(tmp_path / "a.jsonl", rows)
    words = ["task=multimodal_sentiment", "data=text_image_files", f"data.train={file}", "data.val_share=0.2"]
    words += ["epochs=8", "lr=1e-2", "regularization=none", "task.visual_words=8"]
    results = run_here(tmp_path / "run", *words, report=report_run)
    check_report(tmp_path / "run", "Ablation of inputs", "text over image", "Attention of words over their image")
    assert set(results["baselines"]) == {"majority", "linear_text", "linear_image", "linear_all"}
    # The images alone tell the class.
    assert results["metrics"]["test"]["accuracy"] == 1
    ablation = results["details"]["ablation"]
    assert set(ablation) == {"only text", "without text", "only image", "without image"}
    assert ablation["only text"] == ablation["without image"]
    assert ablation["only image"]["accuracy"] == 1
    assert results["model"]["side_paths"] > 0
    row = read_jsonl(tmp_path / "run" / "predictions.jsonl")[0]
    assert row.keys() == {"index", "source", "text", "label", "prediction", "probability", "contribution"}
    assert row["contribution"].keys() == {"text", "image"}
    figures = {path.name for path in (tmp_path / "run" / "figures").iterdir()}
    assert figures >= {"ablation.png", "confusion.png", "curves.png"}
    assert mla_train.load(tmp_path / "run").spec.inputs["image"].spec.width == 12


@pytest.mark.slow
@pytest.mark.parametrize("labels", ["numbers", "classes"])
def test_a_run_on_sequences_of_features(tmp_path, labels, capsys):
    """Numbers or classes that only the other examples of a sequence tell are learned from them."""
    generator = np.random.default_rng(0)
    videos = np.repeat(np.arange(150), 4)
    voice, mood = generator.normal(size=(600, 5)), generator.normal(size=150)
    voice[::4, 0] = 3 * mood  # the first utterance of a video tells the mood of all
    label = np.repeat(mood, 4)
    label = label if labels == "numbers" else np.where(label > 0, "glad", "sad")
    face = generator.normal(size=(600, 3, 2))
    face[5] = 0
    np.savez(tmp_path / "a.npz", voice=voice, face=face, label=label, video=videos)
    words = ["task=multimodal_sentiment", "data=feature_table", f"data.path={tmp_path / 'a.npz'}"]
    words += ["data.modalities=[voice,face]", "data.sequence=video", "encoder.dim=32", "epochs=40"]
    words += ["regularization=none", "task.modality_dropout=0", "lr=3e-3"]
    results = run_here(tmp_path / "run", *words, figures=labels == "numbers")
    assert results["examples"] == {"train": 432, "val": 48, "test": 120}
    test, linear = results["metrics"]["test"], results["baselines"]["linear_features"]
    assert len(read_jsonl(tmp_path / "run" / "predictions.jsonl")) == 120
    if labels == "numbers":
        assert test["mae"] < 0.6 * linear["mae"]
        assert test["pearson"] > 0.8 > linear["pearson"]
        # What the table has no room for.
        assert f"also {next(iter(list(results['directions'])[6:]))} " in capsys.readouterr().out
        assert (tmp_path / "run" / "figures" / "scatter.png").is_file()
    else:
        assert test["accuracy"] > 0.85 > linear["accuracy"]
    assert json.loads((tmp_path / "run" / "model" / "spec.json").read_text())["sequences"] is True
    assert mla_train.load(tmp_path / "run").spec.sequences
