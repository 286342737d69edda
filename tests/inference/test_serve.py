"""The endpoints of a served model: answers, refusals, limits, metrics."""

import asyncio
import base64
import json
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mla_train.errors import UserError
from mla_train.inference.artifact import Artifact
from mla_train.inference.predictor import Predictor
from mla_train.modalities import MODALITIES
from mla_train.modalities.features import Features
from mla_train.model import ModelSpec
from mla_train.task import build_task
from tests.helpers import ROOT, SMALL, config, loaded_by, randomize
from tests.inference.serving import TASKS, as_json, as_raw, png, random_predictor, series_csv, wav

pytest.importorskip("fastapi", reason="the extra serve is not installed")
pytest.importorskip("httpx", reason="the extra dev is not installed")

from fastapi.testclient import TestClient
from starlette.requests import ClientDisconnect

from mla_train.inference.serve.app import create_app
from mla_train.inference.serve.batching import Batcher, ClientGoneError
from mla_train.inference.serve.examples import ExampleReader, input_type, read_window
from mla_train.inference.serve.limits import Limits, RequestError
from mla_train.inference.serve.service import Service

LIMITS = Limits(body_bytes=1_000_000, examples=4, lists=6000, text_characters=500, image_pixels=10_000, series_steps=50)


@pytest.fixture(scope="module", params=TASKS)
def served(request):
    """A task, its model and a client of its server."""
    predictor = random_predictor(request.param)
    results = {"metrics": {"test": {"loss": 1.0, "accuracy": 0.5}}}
    with TestClient(create_app(predictor, results, LIMITS)) as client:
        yield request.param, predictor, client


@pytest.fixture(scope="module")
def text():
    """A text classifier and a client of its server."""
    predictor = random_predictor("text_classification")
    with TestClient(create_app(predictor, {}, LIMITS)) as client:
        yield predictor, client


def error_of(response, status):
    """The one line of an error."""
    assert response.status_code == status, response.text
    content = response.json()
    assert list(content) == ["error"]
    assert "\n" not in content["error"]
    return content["error"]


def test_answers_are_those_of_predict(served, tmp_path):
    task, predictor, client = served
    expected = [predictor.predict([as_raw(task, tmp_path, number)])[0] for number in range(3)]
    assert client.post("/predict", json=as_json(task)).json() == expected[0]
    examples = [as_json(task, number) for number in range(3)]
    records = client.post("/predict", json={"examples": examples}).json()["predictions"]
    assert [list(record) for record in records] == [list(record) for record in expected]
    for record, each in zip(records, expected, strict=True):
        if task == "forecasting":
            assert record["prediction"]["rise"] == pytest.approx(each["prediction"]["rise"], abs=1e-4)
        else:
            assert record["prediction"] == each["prediction"]


def test_many_large_images_in_a_request_are_refused():
    predictor = random_predictor("image_classification")
    reader = ExampleReader(predictor.spec, replace(LIMITS, request_pixels=150))
    body = json.dumps({"examples": [{"image": base64.b64encode(png((10, 10))).decode()}] * 3}).encode()
    answers = reader.read(body).examples
    assert [isinstance(each, dict) for each in answers] == [True, False, False]
    assert "150 pixels (request_pixels)" in str(answers[1])


def test_a_panic_of_a_library_is_an_answer(text, monkeypatch):
    class Panic(BaseException):
        pass

    def fail(_):
        raise Panic("fault")

    predictor, _ = text
    app = create_app(predictor, {}, LIMITS)
    monkeypatch.setattr("mla_train.inference.serve.explanations.Explainer.explain", lambda self, example: fail(example))
    with TestClient(app, raise_server_exceptions=False) as client:
        assert error_of(client.post("/explain", json={"text": "a"}), 500) == "the server failed; its log says why"


def test_one_bad_example_among_many_gets_an_error_in_its_place(served):
    task, _, client = served
    examples = [as_json(task, 0), {"nothing": 1}, as_json(task, 1), dict.fromkeys(as_json(task), 5)]
    records = client.post("/predict", json={"examples": examples}).json()["predictions"]
    assert [list(record) == ["error"] for record in records] == [False, True, False, True]
    assert records[1]["error"].startswith("unknown input nothing: this model reads")
    assert all("\n" not in record["error"] for record in records[1::2])


