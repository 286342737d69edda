"""scripts/compare.py: its options, its messages, matched parameters, and a small comparison."""

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mla_train.commands import compare as script
from mla_train.errors import Interrupted, UserError
from mla_train.fingerprint import differences
from mla_train.locks import lock
from mla_train.studies.compare import _changed_data
from mla_train.studies.comparison import VariantResults
from mla_train.studies.launch import available_threads
from mla_train.studies.parameter_matching import TOLERANCE, CheckedVariant, check_variants
from mla_train.studies.sweep import goal_of
from mla_train.studies.variants import Match, Plan, Variant, compose_variants, read_plan
from mla_train.task import build_task
from mla_train.training.run import run
from mla_train.training.run_folder import find_run
from tests.helpers import ROOT, SMALL, config, run_here

CONF = ROOT / "conf"


def checked(*words):
    plan = read_plan([*words, "encoder=tiny"])
    return check_variants(plan, compose_variants(plan, CONF), CONF)


def test_options_make_variants():
    plan = read_plan(
        ["task=forecasting", "attention=mla,mha", "regularization=[light,rdrop],strong", "attention.score=[dot,dot]"]
    )
    assert [variant.name for variant in plan.variants] == [
        "mla, [light,rdrop]",
        "mla, strong",
        "mha, [light,rdrop]",
        "mha, strong",
    ]
    fixed = ("task=forecasting", "attention.score=[dot,dot]")
    assert plan.variants[0].overrides == (*fixed, "attention=mla", "regularization=[light,rdrop]")
    assert (plan.compared, plan.seeds, plan.match, plan.n_jobs) == ("attention, regularization", 3, Match.width, 1)
    assert plan.run_dir.parent == Path("runs/compare")
    job = plan.variants[0].job(Path("here"), 2)
    assert (job.overrides[-1], job.folder) == ("seed=2", Path("here/mla_light_rdrop/2"))


def test_own_options_are_not_for_train():
    words = ["lr=1e-3,1e-2", "seeds=5", "match=parameters", "run_dir='my runs/x'", "n_jobs=2", "--config-dir", "mine"]
    plan = read_plan(words)
    assert (plan.seeds, plan.match, plan.run_dir, plan.n_jobs) == (5, Match.parameters, Path("my runs/x"), 2)
    assert [variant.overrides for variant in plan.variants] == [
        ("--config-dir", "mine", f"lr={lr}") for lr in ("0.001", "0.01")
    ]
    plan = read_plan(["preset=parts", "encoder=tiny"])
    assert [variant.name for variant in plan.variants] == ["all parts", "encoder alone", "no encoder"]
    assert plan.compared == "parts"
    configs = compose_variants(plan, CONF)
    assert [(each.task.side_paths, each.task.use_encoder) for each in configs] == [
        (True, True), (False, True), (True, False)
    ]  # fmt: skip
    assert [each.task.start.value for each in configs] == ["best", "none", "best"]
    both = read_plan(["preset=parts", "init.from=null,runs/a"])
    assert len(both.variants) == 6
    assert both.variants[1].name == "null, encoder alone"
    with pytest.raises(UserError, match="preset=part: Did you mean parts"):
        read_plan(["preset=part"])
    assert [variant.name for variant in read_plan(["encoder.depth=range(1,4)"]).variants] == ["1", "2", "3"]


def test_folds_are_runs_of_one_variant_or_of_several():
    plan = read_plan(["task=text_classification", "folds=4"])
    assert (plan.seeds, plan.folds, plan.compared) == (4, 4, "variant")
    assert plan.variants[0].overrides == ("task=text_classification", "data.folds=4")
    assert plan.words(2) == ["data.fold=2"]
    assert plan.variants[0].job(Path("here"), 2, plan.words(2)).overrides[-1] == "data.fold=2"
    plan = read_plan(["task=text_classification", "folds=4", "repeats=2"])
    assert (plan.seeds, plan.folds) == (8, 4)
    assert plan.words(6) == ["data.fold=2", "data.split_seed=1"]
    plan = read_plan(["attention=mla,mha", "folds=5"])
    assert [variant.overrides for variant in plan.variants] == [
        ("data.folds=5", f"attention={name}") for name in ("mla", "mha")
    ]


