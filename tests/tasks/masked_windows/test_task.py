"""Windows whose hidden patches are filled in: what is hidden, read and scored, and what a forecast takes from it."""

import json
import re
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from mla_train.baselines import Limit
from mla_train.baselines.filling import filling_baselines
from mla_train.commands import attention, evaluate, export, predict
from mla_train.data.batch import Batch
from mla_train.errors import UserError
from mla_train.heads.bootstrap import affordable, drawn_places
from mla_train.heads.masked_patches import hidden_patches
from mla_train.modalities.series.tables import SeriesTable
from mla_train.task import build_task
from tests.helpers import SMALL, config, hourly_table, run_here

LENGTH = ["data.look_back=50", "data.horizon=6", "data.period=24", "task.patch=8"]


def table(rows=1000, gaps=True):
    """Two series with gaps, of which one is long, and a covariate."""
    chance, hours = np.random.default_rng(0), np.arange(rows)
    frame = pd.DataFrame(
        {"wave": np.sin(hours / 4) + chance.normal(size=rows) / 5, "walk": chance.normal(size=rows).cumsum()},
        index=pd.date_range("2024-01-01", periods=rows, freq="1h"),
    )
    if gaps:
        frame.loc[frame.index[chance.random(rows) < 0.03], "wave"] = np.nan
        frame.iloc[300:360, 1] = np.nan
    frame["price"] = hours % 7
    return SeriesTable(frame, ["wave", "walk"], observed=["price"])


def load(*words, raw=None, kind="masked_windows"):
    task = build_task(config(*SMALL, f"task={kind}", *LENGTH, *words))
    return task, task.prepare(table() if raw is None else raw)


def some(data, places=(0, 1, 40), split="val", training=False):
    part = getattr(data, split)
    return data.collate([part[place] for place in places], training)


CHOICES = [
    [],
    ["task.channels=mixing"],
    ["attention.pattern=window"],
    ["encoder.block=conv_attention", "task.channels=mixing"],
]


@pytest.mark.parametrize("words", CHOICES, ids=" ".join)
@pytest.mark.parametrize("split", ["val", "train"])
def test_hidden_steps_are_not_read(words, split):
    task, data = load(*words)
    model = task.build_model(data.spec).eval()
    task.init_from_data(model, data)
    batch = some(data, (0, 30, 262) if split == "train" else (0, 1, 40), split)  # 262: walk has no value until step 48
    tensors, embedding = batch.inputs["series"], model.embeddings["series"]
    first = model(batch)
    hidden = embedding.join(first.patches.unsqueeze(-1).expand(-1, -1, 8)) > 0
    assert 0.3 < hidden.float().mean() < 0.7
    # What is observed together with both series, and what both hide.
    observed = tensors.observed + 5 * hidden.all(1, keepdim=True).unsqueeze(-1)

    def outputs(past):
        changed = replace(tensors, past=past, observed=observed)
        return model(Batch(batch.index, {"series": changed}, batch.targets, batch.sequence))

    # Gaps hold the value before them, which may be hidden.
    second = outputs(
        torch.where(hidden | ~tensors.real, tensors.past + 5 * torch.randn_like(tensors.past), tensors.past)
    )
    assert torch.equal(first.values, second.values)
    assert not torch.equal(first.true, second.true)
    past = tensors.past.clone().requires_grad_()
    outputs(past).values.sum().backward()
    assert not past.grad[hidden].any()
    assert past.grad[~hidden & tensors.real].any()


@torch.no_grad()
def test_what_is_written_is_added_to_the_cycle_and_the_visible_mean():
    task, data = load(raw=table(gaps=False))
    model = task.build_model(data.spec).eval()
    task.init_from_data(model, data)
    for weight in model.head.project.parameters():
        weight.zero_()
    batch, embedding = some(data), model.embeddings["series"]
    outputs, past = model(batch), batch.inputs["series"].past.numpy()
    hidden = embedding.join(outputs.patches.unsqueeze(-1).expand(-1, -1, 8)).numpy()
    values = data.train.columns["series"].series.values[:700]
    day = np.stack([values[place::24].mean(0) for place in range(24)])
    filled = embedding.cut(torch.full((3, 2, 50), torch.nan))
    filled[outputs.patches] = outputs.values
    filled = embedding.join(filled).numpy()
    for row, now in enumerate(batch.targets.tolist()):
        cycle = day[np.arange(now - 50, now) % 24].T
        for series in range(2):
            visible = np.flatnonzero(~hidden[row, series])
            last = [max(visible[visible <= step], default=visible[0]) for step in range(50)]
            mean = (past - cycle)[row, series, last].mean()
            gone = hidden[row, series]
            np.testing.assert_allclose(filled[row, series, gone], (cycle[series] + mean)[gone], atol=1e-5)