@pytest.mark.parametrize("served", ["text_classification", "forecasting", "image_classification"], indirect=True)
def test_explanations_name_the_prediction_and_show_figures(served):
    task, _, client = served
    explanation = client.post("/explain", json=as_json(task)).json()
    assert explanation["prediction"]
    assert all(base64.b64decode(figure["png"]).startswith(b"\x89PNG") for figure in explanation["figures"])
    assert any(figure["title"].startswith("attention") for figure in explanation["figures"])
    words = [each["word"] for each in explanation["words"]]
    assert words == (as_json(task)["text"].split() if task == "text_classification" else [])
    assert "not a list" in error_of(client.post("/explain", json={"examples": [as_json(task)]}), 422)


def test_the_model_is_described(served):
    task, predictor, client = served
    description = client.get("/metadata").json()
    assert description["task"] == task
    assert list(description["inputs"]) == list(predictor.spec.inputs)
    assert description["metrics"]["accuracy"] == 0.5
    assert description["limits"]["examples"] == 4
    schema = client.get("/openapi.json").json()
    one, several = schema["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]["anyOf"]
    assert list(one["properties"]) == list(predictor.spec.inputs)
    assert several["properties"]["examples"]["maxItems"] == 4
    assert "prediction" in schema["components"]["schemas"]["Record"]["properties"]
    assert client.get("/health").json() == {"status": "ok"}


def test_the_page_needs_nothing_from_elsewhere_and_is_escaped(served):
    _, predictor, client = served
    page = client.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for name in predictor.spec.inputs:
        assert f'data-name="{name}"' in page.text
    for text in (page.text, client.get("/page.js").text, client.get("/page.css").text):
        assert "://" not in text
        assert "innerHTML" not in text
    predictor.config.data.name, kept = "<b>", predictor.config.data.name
    try:
        assert "<b>" not in TestClient(create_app(predictor, {})).get("/").text
    finally:
        predictor.config.data.name = kept


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "the body is not JSON"),
        (b'{"text": ', 400, "the body is not JSON"),
        (b"\xff\xfe", 400, "the body is not JSON"),
        (b'{"text": [' + b"[]," * 6000 + b"[]]}", 413, "more than 6,000 lists and objects (lists)"),
        (b'{"text": [' + b"{}," * 6000 + b"{}]}", 413, "more than 6,000 lists and objects (lists)"),
        (b"[" * 5000 + b"]" * 5000, 400, "recursion"),
        (b'{"text": ' + b"[" * 150 + b"]" * 150 + b"}", 422, "text: input should be a valid string"),
        (b'{"text": NaN}', 400, "the body is not JSON"),
        (b'{"text": "a", "text": "b"}', 400, "text occurs twice in an object"),
        (b'{"examples": [{"text": "a"}, {"text": "b", "text": "c"}]}', 400, "text occurs twice in an object"),
        (b'{"text": ' + b"9" * 5000 + b"}", 400, "the body is not JSON"),
        (b"[1]", 422, 'write {"text": ...}'),
        (b"{}", 422, "no text: this model reads text"),
        (b'{"text": ""}', 422, "no text"),
        (b'{"text": "  "}', 422, "no text"),
        (b'{"text": null}', 422, "text: input should be a valid string"),
        (b'{"text": {"path": "/etc/passwd"}}', 422, "text: input should be a valid string"),
        (b'{"text": "a", "txt": "b"}', 422, "unknown input txt: this model reads text"),
        (json.dumps(dict.fromkeys(map(str, range(50_000)), 0)).encode(), 422, "unknown input 0, 1, 2, ...: this model"),
        (b'{"examples": []}', 422, "at least one example"),
        (b'{"examples": "a"}', 422, "at least one example"),
        (b'{"examples": [1, 2, 3, 4, 5]}', 413, "5 examples: a request has at most 4"),
        (b'{"text": "' + b"a" * 501 + b'"}', 422, "at most 500 characters"),
        (b'{"text": "' + b"a" * 1_000_000 + b'"}', 413, "body_bytes"),
        (b'{"text": "' + b"a" * 9_000_000 + b'"}', 413, "body_bytes"),
    ],
)
def test_bad_bodies_are_refused_in_a_line(text, body, status, message):
    assert message in error_of(text[1].post("/predict", content=body), status)


def test_a_name_that_occurs_twice_among_many_is_found_at_once(text):
    body = "{" + ",".join(f'"{place}": 1' for place in range(100_000)) + ', "7": 2}'
    start = time.process_time()
    with pytest.raises(RequestError, match="7 occurs twice in an object"):
        ExampleReader(text[0].spec, Limits()).read(body.encode())
    assert time.process_time() - start < 5