MISTAKES = {
    "folds=1": ["data.folds=1", "must be 2 or more"],
    "folds=3 seeds=2": ["seeds= and folds=", "remove one"],
    "attention=mla,mha repeats=2": ["repeats=2", "folds=5"],
    "task=text_classification folds=3 repeats=2 data.split_seed=1": ["data.split_seed=", "remove it"],
    "task=text_classification folds=3 data.fold=1": ["data.fold=", "remove it"],
    "task=text_classification folds=3": ["data.folds"],
    "": ["attention=mla,mha"],
    "attention=mla": ["attention=mla,mha"],
    "attention=mla,mla": ["mla is given twice"],
    "attention=mla,mha seed=1": ["seed=1", "seeds=3"],
    "attention=mla,mha seeds=0": ["seeds=0", "whole number"],
    "attention=mla,mha seeds=1,2": ["seeds=1,2", "whole number"],
    "attention=mla,mha n_jobs=many": ["n_jobs=many", "whole number"],
    "attention=mla,mha match=parameter": ["Did you mean parameters?"],
    "attention=mla,mha resume=auto": ["resume=auto", "run_dir="],
    "attention=mla,mha test=false": ["test=false", "remove it"],
    "attention=glob(*)": ["attention=a,b"],
    "attention=mla,mha epochs": ["key=value"],
    "attention=mla,mhaa": ["attention=mhaa", "Did you mean mha?"],
    "attention=mla,mha seedz=2": ["seedz", "Did you mean"],
    "attention=mla,mha epohcs=2": ["epohcs", "Did you mean epochs?"],
    "encoder.num_heads=2,3": ["encoder.num_heads=3"],
    "encoder.mlp_ratio=1,2 match=parameters": ["encoder.mlp_ratio", "remove one"],
    "data=digits,image_folder": ["data.root"],
    "data.split_seed=0,1": ["same metric on the same examples"],
    "encoder.depth=1,12 match=parameters": ["match=width", "encoder.mlp_ratio"],
}


@pytest.mark.parametrize("options", MISTAKES)
def test_a_mistake_is_named_with_its_remedy(options):
    with pytest.raises(UserError) as raised:
        checked(*options.split())
    for expected in MISTAKES[options]:
        assert expected in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("activation", ["gelu", "swiglu"])
def test_matched_variants_are_as_large_as_the_first(activation):
    words = ["attention=mla,mha,gqa,mqa", f"encoder.activation={activation}"]
    configured = checked(*words)
    matched = checked(*words, "match=parameters")
    assert matched[0].variant == configured[0].variant
    assert matched[0].change == ""
    for before, after in zip(configured[1:], matched[1:], strict=True):
        assert abs(after.parameters / matched[0].parameters - 1) <= TOLERANCE
        assert before.variant.overrides != after.variant.overrides
        assert f"{before.parameters:,} to {after.parameters:,}" in after.change
        assert after.data is matched[0].data  # read once


def compare(*words, cwd, timeout=120):
    command = [sys.executable, str(ROOT / "scripts" / "compare.py"), *words]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout, check=False)