def test_hidden_steps_and_gaps_hold_the_last_visible_value():
    task, data = load("data.look_back=10", "task.patch=2", raw=table(gaps=False))
    embedding = task.build_model(data.spec).embeddings["series"]
    tensors = some(data, (0,)).inputs["series"]
    past = torch.arange(10.0).repeat(1, 2, 1)
    real = torch.ones(1, 2, 10, dtype=torch.bool)
    real[0, 0, 4] = False
    hidden = torch.zeros(2, 8, dtype=torch.bool)  # five patches of the past, three of what would be forecast
    hidden[0, [0, 3]] = hidden[1, [1, 4]] = True
    seen = embedding.hide(replace(tensors, past=past, real=real), hidden)
    assert seen.past[0].tolist() == [[2, 2, 2, 3, 3, 5, 5, 5, 8, 9], [0, 1, 1, 1, 4, 5, 6, 7, 7, 7]]
    assert seen.real[0].int().tolist() == [[0, 0, 1, 1, 0, 1, 0, 0, 1, 1], [1, 1, 0, 0, 1, 1, 1, 1, 0, 0]]
    everything = torch.ones(2, 8, dtype=torch.bool)
    assert not embedding.hide(tensors, everything).past.any()


@pytest.mark.parametrize("channels", ["independent", "mixing"])
def test_loss_and_metrics_are_those_of_a_naive_sum(channels):
    task, data = load(f"task.channels={channels}")
    model = task.build_model(data.spec).eval()
    batch = some(data)
    tensors, outputs = batch.inputs["series"], model(batch)
    filled = model.embeddings["series"].cut(torch.full_like(tensors.past, torch.nan))
    filled[outputs.patches] = outputs.values.detach()
    filled = model.embeddings["series"].join(filled).numpy()
    past, real = tensors.past.numpy(), tensors.real.numpy()
    error, size, count = np.zeros(3), np.zeros(3), np.zeros(3)
    for window, series, step in zip(*np.nonzero(real & ~np.isnan(filled)), strict=True):
        error[window] += (filled[window, series, step] - past[window, series, step]) ** 2
        size[window] += past[window, series, step] ** 2
        count[window] += 1
    answers = model.predict(batch)
    assert answers["numbers"].tolist() == count.tolist()
    np.testing.assert_allclose(answers["error"], error, rtol=1e-4)
    np.testing.assert_allclose(answers["size"], size, rtol=1e-4)
    total, terms = model.head.loss(outputs, batch)
    assert (float(total), int(terms)) == (pytest.approx(error.sum(), rel=1e-4), count.sum())
    assert model.head.metrics(answers)["mse"] == pytest.approx(error.sum() / count.sum(), rel=1e-4)
    records = model.head.decode(answers)
    assert records[1]["prediction"] == pytest.approx(error[1] / count[1], rel=1e-3)
    total.backward()
    lacking = [name for name, weight in model.named_parameters() if weight.grad is None]
    assert lacking == []


def test_a_window_hides_the_same_wherever_it_stands_and_each_series_its_own():
    _, data = load()
    present = torch.ones(4, 7, dtype=torch.bool)
    hidden = hidden_patches([720, 721], present, 0.5)
    assert torch.equal(hidden_patches([721], present[:2], 0.5), hidden[2:])
    assert not torch.equal(hidden[0], hidden[1])
    assert some(data).targets.tolist() == [data.val.columns["series"][place].now for place in (0, 1, 40)]
    assert not torch.equal(some(data, training=True).targets, some(data, training=True).targets)


def test_rows_of_other_splits_are_not_scored():
    _, forecast = load(kind="forecasting")
    _, data = load()
    borders = {name: getattr(forecast, name).columns["series"].first for name in ("val", "test")}
    rows = {
        name: (column.first - 50, column.end)
        for name in ("train", "val", "test")
        for column in [getattr(data, name).columns["series"]]
    }
    assert rows == {
        "train": (0, borders["val"]),
        "val": (borders["val"], borders["test"]),
        "test": (borders["test"], 1000),
    }
    assert data.spec.inputs["series"].spec == forecast.spec.inputs["series"].spec


