"""A damaged run folder is one clear line at resume=auto, and blocks no other run."""

import shutil

import pytest

from mla_train.errors import UserError
from mla_train.training.run_folder import find_run
from tests.helpers import config, run_here

BINARY = bytes(range(128, 256)) * 20
WORDS = ["debug=fast"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "run"
    run_here(folder, *WORDS)
    return folder


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("results.json", b'{"task": ', "Remove it, and resume"),
        ("results.json", b"{}", "it has no task"),
        ("results.json", b"[]", "it has no task"),
        ("results.json", BINARY, "Remove it, and resume"),
        ("config.yaml", b"[1]", "no options of a run"),
        ("config.yaml", BINARY, "cannot be read"),
        ("config.yaml", b"a: [", "cannot be read"),
        ("metrics.csv", BINARY, "Remove it to continue"),
        ("metrics.csv", b"x,y\n1,2\n", "Remove it to continue"),
        ("checkpoints/best.ckpt", b"", "Remove .*checkpoints to start"),
        ("checkpoints/last.ckpt", b"", "Remove .*checkpoints to start"),
    ],
)
@pytest.mark.parametrize("with_checksums", [True, False])
def test_a_damaged_file_is_one_line_that_names_it(name, content, message, with_checksums, finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    if name != "results.json":
        (run / "results.json").unlink()
    if not with_checksums:  # as in folders of earlier versions
        (run / "checkpoints" / "SHA256SUMS").unlink()
    (run / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name}.*{message}") as error:
        run_here(run, *WORDS, "resume=auto")
    assert "\n" not in str(error.value)


def test_a_damaged_run_among_others_is_skipped(finished, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "image_classification"
    for name, content in (("2026-01-03", b"[1]"), ("2026-01-02", BINARY), ("2026-01-01", None)):
        run = shutil.copytree(finished, folder / name)
        (run / "results.json").unlink()
        if content:
            (run / "config.yaml").write_bytes(content)
    settings = config("encoder=tiny", "encoder.dim=16", "encoder.num_heads=2", "baselines=quick", *WORDS, "resume=auto")
    assert find_run(settings).path.name == "2026-01-01"
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all("not resumed: " in line and "cannot be read" in line for line in lines)
