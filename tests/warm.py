"""Scripts as processes that are forked from one which has torch loaded: what takes seconds is done once."""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    ["mla_train.commands.train", "mla_train.training.run", "matplotlib.pyplot", "sklearn.linear_model"]
)


def run_script(file, words, cwd, timeout):
    """What `python FILE WORDS` in a folder says and ends with."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        process = SERVER.Process(target=_run, args=(str(file), list(map(str, words)), str(cwd), str(out), str(err)))
        process.start()
        process.join(timeout)
        if process.is_alive():
            process.kill()
            raise subprocess.TimeoutExpired([str(file), *words], timeout)
        said = [part.read_text() if part.exists() else "" for part in (out, err)]
    return subprocess.CompletedProcess([str(file), *words], process.exitcode, *said)


def _run(file, words, cwd, out, err):
    for number, part in ((1, out), (2, err)):
        os.dup2(os.open(part, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(cwd)
    sys.argv = [file, *words]
    sys.path.insert(0, str(Path(file).parent))
    runpy.run_path(file, run_name="__main__")