@pytest.mark.parametrize("served", ["image_classification"], indirect=True)
def test_images_are_decoded_from_the_request_alone(served):
    client = served[2]
    for value in (str(ROOT / "docs" / "forecasts.png"), "not base64", base64.b64encode(b"no image").decode()):
        assert "send an image file" in error_of(client.post("/predict", json={"image": value}), 422)
    large = base64.b64encode(png((101, 100))).decode()
    assert "10,100 pixels: at most 10,000" in error_of(client.post("/predict", json={"image": large}), 422)
    cut = base64.b64encode(png()[:200]).decode()
    assert "cannot be read as an image" in error_of(client.post("/predict", json={"image": cut}), 422)


@pytest.mark.parametrize("served", ["speech_classification"], indirect=True)
def test_recordings_are_decoded_from_the_request_alone(served):
    client = served[2]
    assert '<audio class="preview" controls hidden>' in client.get("/").text
    assert "send a recording (WAV, FLAC, OGG, MP3) as base64" in error_of(
        client.post("/predict", json={"audio": "not base64"}), 422
    )
    for value in (b"no sound", wav()[:40]):
        sent = {"audio": base64.b64encode(value).decode()}
        assert "the recording cannot be read: it" in error_of(client.post("/predict", json=sent), 422)
    assert len(client.post("/explain", json=as_json("speech_classification")).json()["figures"]) == 2


@pytest.mark.parametrize("served", ["series_classification"], indirect=True)
def test_series_are_checked_as_the_reader_checks_them(served):
    _, predictor, client = served

    def post(content):
        return client.post("/predict", content=content if isinstance(content, bytes) else json.dumps(content).encode())

    series = [[0.5, None], [1, 2], [None, None], [3, 4]]
    expected = predictor.predict([np.array(series, dtype=float)])[0]
    assert post({"series": series}).json() == expected
    assert "finite number" in error_of(post(b'{"series": [[1e999, 0]]}'), 422)
    assert "series[1][0]" in error_of(post({"series": [[1, 2], ["a", 2]]}), 422)
    assert "is not JSON" in error_of(post({"series": [[float("nan"), 0]]}), 400)
    assert "is not JSON" in error_of(post({"series": [[float("inf"), 0]]}), 400)
    assert "no value" in error_of(post({"series": [[None, None]]}), 422)
    assert "no value" in error_of(post({"series": []}), 422)
    assert "3 channels are given: this model reads 2" in error_of(post({"series": [[1, 2, 3]]}), 422)
    assert "this model reads 2" in error_of(post({"series": [[1, 2], [3]]}), 422)
    assert "at most 50 items" in error_of(post({"series": [[1, 2]] * 51}), 422)


@pytest.mark.parametrize("served", ["forecasting"], indirect=True)
def test_tables_are_rows_or_csv_text(served):
    task, _, client = served
    lines = [line.split(",") for line in series_csv().splitlines()]
    rows = [{"date": date, "rise": float(rise), "wave": float(wave)} for date, rise, wave in lines[1:]]
    assert client.post("/predict", json={"series": rows}).json() == client.post("/predict", json=as_json(task)).json()
    assert client.post("/forecast", json=as_json(task)).content.startswith(b"\x89PNG")
    short = error_of(client.post("/predict", json={"series": series_csv(20)}), 422)
    assert short == "the table has 20 rows; this model reads the last 48"
    for value in (
        "/etc/passwd",
        "date,rise\n2024-01-01,a\n",
        "a\x00b,c\n1,2",
        [{"date": "2024-01-01", "rise": 1}],
        [{}],
    ):
        assert "/tmp" not in error_of(client.post("/predict", json={"series": value}), 422)


@pytest.mark.parametrize("served", ["forecasting"], indirect=True)
def test_rows_of_a_table_are_read_in_the_signs_of_the_training_data(served):
    _, predictor, _ = served
    ((_, modality),) = predictor.spec.inputs.items()
    days = [f"2024-01-{1 + hour // 24:02d} {hour % 24:02d}:00" for hour in range(60)]
    rows = [{"date": day, "rise": f"{step % 9},{100 + step}", "wave": 0.5} for step, day in enumerate(days)]
    comma = replace(modality.spec, formats={"rise": [",", "", ""]})
    read = read_window(rows, comma).series.table.frame["rise"]
    assert read.tolist()[:60] == pytest.approx([step % 9 + (100 + step) / 1000 for step in range(60)])
    percents = replace(modality.spec, formats={"wave": [".", "", "%"]})
    with pytest.raises(UserError, match="in the training data they are in %"):
        read_window(rows, percents)


