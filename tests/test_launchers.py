"""A multirun: jobs on this machine, through Slurm and through Ray."""

import json
import os
import stat
import sys
from importlib.util import find_spec

import pytest

from tests.helpers import SMALL, train

JOBS = ["-m", "attention=mla,mha", *SMALL, "debug=fast"]

# Slurm's commands, as far as they are used: they run each job of the array in the batch file here.
SBATCH = f"""#!{sys.executable}
import os, pathlib, re, subprocess, sys
file = pathlib.Path(sys.argv[-1])
first, last = map(int, re.search(r"--array=(\\d+)-(\\d+)", file.read_text()).groups())
for number in range(first, last + 1):
    job = {{"SLURM_JOB_ID": f"{{77 + number}}", "SLURM_ARRAY_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": f"{{number}}",
           "SLURM_NTASKS": "1", "SLURM_JOB_NUM_NODES": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}}
    with open(os.environ["BATCH_FILE"] + f".{{number}}", "w") as out:
        subprocess.Popen(["bash", file], env=os.environ | job, stdout=out, stderr=out, start_new_session=True)
pathlib.Path(os.environ["BATCH_FILE"]).write_text(file.read_text())
print("Submitted batch job 77")
"""
SRUN = f"""#!{sys.executable}
import os, sys
command = sys.argv[next(i for i, word in enumerate(sys.argv) if "python" in word):]
os.execv(command[0], command)
"""
SACCT = "#!/bin/sh\necho 'JobID|State|NodeList'\n"


def finished(folder):
    """Checks that both jobs are finished runs."""
    results = [json.loads((folder / str(number) / "results.json").read_text()) for number in (0, 1)]
    assert [each["attention"] for each in results] == ["mla", "mha"]
    return results


def test_each_job_has_a_folder_and_its_own_command(tmp_path):
    train(*JOBS, "run_dir=runs", cwd=tmp_path)
    for number, (results, kind) in enumerate(zip(finished(tmp_path / "runs"), ("mla", "mha"), strict=True)):
        command = results["environment"]["command"]
        assert command == f"python train.py attention={kind} {' '.join(SMALL)} debug=fast run_dir=runs/{number}"
    train(*JOBS, cwd=tmp_path)
    assert len(list((tmp_path / "runs" / "image_classification").glob("*/results.json"))) == 2


@pytest.mark.slow
def test_slurm_gets_the_configured_options_and_its_jobs_are_runs(tmp_path):
    pytest.importorskip("submitit", reason="the extra slurm is not installed")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in {"sbatch": SBATCH, "srun": SRUN, "sacct": SACCT}.items():
        (tools / name).write_text(text)
        (tools / name).chmod(stat.S_IRWXU)
    batch_file = tmp_path / "batch_file"
    env = {"PATH": f"{tools}:{os.environ['PATH']}", "BATCH_FILE": str(batch_file)}
    launcher = ["hydra/launcher=slurm", "hydra.launcher.partition=long", "hydra.launcher.gpus_per_node=1"]
    train(*JOBS, *launcher, "run_dir=runs", cwd=tmp_path, env=env)
    finished(tmp_path / "runs")
    lines = set(batch_file.read_text().splitlines())
    expected = ("partition=long", "gpus-per-node=1", "cpus-per-task=4", "mem=16GB", "time=240", "array=0-1%2")
    assert lines >= {f"#SBATCH --{line}" for line in expected}


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="the extra ray is not installed")
def test_ray_runs_jobs(tmp_path):
    train(*JOBS, "hydra/launcher=ray", "run_dir=runs", cwd=tmp_path, env={"RAY_USAGE_STATS_ENABLED": "0"})
    finished(tmp_path / "runs")


def test_a_missing_launcher_names_its_extra(tmp_path):
    if find_spec("hydra_plugins.hydra_ray_launcher") is not None:
        pytest.skip("the extra ray is installed")
    done = train(*JOBS, "hydra/launcher=ray", cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "pip install -e '.[ray]'" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
