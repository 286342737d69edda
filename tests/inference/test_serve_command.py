"""scripts/serve.py as a process: its start and end, its page in a browser, and the container that runs it."""

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import tomllib
import urllib.request
from contextlib import contextmanager

import pytest

from mla_train.commands.serve import main
from tests.helpers import ROOT
from tests.inference.serving import random_predictor, save_run

pytest.importorskip("fastapi", reason="the extra serve is not installed")
pytest.importorskip("uvicorn", reason="the extra serve is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder of a text classifier."""
    return save_run(random_predictor("text_classification"), tmp_path_factory.mktemp("serve"))


@contextmanager
def serving(*words, script="serve"):
    """A server in a process of its own, its address, and what it prints at its start."""
    command = [sys.executable, "-u", str(ROOT / "scripts" / f"{script}.py"), *map(str, words), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        line = process.stdout.readline()
        assert "serving" in line, process.communicate()[1]
        yield process, re.search(r"http://\S+", line)[0].replace("0.0.0.0", "127.0.0.1")
    finally:
        process.kill()
        process.communicate()


def get(address, body=None):
    """What an address answers, as text."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(address, data), timeout=30) as response:
        return response.read().decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_server_that_is_stopped_answers_what_is_in_flight(run, number):
    with serving("--run", run) as (process, address):
        answers = []
        request = {"text": "good film"}
        thread = threading.Thread(target=lambda: answers.append(get(f"{address}/explain", request)))  # takes longest
        thread.start()
        while "requests_in_progress 2.0" not in get(f"{address}/metrics"):
            assert not answers
            time.sleep(0.01)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        thread.join(10)
        assert json.loads(answers[0])["figures"]
        assert process.returncode == (0 if number == signal.SIGTERM else 130)
        assert "Traceback" not in err
        assert "network" not in out


@pytest.mark.parametrize(
    ("words", "message"), [(["--run", "nowhere"], "holds no finished model"), (["--port", "99999"], "--port 99999")]
)
def test_mistakes_are_one_line(run, words, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["serve.py", "--run", str(run), *words])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    assert message in capsys.readouterr().err


def test_a_missing_package_names_its_extra(run, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.setattr(sys, "argv", ["serve.py", "--run", str(run)])
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().err == "error: uvicorn is missing: pip install 'mla-train[serve]'\n"


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_the_page_predicts_in_a_browser(run, tmp_path):
    with serving("--run", run) as (_, address):
        expected = json.loads(get(f"{address}/predict", {"text": "good film"}))
        done = subprocess.run(
            [
                CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=20000", "--dump-dom",
                f"{address}/?text=good%20film",
            ],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
    assert f'<p class="prediction" dir="auto">{expected["prediction"]}</p>' in done.stdout
    assert f"{100 * expected['probability']:.1f} %" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_requests_in_the_documents_are_answered_as_written(run):
    text = (ROOT / "docs" / "use.md").read_text()
    documents = text + (ROOT / "README.md").read_text()
    (command,) = set(re.findall(r"^python scripts/serve.py[^#\n]*[^#\s]", documents, re.MULTILINE))
    lines = re.findall(r"^curl .*$", text, re.MULTILINE)
    assert len(lines) == 4
    with serving(*shlex.split(command)[2:-1], run) as (_, address):
        for line in lines:
            words = shlex.split(line.replace("http://127.0.0.1:8000", address))
            done = subprocess.run(
                [*words, "--silent", "--fail"], capture_output=True, text=True, timeout=60, check=True
            )
            content = json.loads(done.stdout)
            assert {"prediction", "predictions", "task"} & content.keys()


def instructions():
    """The instructions of the Dockerfile, as pairs of a name and its arguments."""
    lines = re.sub(r"#.*\n", "", (ROOT / "Dockerfile").read_text()).replace("\\\n", " ").splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]


def arguments(name):
    """The words of the last instruction of a name that are in JSON."""
    return json.loads(re.search(r"\[.*\]$", [text for key, text in instructions() if key == name][-1])[0])


def test_the_image_is_built_from_what_is_there():
    ignored = (ROOT / ".dockerignore").read_text().split()
    for name, text in instructions():
        if name == "COPY":
            for source in shlex.split(text)[:-1]:
                assert (ROOT / source).exists()
                assert source not in ignored
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    text = (ROOT / "Dockerfile").read_text()
    wanted = re.findall(r'"\.\[(\w+)\]"', text) + re.findall(r"\['optional-dependencies'\]\['(\w+)'\]", text)
    assert wanted
    assert set(wanted) <= extras.keys()
    names = [name for name, _ in instructions()]
    assert dict(instructions())["USER"] not in ("root", "0")
    assert names.index("USER") > max(place for place, name in enumerate(names) if name == "RUN")
    assert "://" not in re.sub(r"http://127\.0\.0\.1", "", text)


def test_dependencies_of_the_image_are_those_of_the_project():
    """The step that lists them, as it is written."""
    (text,) = [text for name, text in instructions() if name == "RUN" and "tomllib" in text]
    listed = text.partition(">")[0].replace("python -c", f"{shlex.quote(sys.executable)} -c")
    done = subprocess.run(listed, shell=True, cwd=ROOT, capture_output=True, text=True, check=True)
    assert {"torch", "fastapi", "uvicorn"} <= {re.split(r"[<>=\[]", line)[0] for line in done.stdout.splitlines()}


@pytest.mark.slow
def test_the_command_of_the_image_serves_and_is_healthy(run):
    program, command, *words = arguments("CMD")
    assert (program, words[words.index("--run") + 1]) == ("mla-train", "/run")
    words[words.index("/run")] = run
    with serving(*words, script=command) as (process, address):
        assert "over the network" in process.stdout.readline()
        python, flag, code = arguments("HEALTHCHECK")
        check = [sys.executable, flag, code.replace("http://127.0.0.1:8000", address)]
        assert python == "python"
        assert subprocess.run(check, timeout=60, check=False).returncode == 0
    assert subprocess.run(check, timeout=60, check=False, stderr=subprocess.DEVNULL).returncode != 0


def test_compose_serves_this_machine_alone_with_a_mounted_run():
    yaml = pytest.importorskip("yaml")
    (service,) = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"].values()
    assert service["ports"] == ["127.0.0.1:8000:8000"]
    assert service["volumes"][0].endswith(":/run:ro")