def test_intervals_draw_blocks_of_windows_that_overlap():
    task, data = load("data.split=[0.4,0.1]")
    head = task.build_model(data.spec).head
    batch = some(data, range(300), "test")
    predictions = {"index": np.arange(300), "numbers": np.ones(300)} | head.labels(batch)
    assert predictions["now"].tolist() == list(range(550, 850))
    (places,) = drawn_places(head, predictions, 1)
    assert (np.diff(places) == 1).mean() > 0.97  # of five blocks
    assert affordable(head, predictions) == 1000
    few = {name: values[:240] for name, values in predictions.items()}
    assert affordable(head, few) == 0  # no five windows that share no step


def test_baselines_are_those_of_naive_sums():
    task, data = load(raw=table(gaps=False))
    spec = data.spec.inputs["series"]
    embedding = spec.embedding(task.config)
    baselines = {name: make(Limit()) for name, make in task.baselines(data).items()}

    def windows(split):
        batch = some(data, range(data.count(split)), split)
        past = batch.inputs["series"].past.flatten(0, 1).double().numpy()
        known = embedding.reconstruction_target(batch.inputs["series"]).known.any(-1)
        hidden = hidden_patches([int(each) for each in getattr(data, split).targets], known, 0.5)
        steps = embedding.join(hidden.unsqueeze(-1).expand(-1, -1, 8)).flatten(0, 1).numpy()
        return past, steps

    train_past, _ = windows("train")
    past, hidden = windows("val")
    errors = ((past - train_past.mean(0)) ** 2 * hidden).reshape(data.count("val"), -1).sum(1)
    np.testing.assert_allclose(baselines["mean"].val["error"], errors, rtol=1e-4)
    values = data.val.columns["series"].series.values
    day = np.stack([values[place:700:24].mean(0) for place in range(24)])
    starts = np.array([window.now - 50 for window in (data.val.columns["series"][i] for i in range(data.count("val")))])
    cycle = day[(starts[:, None] + np.arange(50)) % 24].transpose(0, 2, 1).reshape(-1, 50)
    errors = ((past - cycle) ** 2 * hidden).reshape(data.count("val"), -1).sum(1)
    np.testing.assert_allclose(baselines["cycle"].val["error"], errors, rtol=1e-4)
    covariance = np.cov(train_past.T)
    among = covariance + baselines["linear"].chosen["penalty"] * covariance.diagonal().mean() * np.eye(50)
    total = 0
    for row in (0, 1):  # both series of the first window
        gone, given = hidden[row], ~hidden[row]
        weights = np.linalg.solve(among[np.ix_(given, given)], (past[row] - train_past.mean(0))[given])
        total += ((train_past.mean(0)[gone] + covariance[np.ix_(gone, given)] @ weights - past[row][gone]) ** 2).sum()
    assert baselines["linear"].val["error"][0] == pytest.approx(total, rel=1e-2)
    assert len(baselines["neighbours"].test["error"]) == data.count("test")


def test_a_linear_filler_reads_windows_with_gaps():
    task, data = load()
    baselines = filling_baselines(data, data.spec.inputs["series"].embedding(task.config))
    linear, mean = (baselines[name](Limit()) for name in ("linear", "mean"))
    assert linear.val["numbers"].tolist() == mean.val["numbers"].tolist()
    assert linear.val["error"].sum() < mean.val["error"].sum()


def test_the_newest_training_windows_are_used_alone():
    for kind in ("forecasting", "masked_windows"):
        _, whole = load(kind=kind)
        _, few = load("data.train_examples=20", kind=kind)
        assert few.count("train") == 20
        assert few.train.columns["series"].end == whole.train.columns["series"].end
        assert few.train[19][0].inputs["series"].now == whole.train[whole.count("train") - 1][0].inputs["series"].now
        assert few.spec.inputs["series"].spec == whole.spec.inputs["series"].spec
        assert [few.count(name) for name in ("val", "test")] == [whole.count(name) for name in ("val", "test")]
        assert f"train: the newest 20 of {whole.count('train'):,} windows are used (data.train_examples)" in few.notes
        assert load("data.train_examples=5000", kind=kind)[1].count("train") == whole.count("train")


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["task.mask_rate=1"], "task.mask_rate"),
        (["encoder.masked_modeling=true"], "encoder.masked_modeling=true"),
        (
            ["data.look_back=96"],
            "val has 100 rows, and windows whose past is filled in need data.look_back + data.horizon = 102",
        ),
    ],
)
def test_a_mistake_is_named_with_its_remedy(words, key):
    with pytest.raises(UserError, match=re.escape(key)):
        load(*words)


