"""A sweep continues whatever its trials do, and finds the best settings."""

import csv
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from mla_train.commands import sweep as script
from mla_train.config.overrides import compose_overrides
from mla_train.errors import UserError
from mla_train.studies.launch import Launcher
from mla_train.studies.search_space import (
    Pruner,
    Sampler,
    SweepOptions,
    as_override,
    first_settings,
    read_choice,
    read_options,
)
from mla_train.studies.sweep import Goal, Sweep
from mla_train.studies.sweep_page import write_page, write_trials
from mla_train.studies.sweep_results import best_recipe, best_trial, ranked
from tests.helpers import ROOT, SMALL, train, write_jsonl

# A run of train.py without the training: x = .7 is best; options make trials fail.
FAKE = """
import json, os, pathlib, sys, time
options = dict(option.split("=", 1) for option in sys.argv[1:])
folder = pathlib.Path(options["run_dir"])
folder.mkdir(parents=True)
number, x = int(folder.name), float(options.get("x", 0.7))
if str(number) in options.get("fail", "").split("+"):
    sys.exit("error: no luck")
if str(number) in options.get("die", "").split("+"):
    os.kill(os.getpid(), 9)
rows = ["step,val/score"]
for epoch in range(int(options.get("epochs", 1))):
    rows.append(f"{epoch + 1},{1 - abs(x - 0.7) + 0.001 * epoch}")
    (folder / "part").write_text(chr(10).join(rows))
    os.replace(folder / "part", folder / "metrics.csv")  # whole or not at all, as a run writes it
    time.sleep(60 if str(number) in options.get("long", "").split("+") else float(options.get("pause", 0)))
value = float("nan") if str(number) in options.get("nan", "").split("+") else 1 - abs(x - 0.7)
start = {"name": "linear", "kept": str(number) in options.get("kept", "").split("+")}
(folder / "results.json").write_text(json.dumps({"metrics": {"val": {"score": value}, "test": {"score": value}}, "start": start}))
"""


@pytest.fixture
def launcher(tmp_path):
    file = tmp_path / "fake.py"
    file.write_text(FAKE)
    return Launcher(file, warm=False)


def sweep(folder, *words, space=None, first=None, **options):
    space = {"x": FloatDistribution(0.0, 1.0)} if space is None else space
    return Sweep(SweepOptions(**options), space, first or {}, list(words), Goal("val/score", "max"), folder, 0)


def go(search, launcher):
    study, finished = search.open(), []
    search.run(study, launcher, finished.append)
    return study, finished


def states(study):
    return [trial.state.name for trial in study.trials]


