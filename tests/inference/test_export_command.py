"""scripts/export.py: the folder, its card, 8-bit weights, and the Hugging Face Hub on the way out and in."""

import contextlib
import json
import multiprocessing
import resource
import shutil

import huggingface_hub
import pytest
import yaml

import mla_train
from mla_train.commands import export
from mla_train.errors import UserError
from mla_train.inference.artifact import CONFIG, SPEC, WEIGHTS, package_version
from mla_train.safe_files import CHECKSUMS
from tests.helpers import read_jsonl, run_here, write_pictures

USES = {"safetensors": "mla_train.load", "torch_export": "torch.export.load", "onnx": "python infer_onnx.py"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run on pictures of two classes."""
    folder = tmp_path_factory.mktemp("image")
    write_pictures(folder / "images", count=20)
    words = ["encoder.depth=1", "epochs=1", "task.downsample_log2=1", "task.visual_words=8"]
    run_here(folder / "run", "data=image_folder", f"data.root={folder / 'images'}", *words)
    return folder / "run"


@pytest.fixture
def run(finished, tmp_path):
    """A copy of the run."""
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def call(monkeypatch, capsys):
    """The command with some words: what it prints, or its error."""

    def call(*words, fails=False):
        monkeypatch.setattr("sys.argv", ["export.py", *map(str, words)])
        if fails:
            with pytest.raises(SystemExit) as stopped:
                export.main()
            assert stopped.value.code == 1
            return capsys.readouterr().err
        export.main()
        return capsys.readouterr().out

    return call


def card_of(folder):
    """Metadata and text of a model card."""
    _, metadata, text = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(metadata), text


def test_an_exported_folder_loads_and_says_how_good_it_is(finished, run, call, tmp_path):
    out = call("--run", run, "--format", "safetensors", "--output", tmp_path / "out")
    assert f"wrote safetensors to {tmp_path / 'out'}" in out
    assert {file.name for file in (tmp_path / "out").iterdir()} == {WEIGHTS, SPEC, CONFIG, CHECKSUMS, "README.md"}
    rows = read_jsonl(run / "predictions.jsonl")
    records = mla_train.load(tmp_path / "out").predict([finished.parent / "images" / row["source"] for row in rows])
    assert [record["prediction"] for record in records] == [row["prediction"] for row in rows]
    metadata, text = card_of(tmp_path / "out")
    results = json.loads((run / "results.json").read_text())
    assert metadata["library_name"] == "mla-train"
    assert metadata["pipeline_tag"] == "image-classification"
    assert "license" not in metadata
    (result,) = metadata["model-index"][0]["results"]
    values = {each["type"]: each["value"] for each in result["metrics"]}
    assert values["accuracy"] == pytest.approx(results["metrics"]["test"]["accuracy"], abs=1e-4)
    assert "mla_train.load" in text
    assert "| majority |" in text
    assert f"| accuracy | {values['accuracy']:.4f} [" in text
    assert "cat, dog" in text


def test_a_bundled_data_set_has_its_license(run, call, tmp_path):
    config = json.loads((run / "model" / CONFIG).read_text())
    config["data"]["name"] = "digits"
    (run / "model" / CONFIG).write_text(json.dumps(config))
    (run / "model" / CHECKSUMS).unlink()
    call("--run", run / "model", "--format", "safetensors", "--output", tmp_path / "out")
    assert card_of(tmp_path / "out")[0]["license"] == "cc-by-4.0"


@pytest.mark.slow
def test_int8_is_measured(run, call):
    pytest.importorskip("onnxscript")
    out = call("--run", run, "--format", "onnx", "--quantize", "int8")
    folder = run / "export" / "onnx"
    _, text = card_of(folder)
    assert "with int8" in out
    for shown in ("python infer_onnx.py", "pip install onnxruntime numpy pillow", "`image.images` uint8 (batch, 3,"):
        assert shown in text
    assert "| 8 test examples | float32 | int8 |" in text
    assert "onnxruntime int8" in text
    for _ in range(2):  # in the place of the other export, and of its own
        call("--run", run, "--format", "torch_export", "--output", folder)
    assert {file.name for file in folder.iterdir()} == {"model.pt2", SPEC, CONFIG, CHECKSUMS, "README.md"}
    assert "torch.export.load" in card_of(folder)[1]


def on_small_disk(function):
    """Calls a function in a process whose files may have 20 kB."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, -1))
    function()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["onnx", "torch_export"])
def test_a_full_disk_leaves_the_export_before_as_it_was(kind, run, call, tmp_path):
    call("--run", run, "--format", "safetensors", "--output", tmp_path / "out")
    before = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    words = ("--run", run, "--format", kind, "--output", tmp_path / "out")
    process = multiprocessing.get_context("fork").Process(target=on_small_disk, args=(lambda: call(*words),))
    process.start()
    process.join()
    assert process.exitcode == 1
    assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == before
    assert not list(tmp_path.glob(".unfinished*"))


