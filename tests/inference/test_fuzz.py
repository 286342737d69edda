"""Model folders and requests of strangers: each is answered, or refused by a UserError or a status of the client's fault."""

import json
import resource
import shutil
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

import pytest

from mla_train import load
from tests.fuzzing import FUZZ, MEBIBYTES, bounded, chances, mutated
from tests.inference.serving import TASKS, as_json, as_raw, random_predictor, save_run

VALUES = (
    None, True, False, 0, 1, -1, 7, 2**31, 2**63, 10**30, 0.5, -0.5, 1e308, float("nan"), float("inf"), "", "a", "1", "auto", "\0", "\ud800",
    "/etc/passwd", "../x", "${oc.env:HOME}", "x" * 100_000, [], {}, [[]], [1, 2], ["a", "a"], {"a": 1}, [None] * 10_000,
)  # fmt: skip


@pytest.fixture(scope="module", params=TASKS)
def saved(request, tmp_path_factory):
    """A task, its model folder, and an example."""
    folder = tmp_path_factory.mktemp(request.param)
    save_run(random_predictor(request.param), folder)
    return request.param, folder / "model", as_raw(request.param, folder)


def changed(tree, chance):
    """A tree of JSON with another value at some places; keys may vanish, occur anew or change places."""
    for _ in range(chance.randint(1, 3)):
        node = tree
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                break
            key = chance.choice(keys)
            if isinstance(node[key], dict | list) and node[key] and chance.random() < 0.9:
                node = node[key]
                continue
            how = chance.choice(["value", "value", "value", "remove", "new", "swap"])
            if how == "value":
                node[key] = deepcopy(chance.choice(VALUES))
            elif how == "remove":
                del node[key]
            elif how == "new" and isinstance(node, dict):
                node[chance.choice(["a", "", "_target_", "dim", "\0"])] = deepcopy(chance.choice(VALUES))
            else:
                other = chance.choice(keys)
                node[key], node[other] = node[other], node[key]
            break
    return tree


@contextmanager
def limited_memory():
    """Lets an allocation of many gigabytes fail instead of filling the machine."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2 * MEBIBYTES * 2**20, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def test_model_folders_are_read_or_refused(saved, tmp_path):
    task, folder, example = saved
    for trial, chance in chances(task, FUZZ):
        copy = tmp_path / f"{trial}"
        shutil.copytree(folder, copy)
        name = chance.choice(["config.json", "spec.json", "spec.json", "model.safetensors"])
        if name.endswith("json") and chance.random() < 0.8:
            tree = changed(json.loads((copy / name).read_text()), chance)
            (copy / name).write_text(json.dumps(tree))
        else:
            (copy / name).write_bytes(mutated((copy / name).read_bytes(), chance))
        if chance.random() < 0.9:
            (copy / "SHA256SUMS").unlink()
        with bounded(), limited_memory():
            list(load(copy).predict([example]))
        shutil.rmtree(copy)


@pytest.mark.parametrize("task", TASKS)
def test_requests_are_answered_or_refused(task):
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    pytest.importorskip("httpx", reason="the extra dev is not installed")
    from fastapi.testclient import TestClient

    from mla_train.inference.serve.app import create_app
    from mla_train.inference.serve.limits import Limits

    limits = Limits(body_bytes=300_000, examples=4, text_characters=5_000, image_pixels=10_000, series_steps=500)
    predictor = random_predictor(task)
    with TestClient(create_app(predictor, {}, limits), raise_server_exceptions=False) as client:
        for _, chance in chances(f"requests {task}", FUZZ):
            examples = [changed(as_json(task, number), chance) for number in range(chance.randint(0, 5))]
            tree = chance.choice([{"examples": examples}, *examples, examples])
            content = json.dumps(tree).encode()
            if chance.random() < 0.5:
                content = mutated(content, chance)
            path = chance.choice(["/predict", "/predict", "/predict", "/explain"])
            kind = chance.choice(
                [
                    "application/json",
                    "text/plain",
                    "multipart/form-data; boundary=x",
                    "application/x-www-form-urlencoded",
                ]
            )
            with bounded(), limited_memory():
                response = client.post(path, content=content, headers={"content-type": kind})
                assert response.status_code in {200, 400, 404, 413, 415, 422}, (response.status_code, content[:500])
                response.json()