def test_failures_are_recorded_and_the_sweep_continues(tmp_path, launcher):
    broken = {"fail": "1+5+9+13", "die": "3+7", "nan": "11+15"}
    words = [f"{kind}={numbers}" for kind, numbers in broken.items()]
    study, finished = go(sweep(tmp_path / "s", *words, trials=25, n_jobs=2, pruner=Pruner.none), launcher)
    assert len(finished) == 25
    assert (states(study).count("COMPLETE"), states(study).count("FAIL")) == (17, 8)
    errors = {trial.number: trial.user_attrs.get("error") for trial in study.trials}
    assert errors[1] == "error: no luck"
    assert errors[3] == "ended by SIGKILL, possibly out of memory"
    assert errors[11] == "val/score is nan"
    write_trials(study, tmp_path / "s" / "trials.csv")
    with (tmp_path / "s" / "trials.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["state"] for row in rows].count("fail") == 8
    assert rows[0].keys() == {"number", "state", "value", "x", "seconds", "error"}
    assert float(rows[0]["value"]) == pytest.approx(1 - abs(float(rows[0]["x"]) - 0.7), abs=1e-3)
    # The same command continues: nothing is left to do; with a larger budget more trials run.
    assert go(sweep(tmp_path / "s", *words, trials=25), launcher)[1] == []
    assert len(go(sweep(tmp_path / "s", *words, trials=27), launcher)[1]) == 2
    with pytest.raises(UserError, match="holds a sweep with other overrides"):
        sweep(tmp_path / "s", "fail=2").open()


def test_data_that_changed_since_the_sweep_began_is_noticed(tmp_path, capsys):
    then = {"examples": {"val": 10}, "specs": {}, "targets": {"val": "a"}, "inputs": {"text of val": "b"}}
    for data, noticed in ((then, False), (then, False), (then | {"targets": {"val": "c"}}, True)):
        search = sweep(tmp_path / "s")
        search.goal = Goal("val/score", "max", data)
        search.open()
        message = capsys.readouterr().err
        assert ("NOT COMPARABLE" in message and "labels of val differ" in message) == noticed


def test_it_finds_the_best_settings_and_starts_with_those_of_the_config(tmp_path, launcher):
    study, _ = go(sweep(tmp_path / "s", trials=25, n_jobs=2, first={"x": 0.25}), launcher)
    assert study.trials[0].params == {"x": 0.25}
    assert study.best_value > 0.97
    assert ranked(study)[0].number == study.best_trial.number


@pytest.mark.parametrize("pruner", [Pruner.median, Pruner.halving])
def test_bad_trials_are_stopped_early(tmp_path, launcher, pruner):
    space = {"x": CategoricalDistribution(("0.7", "0.1", "0.2"))}
    words = ["epochs=12", "pause=0.1"]
    search = sweep(tmp_path / "s", *words, space=space, trials=7, sampler=Sampler.random, pruner=pruner)
    study = search.open()
    for value in ("0.7", "0.7", "0.7", "0.7", "0.7", "0.1", "0.2"):
        study.enqueue_trial({"x": value})
    search.run(study, launcher, lambda trial: None)
    assert states(study)[5:] == ["PRUNED"] * 2
    assert set(states(study)[:5]) == {"COMPLETE"}
    assert study.trials[5].user_attrs["seconds"] < study.trials[0].user_attrs["seconds"]


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_a_grid_ends_when_all_of_it_is_done(tmp_path, launcher, n_jobs):
    space = {"x": FloatDistribution(0.0, 1.0, step=0.5), "y": CategoricalDistribution(("a", "b"))}
    search = sweep(tmp_path / "s", space=space, sampler=Sampler.grid, trials=100, n_jobs=n_jobs)
    assert search.budget == 6
    study, finished = go(search, launcher)
    assert len(finished) == 6
    assert {(t.params["x"], t.params["y"]) for t in study.trials} == {(x, y) for x in (0.0, 0.5, 1.0) for y in "ab"}


@pytest.mark.parametrize(
    "where",
    [
        lambda folder: os.getpid(),  # a number in use again, and the form of earlier versions
        lambda folder: str(folder / "s" / ".lock_gone"),
        lambda folder: str(write_jsonl(folder / "s" / ".lock_left", [])),  # its process was killed
    ],
)
def test_what_was_cut_off_of_a_grid_is_tried_again(where, tmp_path, launcher):
    space = {"y": CategoricalDistribution(("a", "b"))}

    def search():
        return sweep(tmp_path / "s", space=space, sampler=Sampler.grid, trials=100)

    first = search()
    study = first.open()
    trial = study.ask(space)
    trial.set_user_attr("where", [socket.gethostname(), where(tmp_path)])
    study, finished = go(search(), launcher)
    assert [trial.state for trial in finished] == [TrialState.COMPLETE] * 2
    assert sorted(trial.params["y"] for trial in finished) == ["a", "b"]


def test_a_trial_that_has_done_its_last_epoch_is_not_pruned(tmp_path, launcher):
    search = sweep(tmp_path / "s", "epochs=4", "pause=0.3", trials=2, sampler=Sampler.random)
    search.epochs = 4
    study = search.open()
    study.pruner = optuna.pruners.ThresholdPruner(lower=2.0, n_warmup_steps=3)  # would prune at the last
    search.run(study, launcher, lambda trial: None)
    assert set(states(study)) == {"COMPLETE"}


@pytest.mark.parametrize("sampler", list(Sampler))
def test_every_sampler_samples(tmp_path, launcher, sampler):
    space = {
        "x": FloatDistribution(0.0, 1.0, step=0.1),
        "y": CategoricalDistribution(("a", "b")),
        "z": IntDistribution(1, 3),
    }
    _, finished = go(sweep(tmp_path / "s", space=space, sampler=sampler, trials=4), launcher)
    assert [trial.state for trial in finished] == [TrialState.COMPLETE] * 4


CUT_OFF = """
import sys
from pathlib import Path
from tests.studies.test_sweep import Launcher, sweep
search = sweep(Path(sys.argv[1]), "long=1", trials=4)
search.run(search.open(), Launcher(Path(sys.argv[2]), warm=False), lambda trial: print(trial.number, flush=True))
"""


def test_a_trial_whose_run_has_finished_counts_where_the_sweep_was_killed_before_it_took_note(tmp_path, launcher):
    search = sweep(tmp_path / "s", trials=2, sampler=Sampler.random)
    study = search.open()
    trial = study.ask(search.space)
    run = tmp_path / "s" / "trials" / "0000"
    done = launcher.start([f"x={trial.params['x']}", f"run_dir={run}"], tmp_path / "log")
    assert done.process.wait(60) == 0
    study, finished = go(search, launcher)
    assert [each.number for each in finished] == [1]
    assert states(study) == ["COMPLETE"] * 2
    assert study.trials[0].value == pytest.approx(1 - abs(trial.params["x"] - 0.7))
    assert study.trials[0].user_attrs["kept_start"] == ""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_sweep_that_is_cut_off_goes_on_and_loses_what_was_running_alone(tmp_path, launcher, number):
    folder = tmp_path / "s"
    command = [sys.executable, "-c", CUT_OFF, str(folder), str(tmp_path / "fake.py")]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # jobs in the background are born ignoring it
    )
    assert process.stdout.readline() == "0\n"
    while not (folder / "trials" / "0001" / "metrics.csv").is_file():
        time.sleep(0.05)
    process.send_signal(number)
    process.wait(60)
    study = sweep(folder, "long=1", trials=4).open()
    cut = study.trials[1]
    assert states(study)[:2] == ["COMPLETE", "FAIL"]
    assert cut.user_attrs["retired"]
    study.set_user_attr("plan", study.user_attrs["plan"] | {"overrides": ["pause=0"]})
    again = sweep(folder, "pause=0", trials=4)
    study, finished = go(again, launcher)
    assert [trial.state for trial in finished] == [TrialState.COMPLETE] * 3
    # What was cut off is tried again, and does not count.
    assert finished[0].params == cut.params
    write_trials(study, folder / "trials.csv")
    assert "1,retired," in (folder / "trials.csv").read_text()


