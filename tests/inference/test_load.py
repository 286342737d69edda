"""`mla_train.load`: a trained model from Python, with its own way from raw values to predictions."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import mla_train
from mla_train.errors import UserError
from mla_train.inference.artifact import CONFIG, SPEC, WEIGHTS
from mla_train.inference.predictor import WINDOW
from mla_train.safe_files import CHECKSUMS
from tests.helpers import ROOT, load, read_jsonl, run_here, write_jsonl, write_pictures, write_reviews

SHORT = ["epochs=1", "task.side_paths=true"]


def image_rows(folder):
    """Texts with images of two classes; some lack one of both."""
    write_pictures(folder / "images")
    rows = [
        {"text": f"a {name} day, number {i}", "image": f"images/{name}/{i}.png", "label": name}
        for i in range(12)
        for name in ("cat", "dog")
    ]
    rows[3]["text"] = rows[4]["image"] = None
    return write_jsonl(folder / "rows.jsonl", rows)


KINDS = ["text", "image", "multimodal", "regression", "multilabel"]


@pytest.fixture(scope="module", params=KINDS)
def finished(request, folder_of):
    """A run, and the raw values of its test split in order."""
    return folder_of(request.param)


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """A function from a kind to its run and the raw values of its test split in order; each is trained once."""
    return cache(lambda kind: finish(kind, tmp_path_factory.mktemp(kind)))


def finish(kind, folder):
    if kind == "image":
        write_pictures(folder / "images")
        words = ["data=image_folder", f"data.root={folder / 'images'}"]
    elif kind == "multimodal":
        words = ["task=multimodal_sentiment", "data=text_image_files", f"data.train={image_rows(folder)}"]
    else:
        write_reviews(folder / "a.csv", 20)
        rows = [line.rpartition(",") for line in (folder / "a.csv").read_text().splitlines()[1:]]
        labels = {"text": lambda i, label: label, "regression": lambda i, label: i / 7}
        label_of = labels.get(kind, lambda i, label: [label] * (i % 3 > 0) + ["odd"] * (i % 2))
        content = [{"text": text.strip('"'), "label": label_of(i, label)} for i, (text, _, label) in enumerate(rows)]
        write_jsonl(folder / "a.jsonl", content)
        words = ["task=text_classification", "data=text_files", f"data.train={folder / 'a.jsonl'}"]
    run_here(folder / "run", *words, *SHORT)
    test = load(*words, "regularization=none").test
    return folder / "run", [test.raw(place) for place in range(len(test))]


def without_probabilities(record):
    return {key: value for key, value in record.items() if key != "probabilities"}


def test_predictions_are_those_of_the_run(finished):
    run, examples = finished
    written = read_jsonl(run / "predictions.jsonl")
    model = mla_train.load(run)
    predicted = [without_probabilities(record) for record in model.predict(examples, batch_size=3)]
    assert len(predicted) == len(written) > 3
    for record, row in zip(predicted, written, strict=True):
        for key, value in record.items():
            assert value == (pytest.approx(row[key], rel=1e-3, abs=2e-4) if isinstance(value, float) else row[key])
    assert [without_probabilities(record) for record in mla_train.load(run / "model").predict(examples)] == predicted
    (single,) = model.predict(examples[:1])
    assert single["prediction"] == (
        pytest.approx(written[0]["prediction"], rel=1e-4)
        if isinstance(single["prediction"], float)
        else written[0]["prediction"]
    )
    if len(model.spec.inputs) == 1:
        (name,) = model.spec.inputs
        values = [example[name] for example in examples]
        assert [without_probabilities(record) for record in model.predict(values)] == predicted
    assert not model.network.training
    assert model.predict([]) == []


def test_a_stream_is_predicted_batch_by_batch(finished):
    run, examples = finished
    taken = []

    def stream():
        for place in range(1000):
            taken.append(place)
            yield examples[place % len(examples)]

    records = mla_train.load(run).predict_batches(stream(), batch_size=4)
    assert taken == []
    next(records)
    assert len(taken) == 4 * WINDOW


def test_neither_lightning_nor_hydra_is_loaded(folder_of):
    """By no kind of model: one process loads all."""
    runs = {}
    for kind in KINDS:
        run, examples = folder_of(kind)
        is_text = len(examples[0]) == 1 and isinstance(next(iter(examples[0].values())), str)
        runs[kind] = str(run), examples if is_text else []
    code = (
        "import json, sys, mla_train\n"
        "for kind, (run, examples) in json.load(sys.stdin).items():\n"
        "    records = mla_train.load(run).predict(examples)\n"
        "    heavy = {'lightning', 'hydra', 'wandb', 'matplotlib', 'torchvision'} & sys.modules.keys()\n"
        "    print(json.dumps([kind, sorted(heavy), len([record['prediction'] for record in records])]))\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, input=json.dumps(runs), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines == [[kind, [], len(examples)] for kind, (_, examples) in runs.items()]


def test_data_frames_and_arrays_are_examples(finished):
    run, examples = finished
    model = mla_train.load(run)
    expected = model.predict(examples)
    frame = pd.DataFrame(examples).assign(other=1)
    assert model.predict(frame) == expected
    with pytest.raises(UserError, match="the data frame has no column"):
        model.predict(frame[["other"]])
    for single in (examples[0], next(iter(examples[0].values()))):
        if isinstance(single, str | dict):
            with pytest.raises(UserError, match=r"predict\(\[example\]\)"):
                model.predict(single)


def test_threads_predict_side_by_side(finished):
    run, examples = finished
    model = mla_train.load(run)
    expected = model.predict(examples)
    with ThreadPoolExecutor(4) as pool:
        for records in pool.map(model.predict, [examples] * 8):
            assert records == expected


def test_wrong_inputs_are_named(finished):
    run, examples = finished
    model = mla_train.load(run)
    names = list(model.spec.inputs)
    with pytest.raises(UserError, match=f"unknown input txt.*{', '.join(names)}"):
        model.predict([{"txt": "a"}])
    for nothing in ({}, dict.fromkeys(names), {names[0]: ""}):
        with pytest.raises(UserError, match=f"example 1 has no {' or '.join(names)}"):
            model.predict([examples[0], nothing])
    if len(names) > 1:
        with pytest.raises(UserError, match="a mapping with text, image"):
            model.predict(["a"])
    with pytest.raises(UserError):
        model.predict([{names[0]: 7}])


def test_images_are_read_from_files_bytes_and_arrays(finished, tmp_path):
    run, examples = finished
    model = mla_train.load(run)
    if list(model.spec.inputs) != ["image"]:
        pytest.skip("the model reads other inputs")
    image = examples[0]["image"]
    file = tmp_path / "a.png"
    Image.fromarray(np.asarray(image).transpose(1, 2, 0)).save(file)
    records = model.predict([image, np.asarray(image), str(file), file, file.read_bytes(), {"image": file}])
    assert all(record == records[0] for record in records)


def test_a_text_may_lack_its_image(finished):
    run, _ = finished
    model = mla_train.load(run)
    if len(model.spec.inputs) == 1:
        pytest.skip("the model reads one input")
    one, other = model.predict([{"text": "a cat day"}, {"text": "a cat day", "image": None}])
    assert one == other


@pytest.mark.parametrize("missing", [WEIGHTS, SPEC, CONFIG])
def test_what_is_no_finished_model_is_said(finished, missing, tmp_path):
    run, _ = finished
    with pytest.raises(UserError, match="holds no finished model"):
        mla_train.load(tmp_path)
    with pytest.raises(UserError, match=r"nowhere.*no such folder"):
        mla_train.load(tmp_path / "nowhere")
    shutil.copytree(run / "model", tmp_path / "run" / "model")
    (tmp_path / "run" / "model" / missing).unlink()
    with pytest.raises(UserError, match="holds no finished model"):
        mla_train.load(tmp_path / "run")


@pytest.mark.parametrize("file", [WEIGHTS, SPEC, CONFIG])
def test_a_damaged_model_is_said(finished, file, tmp_path):
    run, _ = finished
    shutil.copytree(run / "model", tmp_path / "model")
    (tmp_path / "model" / file).write_bytes((run / "model" / file).read_bytes()[:50])
    with pytest.raises(UserError, match=f"{file} is damaged or was changed.*SHA256SUMS"):
        mla_train.load(tmp_path / "model")
    (tmp_path / "model" / "SHA256SUMS").unlink()
    with pytest.raises(UserError, match="cannot be read"):
        mla_train.load(tmp_path / "model")


def test_weights_that_the_network_lacks_are_refused_before_they_are_read(finished, tmp_path):
    run, _ = finished
    shutil.copytree(run / "model", tmp_path / "model", ignore=shutil.ignore_patterns(CHECKSUMS))
    weights = {**load_file(run / "model" / WEIGHTS), "more": torch.tensor([float("nan")])}
    save_file(weights, tmp_path / "model" / WEIGHTS)
    with pytest.raises(UserError, match="more is None by config and spec"):
        mla_train.load(tmp_path / "model")


def test_no_code_is_read_from_a_model(finished):
    run, _ = finished
    assert {path.name for path in (run / "model").iterdir()} == {WEIGHTS, SPEC, CONFIG, CHECKSUMS}
    assert not any(torch.is_tensor(value) for value in json.loads((run / "model" / SPEC).read_text()).values())


def test_weights_can_be_read_by_all_who_read_the_spec(finished):
    run, _ = finished
    assert (run / "model" / WEIGHTS).stat().st_mode == (run / "model" / SPEC).stat().st_mode