def test_what_cannot_be_exported_is_said(run, call, tmp_path, monkeypatch):
    for name in ("safetensors", "torch_export"):
        assert "--quantize int8 needs --format onnx" in call(
            "--run", run, "--format", name, "--quantize", "int8", fails=True
        )
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    error = call("--run", run, "--format", "safetensors", "--output", tmp_path / "full", fails=True)
    assert "holds other things than an export, which would be removed: choose a new folder" in error
    assert (tmp_path / "full" / "thesis.txt").is_file()
    call("--run", run, "--format", "safetensors", "--output", tmp_path / "app")
    (tmp_path / "app" / "app.py").write_text("mine")
    error = call("--run", run, "--format", "safetensors", "--output", tmp_path / "app", fails=True)
    assert "holds other things than an export (app.py), which would be removed: choose a new folder" in error
    (tmp_path / "link").symlink_to(tmp_path / "app")
    assert "is a link" in call("--run", run, "--format", "safetensors", "--output", tmp_path / "link", fails=True)
    (tmp_path / "here").mkdir()
    with contextlib.chdir(tmp_path / "here"):
        for output in (".", tmp_path / "here"):
            error = call("--run", run, "--format", "safetensors", "--output", output, fails=True)
            assert "is the folder in which this runs: choose another with --output" in error
    shutil.copytree(run, tmp_path / "lost", ignore=shutil.ignore_patterns("model"))
    error = call("--run", tmp_path / "lost", "--format", "safetensors", fails=True)
    assert f"remove {tmp_path / 'lost' / 'results.json'} and write it again" in error
    for damaged in ("[]", '{"task": ', "{}"):
        (run / "results.json").write_text(damaged)
        assert "results.json cannot be read" in call("--run", run, "--format", "safetensors", fails=True)
    (run / "results.json").unlink()
    assert f"continue it with resume={run}" in call("--run", run, "--format", "safetensors", fails=True)
    assert "holds no finished model" in call("--run", tmp_path / "full", "--format", "safetensors", fails=True)
    monkeypatch.setattr("mla_train.inference.export.find_spec", lambda name: None if name == "onnx" else name)
    error = call("--run", run, "--format", "onnx", fails=True)
    assert "onnx is missing: pip install 'mla-train[export]'" in error


class FakeHub:
    """Stands for HfApi: what it is asked for."""

    calls = []

    def whoami(self):
        return {"name": "user"}

    def create_repo(self, name, **options):
        self.calls.append(("create", name, options))
        return f"https://hub.test/{name}"

    def upload_folder(self, repo_id, folder_path, **options):
        self.calls.append(("upload", repo_id, sorted(file.name for file in folder_path.iterdir())))


def test_a_folder_is_pushed(run, call, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "HfApi", FakeHub)
    monkeypatch.setattr(FakeHub, "calls", [])
    words = ["--run", run, "--format", "safetensors", "--output", tmp_path / "out", "--push", "user/model"]
    assert "https://hub.test/user/model" in call(*words)
    create, upload = FakeHub.calls
    assert create == ("create", "user/model", {"private": True, "exist_ok": True})
    assert upload == ("upload", "user/model", sorted([WEIGHTS, SPEC, CONFIG, CHECKSUMS, "README.md"]))

    def nobody(self):
        raise huggingface_hub.errors.LocalTokenNotFoundError("no token")

    monkeypatch.setattr(FakeHub, "whoami", nobody)
    shutil.rmtree(tmp_path / "out")
    assert "run `hf auth login`" in call(*words, fails=True)
    assert not (tmp_path / "out").exists()


def test_a_model_loads_from_the_hub(run, tmp_path, monkeypatch):
    asked = []

    def snapshot_download(repository, allow_patterns):
        asked.append((repository, allow_patterns))
        return str(run / "model")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.chdir(tmp_path)
    assert mla_train.load("someone/model").spec.to_dict() == mla_train.load(run).spec.to_dict()
    assert asked == [("someone/model", [WEIGHTS, SPEC, CONFIG, CHECKSUMS])]
    with pytest.raises(UserError, match="run/nowhere holds no finished model"):
        mla_train.load("run/nowhere")  # the folder `run` is here
    assert len(asked) == 1

    def offline(repository, allow_patterns):
        raise huggingface_hub.errors.LocalEntryNotFoundError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(UserError, match=r"someone/model is no folder here, and cannot be loaded .* no network"):
        mla_train.load("someone/model")


@pytest.mark.parametrize("written", ["9.9", None])
def test_a_model_of_another_version_is_named(run, written):
    spec, config = (json.loads((run / "model" / name).read_text()) for name in (SPEC, CONFIG))
    assert spec["mla_train"] == package_version()
    spec.pop("mla_train")
    (run / "model" / SPEC).write_text(json.dumps(spec))
    (run / "model" / CHECKSUMS).unlink()
    mla_train.load(run)  # as older models are
    if written:
        (run / "model" / SPEC).write_text(json.dumps(spec | {"mla_train": written}))
    config["encoder"]["later"] = 1
    (run / "model" / CONFIG).write_text(json.dumps(config))
    by = f"mla_train {written or 'of an earlier version'}"
    with pytest.raises(UserError, match=f"was written by {by}, this is {package_version()}: .*later"):
        mla_train.load(run)