def test_runs_of_a_lost_storage_do_not_count_as_trials_of_a_new_one(tmp_path, launcher):
    folder = tmp_path / "s"
    go(sweep(folder, trials=1), launcher)
    older = (folder / "study.db").read_bytes()
    go(sweep(folder, trials=2), launcher)
    sweep(folder, trials=2).open()
    for content in (older, b"", None):
        (folder / "study.db").unlink()
        if content is not None:
            (folder / "study.db").write_bytes(content)
        with pytest.raises(UserError, match=r"runs of trials that its storage does not know \(000"):
            sweep(folder, trials=3).open()


def test_a_sweep_goes_on_in_a_folder_of_another_name(tmp_path, launcher):
    go(sweep(tmp_path / "s", trials=1), launcher)
    (tmp_path / "s").rename(tmp_path / "other")
    study, _ = go(sweep(tmp_path / "other", trials=2), launcher)
    assert len(study.trials) == 2


def test_a_damaged_storage_is_one_line_that_names_its_file(tmp_path, launcher):
    folder = tmp_path / "s"
    go(sweep(folder, trials=2), launcher)
    whole = (folder / "study.db").read_bytes()
    said = []
    for seed in range(12):
        damaged, chance = bytearray(whole), random.Random(seed)
        for _ in range(60):
            damaged[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        (folder / "study.db").write_bytes(damaged)
        try:  # what was hit may be of no use to anyone
            sweep(folder, trials=3).open()
        except UserError as error:
            said.append(str(error))
    assert any(re.fullmatch(r".*study\.db cannot be used: .*run_dir", each) for each in said)


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "trials.csv").write_text("mine")
    for _ in range(2):
        with pytest.raises(UserError, match=r"not empty and holds no sweep \(trials\.csv\)"):
            sweep(tmp_path).open()
    assert (tmp_path / "trials.csv").read_text() == "mine"


def test_a_name_that_would_lead_the_database_elsewhere_is_refused(tmp_path):
    with pytest.raises(UserError, match="without \\?"):
        sweep(tmp_path / "a?b").open()
    assert [path.name for path in tmp_path.glob("a*")] == []


def test_hours_are_a_budget(tmp_path, launcher):
    _, finished = go(sweep(tmp_path / "s", "epochs=10", "pause=0.1", trials=50, hours=2 / 3600), launcher)
    assert 1 <= len(finished) <= 3