@pytest.mark.parametrize("served", ["forecasting"], indirect=True)
def test_a_table_of_too_many_rows_or_columns_is_not_read(served):
    client = served[2]
    wide = ",".join(["date", "rise", "wave", *map(str, range(1000))])
    for value in ([{f"k{i}": 1} for i in range(90)], wide, [dict.fromkeys(map(str, range(1000)), 1)]):
        assert "columns: send those that the model reads" in error_of(
            client.post("/predict", json={"series": value}), 422
        )
    for value in ([{"rise": 1}] * 1000, "date,rise,wave\n" * 1000):
        assert "1,000 rows: at most" in error_of(client.post("/predict", json={"series": value}), 422)


def test_bodies_that_are_read_at_once_are_bounded(text, monkeypatch):
    monkeypatch.setattr("mla_train.inference.serve.service.MOST_BODIES", 0)
    assert "large requests" in error_of(text[1].post("/predict", json={"text": "a"}), 503)
    monkeypatch.undo()
    assert "prediction" in text[1].post("/predict", json={"text": "a"}).json()


def test_a_client_that_leaves_is_no_fault(text):
    async def stream():
        yield b"{"
        raise ClientDisconnect

    service = Service(text[0], LIMITS)
    request = SimpleNamespace(stream=stream)
    with pytest.raises(RequestError, match="the client left"):
        asyncio.run(service.read(request))
    assert service.held == 0
    service.close()


def test_inputs_of_any_name_and_kind_have_a_form_or_are_refused():
    features = Features(Features.spec_class(mean=[0.0, 0.0], std=[1.0, 1.0]))
    spec = ModelSpec({"model_json": features, "a-b": features}, None, None)
    reader = ExampleReader(spec, LIMITS)
    asked = reader.read(
        b'{"examples": [{"a-b": [1, 2]}, {"model_json": [[1, 2], [3, 4]]}, {"a-b": [1]}, {"a-b": [1e40, 2]}]}'
    )
    one, other, narrow, large = asked.examples
    assert one["a-b"].tolist() == [[1, 2]]
    assert other["model_json"].tolist() == [[1, 2], [3, 4]]
    assert "this model reads 2" in str(narrow)
    assert "no finite number" in str(large)

    class Video(Features):
        kind = "video"

    with pytest.raises(UserError, match="inputs of kind video are not served"):
        input_type(Video(features.spec), LIMITS)
    assert set(MODALITIES) == {"text", "image", "audio", "series", "features", "items"}, (
        "give the new kind a form in input_type"
    )


def test_paths_and_methods_that_are_not_there_are_said(text):
    assert "/openapi.json" in error_of(text[1].get("/nothing"), 404)
    assert "Method Not Allowed" in error_of(text[1].get("/predict"), 405)
    assert text[1].get("/docs").status_code == 404


def test_an_answer_that_is_no_number_is_an_error_in_its_place(text, monkeypatch):
    predictor, client = text
    monkeypatch.setattr(predictor, "predict_batches", lambda *_, **__: iter([{"prediction": float("nan")}]))
    assert "no finite number" in error_of(client.post("/predict", json={"text": "a"}), 422)


def test_a_fault_of_the_server_is_one_line(text, monkeypatch, caplog):
    predictor = text[0]
    client = TestClient(create_app(predictor, {}), raise_server_exceptions=False)
    monkeypatch.setattr(predictor, "predict_batches", lambda *_, **__: 1 / 0)
    assert error_of(client.post("/predict", json={"text": "a"}), 500) == "the server failed; its log says why"
    assert "ZeroDivisionError" in caplog.text


def test_what_takes_too_long_or_is_too_much_is_refused(text, monkeypatch):
    predictor, released = text[0], threading.Event()

    def slow(examples, *_, **__):
        released.wait(10)
        return ({"prediction": "a"} for _ in examples)

    with TestClient(create_app(predictor, {}, replace(LIMITS, seconds=3, queued_examples=2))) as client:
        monkeypatch.setattr(predictor, "predict_batches", slow)
        with ThreadPoolExecutor(12) as pool:  # many, as a busy machine sends them one after the other
            responses = list(pool.map(lambda _: client.post("/predict", json={"text": "a"}), range(12)))
        released.set()
        assert {response.status_code for response in responses} == {503, 504}
        refused = next(response for response in responses if response.status_code == 503)
        assert refused.headers["retry-after"] == "1"
        assert "waiting" in refused.json()["error"]
        late = next(response for response in responses if response.status_code == 504)
        assert late.json()["error"].startswith("no answer within 3 seconds")
        for _ in range(100):  # until those are answered that nobody waits for
            answer = client.post("/predict", json={"text": "a"})
            if answer.status_code != 503:
                break
            time.sleep(0.05)
        assert answer.json() == {"prediction": "a"}