def test_data_of_other_tasks_is_refused():
    with pytest.raises(UserError, match="does not belong to task=masked_windows"):
        config("task=masked_windows", "data=gunpoint")


OWN = ["data=series_csv", "data.path=load.csv", "data.look_back=24", "data.horizon=6", "task.patch=8", *SMALL]


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A folder with a table and a run that was pretrained on it."""
    folder = tmp_path_factory.mktemp("windows")
    hourly_table().to_csv(folder / "load.csv", index=False)
    path = f"data.path={folder / 'load.csv'}"
    run_here(folder / "windows", "task=masked_windows", *OWN, path, "epochs=2", figures=True)
    return folder


def test_a_run_leaves_what_others_leave(pretrained):
    results = json.loads((pretrained / "windows" / "results.json").read_text())
    assert results["baselines"].keys() == {"mean", "neighbours", "linear", "cycle"}
    assert results["metrics"]["test"].keys() == {"loss", "mse", "r2"}
    assert "50% of the patches are hidden (task.mask_rate)" in results["notes"]
    assert "not complete" not in (pretrained / "windows" / "log.txt").read_text()
    assert (pretrained / "windows" / "figures" / "filled.png").is_file()
    rows = [json.loads(line) for line in (pretrained / "windows" / "predictions.jsonl").read_text().splitlines()]
    assert list(rows[0]) == ["index", "from", "label", "prediction"]
    assert pd.Timestamp(rows[1]["from"]) - pd.Timestamp(rows[0]["from"]) == pd.Timedelta(hours=1)


@pytest.fixture
def command(pretrained, monkeypatch, capsys):
    """Runs a command in that folder: what it prints, or its error."""
    monkeypatch.chdir(pretrained)

    def call(module, *words, fails=False):
        monkeypatch.setattr(sys, "argv", [module.__name__, "--run", "windows", *words])
        if fails:
            with pytest.raises(SystemExit):
                module.main()
            return capsys.readouterr().err
        module.main()
        return capsys.readouterr().out

    return call


def test_it_predicts_and_evaluates_the_windows_of_a_table(pretrained, command):
    results = json.loads((pretrained / "windows" / "results.json").read_text())
    shown = command(evaluate, "--draws", "20")
    assert f"{results['metrics']['test']['mse']:.4f} [" in shown
    command(evaluate, "--input", "load.csv", "--output", "evaluation", "--draws", "20")
    score = json.loads((pretrained / "evaluation" / "evaluation.json").read_text())["slices"]["all"]
    command(predict, "--input", "load.csv", "--output", "answers.csv")
    answers = pd.read_csv(pretrained / "answers.csv")
    rows = len(hourly_table())
    assert list(answers) == ["from", "to", "prediction"]
    assert len(answers) == score["examples"] == rows - 24 - 6 + 1
    assert answers.prediction.mean() == pytest.approx(score["metrics"]["mse"]["value"], rel=1e-2)
    assert pd.Timestamp(answers["to"][0]) - pd.Timestamp(answers["from"][0]) == pd.Timedelta(hours=23)
    assert "--from and --backtest belong to forecasts" in command(
        predict, "--input", "load.csv", "--backtest", "1", fails=True
    )


@pytest.mark.parametrize(
    ("module", "words", "said"),
    [
        (export, ["--output", "out", "--format", "onnx"], "have no graph: use --format safetensors"),
        (attention, ["--index", "0"], "explain a model that is trained from this one (init.from=)"),
        (predict, ["--input", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_what_does_not_suit_it_is_refused(module, words, said, command):
    error = command(module, *words, fails=True)
    assert said in error
    assert "Traceback" not in error


def test_a_forecast_starts_from_it(pretrained, monkeypatch):
    monkeypatch.chdir(pretrained)
    words = ["task=forecasting", *OWN, "init.from=windows", "epochs=1", "baselines=none"]
    results = run_here(pretrained / "next", *words)
    assert not results["init"]["problems"]
    assert results["init"]["loaded"].keys() == {"encoder", "embedding"}
    assert all(results["init"]["loaded"].values())
    assert not [name for name in results["init"]["not_loaded"] if name.startswith("encoder.")]
    for other in (["task.patch=12"], ["data.targets=[load]"]):
        with pytest.raises(UserError, match=r"does not fit this network: embeddings\.series\..* init\.partial=true"):
            run_here(pretrained / "other", *words, *other)
    assert run_here(pretrained / "parts", *words, "task.patch=12", "init.parts=[encoder]")["init"]["loaded"]["encoder"]