# What is searched.


def test_spaces_are_read():
    assert read_choice("lr", {"low": 1, "high": 10.0, "log": True}) == FloatDistribution(1.0, 10.0, log=True)
    assert read_choice("depth", {"low": 1, "high": 4}) == IntDistribution(1, 4)
    assert read_choice("r", [["none", "rdrop"], "light", None, 0.5, True]).choices == (
        "[none,rdrop]",
        "light",
        "null",
        "0.5",
        "true",
    )
    wrongs = [{"low": 2, "high": 1}, {"low": 1}, [], "abc", {"low": 0, "high": 1, "lgo": True}]
    wrongs += [{"low": "a", "high": "b"}, {"low": 1, "high": 9, "log": True, "step": 2}]
    for wrong in wrongs:
        with pytest.raises(UserError, match=r"space\.lr: give a list of values"):
            read_choice("lr", wrong)
    with pytest.raises(UserError, match="needs low above 0"):
        read_choice("lr", {"low": 0.0, "high": 1.0, "log": True})
    with pytest.raises(UserError, match="step must be above 0"):
        read_choice("lr", {"low": 0.0, "high": 1.0, "step": 0})
    assert as_override(0.000123456) == "0.0001235"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("space: [lr]", "space and tasks must be mappings"),
        ("space:", "under `space`"),
        ("space: {lr: [1]}\ntasks: [lr]", "space and tasks must be mappings"),
        ("space: {lr: [1]}\ntasks: {image_classification: [lr]}", "tasks.image_classification must be"),
        ("space: {lr: [1", "cannot be read"),
        ("- lr", "write keys such as"),
        ("space: {run_dir: [a, b]}", "space.run_dir"),
        ("spaces: {lr: [1]}", "Did you mean space?"),
    ],
)
def test_a_wrong_file_is_one_line(text, message, tmp_path):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(UserError, match=re.escape(message)) as raised:
        read_options(tmp_path / "mine.yaml", "image_classification", [])
    assert "\n" not in str(raised.value)


def test_settings_that_are_known_are_tried_first():
    space = {
        "lr": FloatDistribution(1e-4, 1e-2),
        "encoder.depth": IntDistribution(1, 3),
        "a": CategoricalDistribution(("x", "0.5")),
        "other": FloatDistribution(0.0, 1.0),
    }
    assert first_settings(space, {"lr": 1e-3, "encoder": {"depth": 9}, "a": 0.5}) == {"lr": 1e-3, "a": "0.5"}


TASKS = sorted(file.stem for file in (ROOT / "conf" / "task").glob("*.yaml"))
SPACES = [*(("default", task) for task in TASKS), ("quick", "forecasting"), ("attention", "text_classification")]


@pytest.mark.parametrize(("name", "task"), SPACES)
def test_every_space_composes(name, task):
    assert {name for name, _ in SPACES} == {file.stem for file in (ROOT / "conf" / "sweep").glob("*.yaml")}
    file = ROOT / "conf" / "sweep" / f"{name}.yaml"
    options, space = read_options(file, task, ["trials=3"])
    assert options.trials == 3
    words = [f"task={task}"]
    assert compose_overrides(script.CONF, words).task.name == task
    script.check_space(words, space)


def test_the_best_is_a_recipe(tmp_path, launcher):
    space = {
        "lr": FloatDistribution(1e-3, 1e-2, log=True),
        "attention": CategoricalDistribution(("mha",)),
        "regularization": CategoricalDistribution(("[light,rdrop]",)),
    }
    words = ["task=image_classification", "experiment=toolbox/latent_variational", "encoder=tiny", "task.pooling=mean"]
    study, _ = go(sweep(tmp_path / "s", *words, space=space, trials=2), launcher)
    best_recipe(
        study,
        words,
        {"task", "encoder", "attention", "regularization", "experiment"},
        tmp_path / "s" / "experiment" / "best.yaml",
    )
    done = train(
        "--config-dir",
        str(tmp_path / "s"),
        "task=image_classification",
        "experiment=best",
        "--cfg",
        "job",
        cwd=tmp_path,
    )
    assert "kind: mha" in done.stdout
    assert "latent: variational" in done.stdout  # what the recipe of all trials says
    assert "r_drop: 1.0" in done.stdout
    assert "pooling: mean" in done.stdout
    assert f"lr: {float(as_override(study.best_params['lr']))}" in done.stdout