def test_requests_and_batches_are_counted(text):
    client = text[1]
    client.post("/predict", json={"text": "a"})
    client.post("/predict", content=b"")
    client.get("/wp-admin")
    metrics = client.get("/metrics").text
    assert 'requests_total{path="/predict",status="200"}' in metrics
    assert 'requests_total{path="/predict",status="400"}' in metrics
    assert 'requests_total{path="other",status="404"}' in metrics
    assert 'request_seconds_bucket{le="0.1",path="/predict"}' in metrics
    assert "queued_examples 0.0" in metrics
    assert "wp-admin" not in metrics


def test_answers_of_concurrent_requests_belong_to_them(text):
    predictor, client = text
    examples = [{"text": f"good film number {i} {'and book ' * (i % 7)}"} for i in range(120)]
    expected = predictor.predict([example["text"] for example in examples])
    before = client.get("/metrics").text
    with ThreadPoolExecutor(20) as pool:
        records = list(pool.map(lambda example: client.post("/predict", json=example).json(), examples))
    for record, each in zip(records, expected, strict=True):
        assert record["prediction"] == each["prediction"]
        assert record["probability"] == pytest.approx(each["probability"], abs=2e-4)

    def count(metrics):
        return float(metrics.partition("\nbatch_examples_count ")[2].split()[0])

    assert count(client.get("/metrics").text) - count(before) < 100  # batches have formed


def test_the_server_loads_neither_lightning_nor_hydra():
    modules = "mla_train.inference.serve.app, mla_train.commands.serve"
    assert loaded_by(modules, ["lightning", "hydra", "wandb", "datasets"]) == []


def test_a_text_is_continued_piece_by_piece(tmp_path):
    (tmp_path / "corpus.txt").write_text("".join(f"def f{i}(x): return x\n" for i in range(60)))
    words = ["task=causal_lm", "data=text_lines", f"data.train={tmp_path / 'corpus.txt'}", "data.vocab_size=300"]
    settings = config(*SMALL, *words)
    task = build_task(settings)
    data = task.load_data()
    torch.manual_seed(0)
    predictor = Predictor(Artifact(settings, task, randomize(task.build_model(data.spec)).eval()))
    expected = predictor.predict(["def f"])[0]
    with TestClient(create_app(predictor, {}, LIMITS)) as client:
        answer = client.post("/stream", json={"text": "def f"})
        assert answer.headers["content-type"].startswith("text/event-stream")
        *pieces, record = [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line]
        assert record == expected
        assert len(pieces) > 3
        assert "".join(piece["text"] for piece in pieces) == expected["prediction"]
        assert client.post("/predict", json={"text": "def f"}).json() == expected
        error_of(client.post("/stream", json={"text": 3}), 422)
        error_of(client.post("/stream", json={"examples": [{"text": "a"}, {"text": "b"}]}), 422)
    with TestClient(create_app(predictor, {}, replace(LIMITS, seconds=0.05))) as client:
        *_, last = [line for line in client.post("/stream", json={"text": "def f"}).text.split("\n\n") if line]
        assert "error" in last or json.loads(last.removeprefix("data: ")) == expected


def test_a_client_that_has_gone_frees_the_model():
    pieces_read, done = [], threading.Event()

    def model(examples, tell=None):
        try:
            for number in range(1000):
                tell(str(number))
        finally:
            done.set()

    def tell(piece):
        pieces_read.append(piece)
        if len(pieces_read) == 3:
            raise ClientGoneError

    batcher = Batcher(model, capacity=10)
    with pytest.raises(ClientGoneError):
        batcher.submit([1], tell).result(10)
    assert done.wait(10)
    assert pieces_read == ["0", "1", "2"]
    assert batcher.alive
    batcher.close()


def test_a_client_that_is_slower_than_the_time_of_an_answer_is_told_so():
    service = Service.__new__(Service)
    service.limits = replace(LIMITS, seconds=0.05)

    def submit(examples, on_piece):
        on_piece("a")
        return Future()

    service.batcher = SimpleNamespace(submit=submit)

    async def take():
        parts = []
        async for part in service.write({"text": "a"}):
            parts.append(part)
            await asyncio.sleep(0.1)
        return parts

    first, last = asyncio.run(take())
    assert first == {"text": "a"}
    assert last["error"].startswith("no end of the answer within 0.05 seconds")
