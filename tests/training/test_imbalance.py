"""Runs with a rare class: monitor, threshold, sampling and unseen classes from the data to the finished model."""

import json
from unittest import mock

import numpy as np
import pytest

import mla_train
from mla_train.ablation import draw_ablation
from mla_train.errors import UserError
from mla_train.heads import Classification, ClassSpec
from mla_train.inference.evaluate import predict_split
from mla_train.modalities import MODALITIES
from mla_train.studies.sweep import goal_of
from mla_train.training.checkpoints import Checkpoints
from tests.helpers import SMALL, build, config, load, made_data, read_jsonl, run_here, stop_in_epoch, write_jsonl
from tests.training.test_resume import assert_same_end

WORDS = ["task=text_classification", "data=text_files", "data.min_frequency=1", "data.tfidf_features=0", "epochs=2"]


def write_splits(folder, test=()):
    """Texts of which one in twenty is rare and has a word of its own."""
    for split, count in {"train": 240, "val": 80, "test": 80}.items():
        rows = [
            {
                "text": f"{split} number {i} is {'odd' if i % 20 == 0 else 'usual'}",
                "label": "rare" if i % 20 == 0 else "often",
            }
            for i in range(count)
        ]
        write_jsonl(folder / f"{split}.jsonl", [*rows, *(test if split == "test" else ())])
    return [*WORDS, f"data.root={folder}"]


@pytest.fixture(scope="module")
def rare_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rare")
    words = write_splits(folder, [{"text": f"test of something else {i}", "label": "strange"} for i in range(10)])
    return folder / "run", run_here(folder / "run", *words, "data.unseen=wrong", "task.class_weight=balanced"), words


def test_what_is_chosen_by_the_sizes_of_the_classes_is_said_and_kept(rare_run, capsys):
    run, results, _ = rare_run
    assert results["monitor"]["name"] == "val/macro_f1"
    notes = "\n".join(results["notes"])
    assert "class rare has 12 training examples and class often 228" in notes
    assert "val/macro_f1 (task.monitor)" in notes
    assert "10 of 90 examples of test are of classes that train lacks (strange)" in notes
    assert results["threshold"]["class"] == "rare"
    spec = json.loads((run / "model" / "spec.json").read_text())["head"]
    assert spec["threshold"] == results["threshold"]["probability"] not in (None, 0.5)
    assert (spec["counts"], spec["unseen"]) == ([228, 12], ["strange"])
    assert results["directions"].keys() - {"loss"} == results["metrics"]["test"].keys() - {"loss"}
    assert results["intervals"].keys() >= {"macro_f1", "auroc", "average_precision"}
    assert "auroc" in results["baselines"]["linear"]
    assert "auroc" not in results["baselines"]["majority"]
    assert results["metrics"]["test"]["accuracy"] <= 80 / 90
    assert results["details"]["per_class"]["strange"]["support"] == 10
    assert [row["label"] for row in read_jsonl(run / "predictions.jsonl")].count("strange") == 10
    from mla_train.training.results import show

    show(results, run)
    shown = capsys.readouterr().out
    assert "macro_f1" in shown.split("┃")[2]  # the monitor is the first column
    assert f"rare is predicted from a probability of {results['threshold']['probability']:.4g} on" in shown
    assert "also auroc" in shown


def test_the_loaded_model_decides_by_the_threshold(rare_run):
    run, results, words = rare_run
    predictor = mla_train.load(run)
    rows = read_jsonl(run / "predictions.jsonl")
    records = predictor.predict([row["text"] for row in rows])
    assert [record["prediction"] for record in records] == [row["prediction"] for row in rows]
    threshold = results["threshold"]["probability"]
    for record in records:
        assert (record["prediction"] == "rare") == (record["probabilities"]["rare"] >= round(threshold, 4)) or abs(
            record["probabilities"]["rare"] - threshold
        ) < 1e-4
    data = load(*words, "data.unseen=wrong")
    metrics = predictor.network.head.metrics(predict_split(predictor, data.test))
    assert metrics == pytest.approx({name: results["metrics"]["test"][name] for name in metrics})


def test_a_run_with_balanced_sampling_goes_on_where_it_stopped(tmp_path):
    words = [
        *write_splits(tmp_path / "data"),
        "data.sampling=balanced",
        "batch_size=32",
        "task.monitor=average_precision",
    ]
    whole = run_here(tmp_path / "whole", *words)
    with mock.patch.object(Checkpoints, "on_train_epoch_start", stop_in_epoch(1)), pytest.raises(RuntimeError):
        run_here(tmp_path / "cut", *words)
    assert run_here(tmp_path / "cut", *words, "resume=auto")["monitor"] == whole["monitor"]
    assert whole["monitor"]["name"] == "val/average_precision"
    assert_same_end(tmp_path / "whole", tmp_path / "cut")


def test_the_monitor_is_swept_and_a_wrong_one_is_named(tmp_path):
    words = write_splits(tmp_path)
    assert goal_of(config(*words, "task.monitor=auroc"), None).metric == "val/auroc"
    assert goal_of(config(*words), None).metric == "val/macro_f1"
    with pytest.raises(UserError, match=r"task\.monitor=f1: must be one of accuracy, macro_f1"):
        goal_of(config(*words, "task.monitor=f1"), None)


@pytest.mark.parametrize(
    ("words", "own", "other"),
    [
        (["task=forecasting"], "mse", "mae"),
        (["task=translation"], "bleu", "chrf"),
        (["task=text_classification", "task.head=multilabel"], "mean_average_precision", "micro_f1"),
        (["task=text_classification", "task.head=regression"], "mae", "spearman"),
    ],
)
def test_every_head_has_a_monitor_that_can_be_chosen(words, own, other):
    data = None
    if words[1:]:
        targets = {"multilabel": [["a", "b"][: i % 3] for i in range(32)], "regression": list(range(32))}
        head = words[1].partition("=")[2]
        data = made_data(config(*words, *SMALL), {"text": MODALITIES["text"]}, targets[head], head=head)
    for option, monitor in (([], own), ([f"task.monitor={other}"], other)):
        module, data = build(*words, *SMALL, *option, data=data)
        assert module.monitor == monitor
        assert module.directions[monitor] in ("max", "min")
    with pytest.raises(UserError, match=rf"task\.monitor=wer: must be one of .*{other}"):
        build(*words, *SMALL, "task.monitor=wer", data=data)


@pytest.mark.parametrize("head", ["regression", "multilabel"])
@pytest.mark.parametrize("option", ["task.class_weight=balanced", "task.threshold=tune", "data.sampling=balanced"])
def test_options_of_one_class_an_example_are_refused_elsewhere(head, option, tmp_path):
    rows = [{"text": f"number {i}", "label": i % 3} for i in range(30)]
    words = [*WORDS, f"data.train={write_jsonl(tmp_path / 'train.jsonl', rows)}", f"task.head={head}"]
    with pytest.raises(UserError, match=rf"{option.partition('=')[0]} is for one class.*{head}"):
        load(*words, option)


def test_inputs_are_compared_by_another_metric_where_rankings_are_not_known(tmp_path):
    head = Classification(config("task=multimodal_sentiment", *SMALL), ClassSpec(["a", "b"], [5, 5]), {})
    head.choose_monitor("auroc")
    label = np.array([0, 1, 1, 0])
    columns = {"label": label, "predicted": label, "probability": np.eye(2)[label]}
    columns |= {f"{kind} {name}": label for kind in ("only", "without") for name in ("text", "image")}
    draw_ablation(head, columns, ["text", "image"], tmp_path / "ablation.png")
    assert (tmp_path / "ablation.png").is_file()