def test_the_page_needs_nothing_beside_it(tmp_path, launcher):
    study, _ = go(sweep(tmp_path / "s", "fail=9", trials=10, pruner=Pruner.none), launcher)
    write_trials(study, tmp_path / "s" / "trials.csv")
    write_page(study, "val/score of mine", tmp_path / "s", ["python scripts/sweep.py <task>"])
    page = (tmp_path / "s" / "sweep.html").read_text()
    assert "<h1>val/score of mine</h1>" in page
    assert "9 complete, 1 failed" in page
    assert "9: error: no luck" in page
    assert "&lt;task&gt;" in page
    assert page.count("data:image/png;base64,") >= 3
    assert "Importance" in page
    assert not re.search(r"https?://", page)


def test_a_best_trial_that_is_not_better_than_others_says_so(tmp_path, launcher):
    space = {"y": CategoricalDistribution(["a", "b"])}  # which changes nothing
    study, _ = go(sweep(tmp_path / "s", "kept=0+2", space=space, trials=3, pruner=Pruner.none), launcher)
    best, *doubts = best_trial(study)
    assert best.startswith("Best: 1.0000 with y=")
    assert doubts == [
        "All 3 complete trials have this value: none of their settings is better than another.",
        "2 of 3 complete trials kept the simple model as which they begin (linear), so that neither attention nor training had "
        "an effect in them; task.start=none searches for the best network.",
    ]
    write_trials(study, tmp_path / "s" / "trials.csv")
    write_page(study, "mine", tmp_path / "s", [])
    page = (tmp_path / "s" / "sweep.html").read_text()
    assert all(f'<p class="lead">{line}</p>' in page for line in (best, *doubts))
    study, _ = go(sweep(tmp_path / "other", trials=3, pruner=Pruner.none), launcher)
    assert len(best_trial(study)) == 1


# Several machines.


