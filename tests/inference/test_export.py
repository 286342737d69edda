"""Exported models answer as `mla_train.load` does: graphs at any size, and infer_onnx.py without torch."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image

import mla_train
from mla_train.dataset import raw_batch
from mla_train.errors import UserError
from mla_train.inference.artifact import CONFIG, SPEC, Artifact, save_model
from mla_train.inference.export.folder import write_model
from mla_train.inference.export.graphs import Graph, build_graphs
from mla_train.inference.export.inputs import to_graph
from mla_train.inference.predictor import Predictor
from mla_train.modalities import MODALITIES
from mla_train.model import Model
from mla_train.safe_files import CHECKSUMS
from mla_train.task import build_task
from tests.helpers import SMALL, build, config, forecasting_config, hourly_table, made_data, randomize
from tests.inference.serving import wav

TINY = [*SMALL, "encoder.depth=1", "regularization=none"]
IMAGE = ["task.downsample_log2=1"]
TASKS = {
    "text": ["task=text_classification"],
    "image": ["task=image_classification", *IMAGE],
    "audio": ["task=speech_classification"],
    "series": ["task=series_classification", "task.statistics=true"],
    "forecast": ["task=forecasting", "data=series_csv", "data.path=a.csv", "data.look_back=48", "data.horizon=6"],
    "multimodal": ["task=multimodal_sentiment", "task.fusion=cross_attention", "task.visual_words=8", *IMAGE],
    "translation": ["task=translation"],
    "captioning": ["task=image_captioning", "data.keywords=false", *IMAGE],
    "summary": ["task=summarization", "task.min_tokens=3", "task.max_tokens=9"],
    "features": ["task=multimodal_sentiment", "data=feature_table", "data.path=a.npz"],
    "ranking": ["task=recommendation", "data.gaps=true"],
    "multilabel": ["task=text_classification", "task.convolutions=[3]", "task.pooling=cls"],
}
WRITTEN = ("translation", "captioning", "summary")  # texts, token by token


def make_artifact(kind):
    """A model of random weights, in evaluation mode, and raw examples of different length."""
    words, data = [*TASKS[kind], *TINY], None
    if kind == "features":
        kinds = dict.fromkeys(["voice", "face"], MODALITIES["features"])
        data = made_data(config(*words), kinds, sequence=np.arange(32) // 4)  # utterances of videos
    if kind == "multilabel":
        targets = [["a", "b"][: i % 3] for i in range(32)]
        data = made_data(config(*words), {"text": MODALITIES["text"]}, targets, head="multilabel")
    module, data = build(*words, data=data)
    artifact = Artifact(module.config, module.task, randomize(module.model, 0.2).eval())
    if kind == "series":  # at thresholds of 0 rounding would decide
        artifact.model.embeddings["series"].init_from_data(data.train.columns["series"])
    if kind == "ranking":
        data.spec.target.encoder_weight = 0.5
    if kind == "text":  # the more probable of two classes is not always the predicted one
        data.spec.target.threshold = 0.9
    return artifact, data


def kinds(*slow):
    """All kinds of model as parameters; tests of some take over ten seconds."""
    return [pytest.param(kind, marks=[pytest.mark.slow] * (kind in slow)) for kind in TASKS]


class Exported(NamedTuple):
    """A model and its graphs; a folder with it and its export in the format onnx; and raw examples."""

    kind: str
    model: Model
    graphs: dict[str, Graph]
    folder: Path
    examples: list[dict[str, Any]]


@pytest.fixture(scope="module", params=kinds(*TASKS.keys() - {"text"}))
def exported(request, tmp_path_factory):
    pytest.importorskip("onnxscript")
    folder = tmp_path_factory.mktemp(request.param)
    artifact, data = make_artifact(request.param)
    save_model(artifact.model.state_dict(), artifact.model.spec, artifact.config, folder / "model")
    graphs = build_graphs(artifact.model)
    with mock.patch("mla_train.inference.export.folder.build_graphs", return_value=graphs):
        write_model(artifact, folder / "onnx", "onnx")
    return Exported(request.param, artifact.model, graphs, folder, make_examples(request.param, data, folder))


def make_examples(kind, data, folder):
    """Raw examples that can be written as JSON; images and tables are files of a folder."""
    examples = [data.test.raw(place) for place in range(5)]
    if kind == "forecast":
        table = hourly_table(400, rise=np.arange(400.0), wave=np.arange(400) % 24 / 7)
        table.loc[[0, 1, 100, 380], "wave"] = np.nan
        table.drop(index=[50, 51]).to_csv(folder / "a.csv", index=False)
        table[:-30].to_csv(folder / "b.csv", index=False, sep=";")
        examples = [{"series": str(folder / name)} for name in ("a.csv", "b.csv")]
    if kind == "features":  # with padding in front and behind
        examples[0] = {name: np.pad(np.atleast_2d(value), ((2, 1), (0, 0))) for name, value in examples[0].items()}
    if kind == "series":
        examples[1]["series"] = np.pad(examples[1]["series"], ((0, 9), (0, 0)), constant_values=np.nan)
    if kind == "multilabel":
        examples[0]["text"] += "\u2028in a further line\x85"
    if kind == "ranking":
        examples[1]["history"] = []
        examples[2]["history"] = [*examples[2]["history"], ["item nobody had", 1e6]]
    if kind == "multimodal":
        examples[1].pop("image")
        examples[2].pop("text")
    for place, example in enumerate(examples):
        if "audio" in example:
            example["audio"] = str(folder / f"{place}.wav")
            rate = (16_000, 22_050, 44_100)[place % 3]
            Path(example["audio"]).write_bytes(wav(0.2 + 0.1 * place, place, rate))
        if "image" in example:
            example["image"] = str(folder / f"{place}.png")
            pixels = np.random.default_rng(place).integers(0, 256, (24 + place, 30, 3 + place % 2), dtype=np.uint8)
            Image.fromarray(pixels).save(example["image"])
    return examples


def assert_same(record, expected):
    """Records with numbers that differ by rounding."""
    if isinstance(expected, dict):
        assert record.keys() == expected.keys()
        pairs = [(record[name], value) for name, value in expected.items()]
    elif isinstance(expected, list):
        assert len(record) == len(expected)
        pairs = zip(record, expected, strict=True)
    else:
        assert record == (pytest.approx(expected, abs=2e-4, rel=1e-4) if isinstance(expected, float) else expected)
        return
    for one, other in pairs:
        assert_same(one, other)


@torch.inference_mode()
def test_graphs_take_other_batches_and_lengths(exported, tmp_path):
    kind, model, graphs, _, examples = exported
    programs = {}
    for name, graph in graphs.items():
        torch.export.save(graph.program, tmp_path / f"{name}.pt2")
        programs[name] = torch.export.load(tmp_path / f"{name}.pt2").module()
    for count in (1, len(examples)):
        batch = raw_batch(model.spec, examples[:count])
        inputs = list(to_graph(model, batch).values())
        if kind in WRITTEN:
            check_decoding(model, programs, batch, inputs)
            continue
        outputs = model(batch)
        if kind == "ranking":
            outputs = model.head.unseen(outputs, batch.inputs["history"])
        expected = (
            [outputs.softmax(-1) if kind != "multilabel" else outputs.sigmoid()] if kind != "forecast" else outputs
        )
        for answer, value in zip(programs["model"](*inputs), expected, strict=True):
            if kind == "forecast":
                mean, std = (torch.tensor(each).view(-1, 1) for each in (model.head.spec.mean, model.head.spec.std))
                mean, std = (each.unsqueeze(-1) if value.dim() == 4 else each for each in (mean, std))
                value = value.sort(-1).values * std + mean if value.dim() == 4 else value * std + mean
            assert answer.shape == value.shape
            assert (answer - value).abs().max() < 1e-4
        assert torch.isfinite(answer).all()


def check_decoding(model, programs, batch, inputs):
    """Two steps of the graphs give what the decoder gives."""
    padding, *memory = programs["encoder"](*inputs)
    tokens = torch.randint(4, model.head.spec.vocab_size, (2, len(inputs[0])))
    expected = model.head.logits(tokens.T, model.head.memory(model.encode(batch))).log_softmax(-1)
    states = [torch.zeros(len(padding), 0, model.head.decoder.blocks[0].attention.cache_width)]
    for step, newest in enumerate(tokens):
        scores, *states = programs["decoder_step"](newest, padding, *memory, *states)
        assert (scores - expected[:, step]).abs().max() < 1e-4


def infer(folder, *arguments):
    """infer_onnx.py in a process that has neither torch nor this package: its records."""
    (folder / "without").mkdir(exist_ok=True)
    hidden = ["torch", "mla_train", "pandas", "sklearn", "scipy"]
    (folder / "without" / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({hidden}))\n")
    command = [sys.executable, str(folder / "onnx" / "infer_onnx.py"), *arguments]
    environment = os.environ | {"PYTHONPATH": str(folder / "without")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_folder_predicts_without_torch(exported):
    kind, _, _, folder, examples = exported
    plain = [
        {name: np.asarray(v).tolist() if isinstance(v, np.ndarray) else v for name, v in e.items()} for e in examples
    ]
    (folder / "examples.jsonl").write_text(
        "".join(json.dumps(example, ensure_ascii=False) + "\n" for example in plain), "utf-8"
    )
    model = mla_train.load(folder)
    if kind in WRITTEN:
        model.network.head.options.beams = 1
    expected = model.predict(examples)
    if kind == "text":
        assert min(record["probability"] for record in expected) < 0.5
    assert_same(infer(folder, "examples.jsonl"), expected)
    values = [value for example in examples for value in example.values()]
    if len(model.spec.inputs) == 1 and all(isinstance(value, str) for value in values):
        assert_same(infer(folder, *values[:2]), expected[:2])


def test_a_changed_file_of_a_folder_is_noticed(exported, tmp_path):
    folder = exported.folder
    copy = shutil.copytree(folder / "onnx", tmp_path / "onnx")
    for file in (copy / SPEC, next(copy.glob("*.onnx"))):
        whole = file.read_bytes()
        file.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
        done = subprocess.run(
            [sys.executable, copy / "infer_onnx.py", "a"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert re.fullmatch(rf"error: {file.name} is damaged: .*SHA256SUMS\n", done.stderr)
        file.write_bytes(whole)


def test_a_folder_has_what_belongs_to_the_model(exported):
    kind, folder = exported.kind, exported.folder
    files = {file.name for file in (folder / "onnx").iterdir()} - {"__pycache__"}
    graphs = {"encoder.onnx", "decoder_step.onnx"} if kind in WRITTEN else {"model.onnx"}
    texts = {"tokenizer.json"} if kind in ("text", "multilabel", "multimodal", *WRITTEN) else set()
    tables = {"forecast": {"series_table.py"}, "ranking": {"item_histories.py"}}.get(kind, set())
    assert files == {SPEC, CONFIG, CHECKSUMS, "infer_onnx.py"} | graphs | texts | tables


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        ("translation", "task.model=seq2seq"),
        ("text", "attention.pattern=strided"),
        ("image", "encoder.block=conv_attention"),
    ],
)
def test_a_network_without_a_graph_is_named(kind, option, monkeypatch):
    monkeypatch.setitem(TASKS, kind, [*TASKS[kind], option])
    with pytest.raises(UserError, match=f"{option}.* has no graph: use --format safetensors"):
        build_graphs(make_artifact(kind)[0].model)


@torch.inference_mode()
@pytest.mark.slow
@pytest.mark.parametrize(
    "option", ["attention=gqa", "attention.pattern=window", "encoder.latent=array", "encoder.registers=2"]
)
def test_other_networks_have_graphs_too(option, monkeypatch):
    monkeypatch.setitem(TASKS, "text", [*TASKS["text"], option])
    artifact, data = make_artifact("text")
    graph = build_graphs(artifact.model)["model"].program.module()
    for count in (1, 5):
        batch = raw_batch(data.spec, [data.test.raw(place) for place in range(count)])
        (probability,) = graph(*to_graph(artifact.model, batch).values())
        assert (probability - artifact.model(batch).softmax(-1)).abs().max() < 1e-4


@pytest.mark.parametrize("transform", ["log1p", "asinh"])
def test_a_transform_is_part_of_the_graph(transform, tmp_path):
    pytest.importorskip("onnxscript")
    table = hourly_table(400, load=np.arange(400.0), price=np.arange(400) % 24 * 3)
    settings = forecasting_config(
        tmp_path, table, *TINY, f"task.transform={transform}", "task.nonnegative=true", "data.look_back=48"
    )
    task = build_task(settings)
    torch.manual_seed(0)
    model = randomize(task.build_model(task.load_data().spec), 0.2).eval()
    artifact = Artifact(settings, task, model)
    table[345:].assign(price=table["price"].where(table.index > 360)).to_csv(tmp_path / "b.csv", index=False)
    write_model(artifact, tmp_path / "onnx", "onnx")
    (expected,) = Predictor(artifact).predict([str(tmp_path / "b.csv")])
    (tmp_path / "examples.jsonl").write_text(json.dumps({"series": str(tmp_path / "b.csv")}))
    assert_same(infer(tmp_path, "examples.jsonl"), [expected])
