"""Many runs: finished ones are skipped, failed ones are named, the others run."""

import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mla_train.errors import UserError
from mla_train.locks import lock
from mla_train.studies.jobs import NEEDED, Job, run_jobs

WHOLE = {name: {} for name in NEEDED}

FAKE = """
import json, pathlib, sys
from mla_train.studies.jobs import NEEDED
options = dict(option.split("=") for option in sys.argv[1:])
if options["seed"] == "1":
    sys.exit("error: no luck")
folder = pathlib.Path(options["run_dir"])
folder.mkdir(parents=True)
(folder / "results.json").write_text(json.dumps(options | {name: {} for name in NEEDED}))
"""


@pytest.mark.parametrize("parallel", [1, 3])
def test_runs_that_are_missing_are_run(tmp_path, parallel):
    program = tmp_path / "fake.py"
    program.write_text(FAKE)
    jobs = [Job([f"seed={seed}"], tmp_path / "runs" / str(seed)) for seed in range(4)]
    jobs[3].folder.mkdir(parents=True)
    (jobs[3].folder / "results.json").write_text(json.dumps(WHOLE | {"mine": True}))
    failed = run_jobs(jobs, program, parallel, threads=2)
    assert failed == {jobs[1].folder: "error: no luck"}
    options = {"seed": "0", "run_dir": str(jobs[0].folder), "resume": "auto", "hardware.threads": "2"}
    assert jobs[0].results == options | WHOLE
    assert jobs[1].results is None
    assert jobs[3].results == WHOLE | {"mine": True}
    # Again: only what failed.
    program.write_text(FAKE.replace('"1"', '"9"'))
    assert run_jobs(jobs, program) == {}
    assert jobs[1].results is not None


def test_a_run_that_goes_on_after_its_study_was_killed_is_waited_for(tmp_path, capsys):
    """A run that chooses its hardware is a process of its own, which a kill of its parent does not end."""
    program, job = tmp_path / "fake.py", Job(["seed=1"], tmp_path / "run")
    program.write_text(FAKE)  # would fail
    job.folder.mkdir()
    held = threading.Event()

    def train():
        with lock(job.folder / ".lock"):
            held.set()
            time.sleep(1.5)
            (job.folder / "results.json").write_text(json.dumps(WHOLE | {"mine": True}))

    with ThreadPoolExecutor(1) as pool:
        pool.submit(train)
        held.wait()
        assert run_jobs([job], program) == {}
    assert job.results == WHOLE | {"mine": True}
    assert f"waiting for {job.folder}, which process {os.getpid()}" in capsys.readouterr().out


def test_what_a_run_left_is_its_end_only_where_it_is_whole(tmp_path):
    job = Job([], tmp_path)
    for text in ("{", "[]", '{"metrics": {}}', "[" * 100_000):
        (tmp_path / "results.json").write_text(text)
        with pytest.raises(UserError, match="to run it again"):
            job.results  # noqa: B018
    (tmp_path / "results.json").unlink()
    (tmp_path / "results.json").symlink_to("/dev/zero")
    with pytest.raises(UserError, match="to run it again"):
        job.results  # noqa: B018
    (tmp_path / "results.json").unlink()
    (tmp_path / "results.json").write_text(json.dumps(WHOLE))
    assert job.results == WHOLE
    (tmp_path / ".lock").touch()  # killed before its report
    assert job.results is None


def test_the_toolbox_page_is_written_from_runs(tmp_path, monkeypatch, capsys):
    from scripts import toolbox

    for name, lift in (("default", 0.0), ("score_dot", 0.1), ("rdrop", -0.1)):
        for seed in range(2):
            folder = tmp_path / "runs" / "digits" / name / str(seed)
            folder.mkdir(parents=True)
            results = {
                "monitor": {"name": "val/accuracy", "mode": "max"},
                "metrics": {"test": {"accuracy": 0.5 + lift + 0.02 * seed}},
                "baselines": {},
                "model": {"parameters": 1234},
                "directions": {},
                "speed": {},
            }
            (folder / "results.json").write_text(json.dumps(results))
    page = tmp_path / "page.md"
    page.write_text("# Mine\n\nText.\n\n" + toolbox.MARK + "\nold\n")
    arguments = [
        "--only",
        "score_dot",
        "rdrop",
        "--data",
        "digits",
        "--seeds",
        "0",
        "1",
        "--runs",
        str(tmp_path / "runs"),
    ]
    monkeypatch.setattr(sys, "argv", ["toolbox.py", *arguments, "--out", str(page)])
    with pytest.raises(SystemExit) as stopped:
        toolbox.main()
    assert stopped.value.code == 0
    text = page.read_text()
    assert text.startswith("# Mine\n\nText.\n\n" + toolbox.MARK)
    assert "old" not in text
    rows = {line.split("|")[1].strip(" `"): line.split("|")[2:] for line in text.splitlines() if line.startswith("| `")}
    assert [cell.strip() for cell in rows["default"][:2]] == ["0.5100 ± 0.0141", ""]
    assert [cell.strip() for cell in rows["score_dot"][:2]] == ["0.6100 ± 0.0141", "+0.1000 ± 0.0000"]
    seconds, memory = (float(rows["default"][i]) for i in (2, 3))
    assert 0 < seconds < 60
    assert memory > 0.1
    # Two passes hold more than one.
    assert float(rows["rdrop"][3]) > 1.3 * memory
    assert (tmp_path / "page_digits.png").stat().st_size > 1000
    assert Path(tmp_path / "runs" / "digits" / "rdrop" / "0" / "results.json").is_file()
