"""Runs of a study share a group on W&B; the commands of W&B's own sweeps compose."""

import json
import sys
from pathlib import Path

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from mla_train.commands import compare, sweep
from mla_train.config.overrides import compose_overrides
from mla_train.studies.jobs import NEEDED, group_overrides
from mla_train.studies.launch import Launcher
from mla_train.task import build_task
from tests.helpers import ROOT, SMALL, config, example_data

SWEEPS = sorted((ROOT / "scripts" / "wandb_sweep").glob("*.yaml"))


def test_overrides_of_a_group_compose_and_are_left_out_without_wandb():
    folder = Path("runs/sweeps/it's mine (2), really")
    assert group_overrides(config(), folder, "sweep") == []
    words = ["logger=[csv,wandb]", *group_overrides(config("logger=wandb"), folder, "sweep")]
    wandb = compose_overrides(ROOT / "conf", words).logger.wandb
    assert (wandb.group, wandb.job_type) == (folder.name, "sweep")
    own = config("logger=wandb", "logger.wandb.group=mine")
    assert group_overrides(own, folder, "compare") == ["logger.wandb.job_type=compare"]


class Done:
    """A run that has ended."""

    def running(self):
        return False

    def last_line(self):
        return ""


@pytest.fixture
def started(monkeypatch):
    """The words of runs, which are finished as soon as they begin."""
    seen = []

    def start(self, overrides, log):
        words = [*overrides, *self.overrides]
        seen.append(words)
        folder = Path(next(word for word in words if word.startswith("run_dir=")).partition("=")[2])
        folder.mkdir(parents=True)
        scores = {"accuracy": 0.5, "macro_f1": 0.5, "loss": 1.0}
        (folder / "results.json").write_text(
            json.dumps({name: {} for name in NEEDED} | {"metrics": {"val": scores, "test": scores}})
        )
        return Done()

    monkeypatch.setattr(Launcher, "start", start)
    return seen


@pytest.mark.parametrize("logger", ["csv", "wandb"])
def test_each_trial_of_a_sweep_has_its_group(logger, started, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["sweep=quick", "trials=1", "retrain=1", f"logger={logger}", "run_dir=s", *SMALL]
    sweep.sweep(sweep.read_command(words))
    assert len(started) == 1 + 3
    for words in started:
        given = {word for word in words if word.startswith("logger.")}
        assert given == ({"logger.wandb.group='s'", "logger.wandb.job_type=sweep"} if logger == "wandb" else set())
    assert "group" not in (tmp_path / "s" / "experiment" / "best.yaml").read_text()


@pytest.mark.parametrize("logger", ["csv", "wandb"])
def test_each_run_of_a_comparison_has_its_group(logger, tmp_path, monkeypatch):
    seen = []

    def run_jobs(jobs, *_):
        seen.extend(jobs)
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mla_train.studies.compare.run_jobs", run_jobs)
    words = ["attention=mla,mha", "seeds=2", f"logger={logger}", "run_dir=c", *SMALL]
    monkeypatch.setattr(sys, "argv", ["compare.py", *words])
    with pytest.raises(SystemExit):
        compare.main()
    assert len(seen) == 4
    for job in seen:
        given = {word for word in job.overrides if word.startswith("logger.")}
        assert given == ({"logger.wandb.group='c'", "logger.wandb.job_type=compare"} if logger == "wandb" else set())


def proposals(parameters):
    """Settings in which each parameter takes each of its values, or both ends of its range."""
    values = {name: choice.get("values") or [choice["min"], choice["max"]] for name, choice in parameters.items()}
    most = max(map(len, values.values()))
    return [{name: some[number % len(some)] for name, some in values.items()} for number in range(most)]


def test_there_is_a_sweep_for_each_task():
    assert {file.stem for file in SWEEPS} == {file.stem for file in (ROOT / "conf" / "task").glob("*.yaml")}


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.stem)
def test_what_the_agent_of_wandb_would_start_composes(file):
    plan = yaml.safe_load(file.read_text())
    for proposed in proposals(plan["parameters"]):
        given = {"args": {name: {"value": value} for name, value in proposed.items()}}
        macros = create_sweep_command_args(given) | {"env": [], "interpreter": ["python"], "program": [plan["program"]]}
        command = []
        for word in create_sweep_command(list(plan["command"])):  # as wandb/wandb_agent.py puts it together
            command += macros[word[2:-1]] if word.startswith("${") else [word]
        assert command[:2] == ["python", "train.py"]
        settings = compose_overrides(ROOT / "conf", command[2:])
        assert (settings.task.name, settings.logger.wandb.job_type) == (file.stem, "sweep")
        assert settings.logger.wandb.project == plan["project"]
        for name, value in proposed.items():
            part = settings
            for key in name.split("."):
                part = getattr(part, key)
            assert getattr(part, "value", part) == value
    task = build_task(settings)
    head = task.build_model(example_data(task).spec).head
    goals = {"maximize": "max", "minimize": "min"}
    assert plan["metric"]["name"] == f"val/{head.monitor}"
    assert goals[plan["metric"]["goal"]] == head.directions[head.monitor]


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.stem)
def test_the_search_of_wandb_takes_the_best_epoch_of_each_run(file):
    sweeps = pytest.importorskip("sweeps")
    plan = yaml.safe_load(file.read_text())
    del plan["run_cap"]  # for the server
    assert sweeps.schema_violations_from_proposed_config(plan) == []
    name, goal = plan["metric"]["name"], plan["metric"]["goal"]
    best = {"maximize": "max", "minimize": "min"}[goal]
    runs = []
    for value in (0.3, 0.7, 0.5):
        settings = sweeps.next_run(sweeps.SweepConfig(plan), runs).config
        assert settings.keys() == plan["parameters"].keys()
        # As it is logged, and as the summary has it: what `define_metric` put there is no number.
        curve = [{name: 0.6}, {name: value}, {name: 0.6}]
        runs.append(
            sweeps.SweepRun(
                config=settings, sampledHistory=curve, summaryMetrics={name: {best: value}}, state="finished"
            )
        )
        assert runs[-1].metric_extremum(name, goal) == (max if best == "max" else min)(0.6, value)