@pytest.fixture
def postgres(tmp_path):
    """The address of a PostgreSQL server that is started for the test; as it refuses to be root's, nobody's then."""
    initdb = shutil.which("initdb") or next(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), None)
    if initdb is None:
        pytest.skip("PostgreSQL is not installed")
    pytest.importorskip("psycopg", reason="the extra postgres is not installed")
    folder = Path(tempfile.mkdtemp())
    nobody = {"user": 65534, "group": 65534, "extra_groups": []} if os.getuid() == 0 else {}
    if nobody:
        os.chown(folder, 65534, 65534)
    how = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder, **nobody}
    tools = Path(initdb).resolve().parent
    subprocess.run([initdb, "-D", folder / "data", "-U", "me", "--auth=trust", "--no-sync"], **how)
    options = f"-k {folder} -c listen_addresses='' -c fsync=off"
    subprocess.run([tools / "pg_ctl", "-D", folder / "data", "-w", "-l", folder / "log", "-o", options, "start"], **how)
    yield f"postgresql+psycopg://me@/postgres?host={folder}"
    subprocess.run([tools / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop"], **how)
    shutil.rmtree(folder)


def test_two_machines_share_a_sweep_through_postgresql(tmp_path, launcher, postgres):
    """Each has folders of its own; together they do what one would."""

    def machine(name):
        return sweep(tmp_path / name / "s", "pause=0.05", trials=8, storage=postgres)

    searches = [machine("one"), machine("two")]
    studies = [search.open() for search in searches]
    finished = [[], []]
    threads = [
        threading.Thread(target=search.run, args=(study, launcher, some.append))
        for search, study, some in zip(searches, studies, finished, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(finished)
    numbers = sorted(trial.number for some in finished for trial in some)
    assert numbers[:8] == list(range(8))
    assert len(numbers) <= 9  # both may begin the last one
    assert {trial.state for trial in studies[0].trials} == {TrialState.COMPLETE}
    with pytest.raises(UserError, match=r"^storage=postgresql"):
        sweep(tmp_path / "s", trials=8, storage=postgres.replace("me@", "you@")).open()


# The command.


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """scripts/sweep.py in this process, which has torch loaded; its trials are processes."""

    def run(*words, code=0):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["scripts/sweep.py", *words])
        if code:
            with pytest.raises(SystemExit) as stopped:
                script.main()
            assert stopped.value.code == code
        else:
            script.main()
        return capsys.readouterr()

    return run


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sweep=quik"], "Did you mean quick?"),
        (["trials=0"], "must be 1 or more"),
        (["task=text_clasification"], "Did you mean text_classification?"),
        (["lr=1", "epochs"], "options are written key=value"),
        (["sampler=tpa"], "sampler"),
        (["sweep=quick", "sampler=grid"], "sampler=grid needs values or steps"),
        (["sweep=quick", "lr=1", "regularization.dropout=0"], "remove one"),
        (["-m", "sweep=quick"], "remove it"),
        (["test=false"], "retrain=5"),
        (["lr=1", "--config-dir", "conf", "sweep=quick"], "write flags such as --config-dir first"),
        (["objective=test/accuracy"], "objective=test/accuracy"),
    ],
)
def test_mistakes_are_one_line(words, message, tmp_path, command):
    output = command(*words, code=2).err
    assert message in output
    assert len(output.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_asked_to_stop_the_command_says_how_to_go_on(number, code, tmp_path, command, monkeypatch):
    def stopped(self, study, launcher, on_trial):
        os.kill(os.getpid(), number)
        time.sleep(60)

    monkeypatch.setattr(Sweep, "run", stopped)
    output = command("sweep=quick", *SMALL, "hardware.devices=1", "run_dir=s", code=code)
    assert "Continue with: python scripts/sweep.py" in output.err.splitlines()[-1]
    assert (tmp_path / "s" / "sweep.html").is_file()


def test_stopped_before_its_first_trial_a_sweep_has_nothing_to_go_on_with(command, monkeypatch):
    def stopped(wanted):
        raise KeyboardInterrupt

    monkeypatch.setattr("mla_train.commands.sweep.sweep", stopped)
    assert command("sweep=quick", *SMALL, code=130).err == "Interrupted\n"


@pytest.mark.slow
def test_when_no_trial_is_finished_the_reason_is_said(tmp_path, command):
    output = command(
        "sweep=quick",
        "lr=1e9",
        "optimizer.gradient_clip=0",
        "encoder=tiny",
        "epochs=1",
        "trials=1",
        "run_dir=s",
        code=2,
    )
    assert "the loss became" in output.out
    assert output.err.startswith("error: no trial finished")
    assert "s/trials.csv" in output.err


@pytest.mark.slow
def test_a_sweep_from_the_command_to_the_recipe(tmp_path, command):
    words = ["sweep=quick", *SMALL, "debug=fast", "hardware.threads=1", "trials=2", "run_dir=s", "retrain=1"]
    output = command(*words).out
    assert "up to 2 trials in s" in output
    said = output[output.index("Best: ") : output.index("\nTrain it: ")].splitlines()
    assert said == re.findall('<p class="lead">(.*)</p>', (tmp_path / "s" / "sweep.html").read_text())
    assert "Train it: python train.py --config-dir s task=image_classification experiment=best" in output
    names = {file.name for file in (tmp_path / "s").iterdir()}
    assert names >= {"trials.csv", "sweep.html", "study.db", "experiment", "trials", "top.csv"}
    assert "trained again" in (tmp_path / "s" / "sweep.html").read_text()
    results = json.loads((tmp_path / "s" / "trials" / "0000" / "results.json").read_text())
    with (tmp_path / "s" / "trials.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert float(rows[0]["value"]) == pytest.approx(results["metrics"]["val"]["accuracy"])
    assert list(results["metrics"]) == ["val"]  # trials do not look at test
    train(
        "--config-dir", "s", "task=image_classification", "experiment=best", "debug=fast", "run_dir=best", cwd=tmp_path
    )


def test_a_warm_run_is_a_process_of_its_own_that_can_fail_and_be_stopped(tmp_path):
    launcher = Launcher(ROOT / "train.py", warm=True, threads=1)
    wrong = launcher.start(["epohcs=3"], tmp_path / "wrong.log")
    long = launcher.start(["encoder=tiny", "epochs=500", f"run_dir={tmp_path / 'run'}"], tmp_path / "long.log")
    while wrong.running():
        time.sleep(0.05)
    assert "Did you mean epochs?" in wrong.last_line()
    deadline = time.monotonic() + 60
    while not (tmp_path / "run" / "metrics.csv").is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert long.process.pid != os.getpid()
    long.stop(30)
    assert "resume" in long.last_line()
    assert optuna.__version__ >= "4"