def test_a_mistake_is_one_line_and_leaves_nothing(tmp_path):
    done = compare("attention=mla,mhaa", cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: attention=mhaa")
    assert "Did you mean mha?" in line
    assert not list(tmp_path.iterdir())


def test_help_is_short(tmp_path):
    done = compare("--help", cwd=tmp_path)
    assert done.returncode == 0
    for word in ("seeds=3", "match=parameters", "run_dir=FOLDER", "n_jobs=1"):
        assert word in done.stdout


def compare_here(monkeypatch, *words):
    """In this process, which has torch loaded; speeds are measured for a moment."""
    monkeypatch.setattr("mla_train.studies.timing.TURN_SECONDS", 0.01)
    monkeypatch.setattr(sys, "argv", ["compare.py", *words])
    with pytest.raises(SystemExit) as stopped:
        script.main()
    return stopped.value.code


@pytest.mark.slow
def test_a_comparison_runs_and_is_not_run_twice(tmp_path, monkeypatch, capsys):
    words = ["attention=mla,mqa", "encoder=tiny", "epochs=1", "seeds=2", "match=parameters", "hardware.threads=1"]
    words += ["baselines=quick", "trainer.limit_train_batches=4"]
    monkeypatch.chdir(tmp_path)
    assert compare_here(monkeypatch, *words, "run_dir=mine") == 0
    assert "the best baseline" in capsys.readouterr().out
    with (tmp_path / "mine" / "comparison.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    states = [(row["attention"], row["seed"], row["state"]) for row in rows]
    assert states == [(kind, seed, "finished") for kind in ("mla", "mqa") for seed in "01"]
    sizes = [int(row["parameters"]) for row in rows]
    assert abs(sizes[2] / sizes[0] - 1) <= TOLERANCE
    assert all(float(row["inference_examples_per_second"]) > 0 for row in rows)
    assert "encoder.mlp_ratio changed from 2 to" in (tmp_path / "mine" / "comparison.html").read_text()

    times = {file: file.stat().st_mtime_ns for file in Path("mine").glob("*/*/results.json")}
    assert len(times) == 4
    assert compare_here(monkeypatch, *words, "run_dir=mine") == 0
    assert times == {file: file.stat().st_mtime_ns for file in times}
    capsys.readouterr()
    for other in (["attention=mqa,mla", *words[1:]], [*words, "epochs=2"]):
        assert compare_here(monkeypatch, *other, "run_dir=mine") == 2
        message = capsys.readouterr().err
        assert "run_dir=mine holds another comparison" in message
        assert "name another folder" in message
    assert compare_here(monkeypatch, *words, "run_dir=mine", "hardware.threads=2") == 2


def test_a_failed_variant_is_named_and_the_others_are_shown(tmp_path, monkeypatch, capsys):
    """One variant is trained already; train.py fails for the other."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(script, "TRAIN", tmp_path / "train.py")
    (tmp_path / "train.py").write_text("raise SystemExit('error: no luck')")
    fixed = ["encoder=tiny", "encoder.dim=16", "debug=fast", "hardware.threads=1"]
    words = [*fixed, "lr=1e-3,1e-2", "seeds=1", "run_dir=mine"]
    assert compare_here(monkeypatch, *words) == 1
    assert "No run finished" in capsys.readouterr().out
    done = config(*fixed, "lr=1e-3", "run_dir=mine/0.001/0")
    run(done, find_run(done))
    assert compare_here(monkeypatch, *words) == 1
    output = capsys.readouterr()
    assert "0.01, seed 0 failed: error: no luck" in output.err
    assert "seeds=3" in output.out
    assert "- 0.01, seed 0 failed: error: no luck" in Path("mine/comparison.md").read_text()
    Path("mine/0.001/0/results.json").write_text("{")
    assert compare_here(monkeypatch, *words) == 2
    assert "remove mine/0.001/0 to run it again" in capsys.readouterr().err


def test_a_folder_that_is_taken_is_refused(tmp_path, monkeypatch, capsys):
    (tmp_path / "note.txt").write_text("x")
    assert compare_here(monkeypatch, "attention=mla,mha", "encoder=tiny", f"run_dir={tmp_path}") == 2
    assert "name an empty or a new folder" in capsys.readouterr().err
    assert compare_here(monkeypatch, "attention=mla,mha", "encoder=tiny", f"run_dir={tmp_path}/note.txt/x") == 2
    assert "name a folder that can be written" in capsys.readouterr().err


def test_a_comparison_is_not_run_by_two_processes(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "mine"
    monkeypatch.setattr(script, "TRAIN", tmp_path / "train.py")
    (tmp_path / "train.py").write_text("raise SystemExit('error: no luck')")
    words = ["attention=mla,mha", "encoder=tiny", "seeds=1", f"run_dir={folder}"]
    assert compare_here(monkeypatch, *words) == 1
    with lock(folder / ".lock"):
        assert compare_here(monkeypatch, *words) == 2
    message = capsys.readouterr().err
    assert f"process {os.getpid()} on" in message
    assert "wait for it or stop it" in message
    assert compare_here(monkeypatch, *words) == 1


@pytest.mark.slow
def test_a_comparison_that_is_terminated_ends_its_runs(tmp_path):
    words = ["attention=mla,mha", "encoder=tiny", "epochs=500", "seeds=1", "hardware.threads=1", "run_dir=mine"]
    with (tmp_path / "output").open("w") as output:
        command = [sys.executable, str(ROOT / "scripts/compare.py"), *words]
        process = subprocess.Popen(command, cwd=tmp_path, stdout=output, stderr=subprocess.STDOUT)
    log = tmp_path / "mine" / "mla" / "0.log"
    deadline = time.monotonic() + 120
    while not (log.is_file() and re.search(r"epoch \d+/", log.read_text())) and time.monotonic() < deadline:
        time.sleep(0.2)
    process.terminate()
    assert process.wait(90) == 128 + signal.SIGTERM, (tmp_path / "output").read_text()
    assert "all is kept" in log.read_text()  # the run was asked, and has stopped
    assert not (tmp_path / "mine" / "mha").exists()


def test_a_comparison_uses_no_more_threads_than_are_allowed(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert available_threads() == 3
    for value in ("", "0", "many"):
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        assert available_threads() == len(os.sched_getaffinity(0))


def test_data_that_changed_between_the_runs_is_noticed(tmp_path, monkeypatch, capsys):
    """One variant is trained on the file as it was; then a label changes, and the other is trained."""
    monkeypatch.chdir(tmp_path)
    fixed = ["task=text_classification", "data=text_files", "data.train=own.csv", "encoder=tiny", "encoder.dim=16"]
    fixed += ["hardware.threads=1", "epochs=1", "baselines=none"]
    rows = [f"{word} number {number},{word}" for number in range(60) for word in ("good", "bad")]
    for lr in ("0.001", "0.01"):
        Path("own.csv").write_text("\n".join(["text,label", *rows]))
        done = config(*fixed, f"lr={lr}", f"run_dir=old/{lr}/0")
        run(done, find_run(done))
        rows[7] = "bad number 3,good"
    words = [*fixed, "lr=1e-3,1e-2", "seeds=1", "run_dir=mine"]
    monkeypatch.setattr(script, "TRAIN", tmp_path / "train.py")
    (tmp_path / "train.py").write_text("raise SystemExit('error: not now')")
    assert compare_here(monkeypatch, *words) == 1  # makes the folder
    assert "NOT COMPARABLE" not in capsys.readouterr().out
    shutil.copytree("old", "mine", dirs_exist_ok=True)
    assert compare_here(monkeypatch, *words) == 0
    output = capsys.readouterr().out
    assert "NOT COMPARABLE: the data has changed since mine/0.001/0 was trained" in output
    assert "Remove it and run the comparison again" in output
    assert "NOT COMPARABLE" in Path("mine/comparison.html").read_text()


def test_a_start_that_changed_between_the_runs_is_noticed(tmp_path):
    """Also of a run that was interrupted after it had begun: it tells of the weights that it took."""
    fixed = ["task=image_classification", *SMALL, "trainer.limit_train_batches=1", "baselines=none", "epochs=2"]
    run_here(tmp_path / "source", *fixed, "task.start=none")
    words = [*fixed, f"init.from={tmp_path / 'source'}", f"run_dir={tmp_path / 'mine'}"]
    with pytest.raises(Interrupted):
        run_here(tmp_path / "mine", *words, "hardware.max_minutes=0.00001")
    settings = config(*words)
    before = goal_of(settings, None).data
    shutil.rmtree(tmp_path / "source")
    run_here(tmp_path / "source", *fixed, "task.start=none", "seed=1")
    results = run_here(tmp_path / "mine", *words, "resume=auto")
    now = goal_of(settings, None).data
    assert results["fingerprint"] == before
    assert differences(before, now) == ["the run that init.from names has other weights"]
    (variant,) = [CheckedVariant(Variant("mine", ()), settings, build_task(settings).load_data(), 0)]
    plan = Plan("x", (variant.variant,), 1, Match.width, tmp_path, 1)
    (sentence,) = _changed_data([variant], [VariantResults("mine", 0, {0: results})], plan)
    assert "NOT COMPARABLE" in sentence
    assert "has other weights" in sentence


@pytest.mark.parametrize("name", ["..", ".", "../up", "/", ".hidden"])
def test_a_variant_has_a_folder_below_that_of_the_comparison(name):
    folder = Variant(name, ()).job(Path("root"), 0).folder
    assert ".." not in folder.parts
    assert not folder.relative_to("root").parts[0].startswith(".")
