"""Scripts as processes that are forked from one which has torch loaded: what takes seconds is done once."""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["tests.preloaded"])


def run_script(file, words, cwd, timeout, pages=False):
    """What `python FILE WORDS` in a folder says and ends with; figures and report of a run are made if they are asked for."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        asked = (str(file), list(map(str, words)), str(cwd), str(out), str(err), pages)
        process = SERVER.Process(target=_run, args=asked)
        process.start()
        process.join(timeout)
        if process.is_alive():
            process.kill()
            raise subprocess.TimeoutExpired([str(file), *words], timeout)
        said = [part.read_text() if part.exists() else "" for part in (out, err)]
    return subprocess.CompletedProcess([str(file), *words], process.exitcode, *said)


class Started:
    """A script that is running, or has ended, and the file with all that it says."""

    def __init__(self, file, words, cwd, out):
        self.out = out
        self.process = SERVER.Process(target=_run, args=(str(file), list(words), str(cwd), str(out), str(out), False))
        self.process.start()

    def poll(self):
        """How it ended; None while it runs."""
        return self.process.exitcode

    def wait(self, timeout):
        """How it ended; None if it still runs."""
        self.process.join(timeout)
        return self.process.exitcode

    def send_signal(self, number):
        os.kill(self.process.pid, number)

    def said(self):
        return self.out.read_text()

    def kill(self):
        self.process.kill()
        self.process.join()


@contextmanager
def started(file, words, cwd):
    """`python FILE WORDS` in a folder, as long as it is looked at."""
    with tempfile.TemporaryDirectory() as folder:
        script = Started(file, words, cwd, Path(folder) / "out")
        try:
            yield script
        finally:
            script.kill()


def _run(file, words, cwd, out, err, pages):
    for number, part in ((1, out), (2, err)):
        os.dup2(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.chdir(cwd)
    if not pages:
        from mla_train.report import run_report
        from mla_train.training import run

        run.draw_figures = run_report.report_run = lambda *_: None
    sys.argv = [file, *words]
    sys.path.insert(0, str(Path(file).parent))
    runpy.run_path(file, run_name="__main__")
