"""Raw examples are read as the data was, and their explanation agrees with the network."""

import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from mla_train.config import SeriesNetworkOptions
from mla_train.dataset import raw_batch
from mla_train.errors import UserError
from mla_train.explain.attention_view import AttentionView
from mla_train.explain.explanation import explain_example
from mla_train.explain.heatmaps import draw_attention_view
from mla_train.explain.raw_example import parse_raw
from mla_train.heads import Classification, Regression
from mla_train.modalities import Audio, Features, Image, Series, Text
from mla_train.modalities.explanation import CellUnits, PatchUnits, WordUnits
from mla_train.model import Model
from mla_train.nn import observe
from tasks.multimodal_sentiment.config import MultimodalSentimentConfig
from tests.explain.examples import own_data, table, trained
from tests.helpers import SMALL, config, made_data, randomize, write_reviews

CASES = [
    ("image_classification", ["task.pooling=cls"]),
    ("image_classification", ["task.tokenizer=patch", "task.pooling=mean", "task.positions=learned"]),
    ("image_classification", []),
    ("text_classification", ["task.convolutions=[3]", "data.tokens=char", "attention=gqa"]),
    ("text_classification", ["data.tfidf_features=0", "data.tokens=bpe"]),
    ("translation", []),
    ("translation", ["task.model=seq2seq", "data.joint=false"]),
    ("image_captioning", []),
    ("image_captioning", ["task.model=seq2seq", "task.decoder.depth=null"]),
    ("summarization", []),
    ("forecasting", []),
    ("forecasting", ["task.channels=mixing", "task.patch=7"]),
    ("forecasting", ["task.use_encoder=false"]),
    ("multimodal_sentiment", []),
    ("multimodal_sentiment", ["task.fusion=cross_attention", "task.pooling=cls"]),
    ("multimodal_sentiment", ["task.fusion=bottleneck", "data.modalities=[text]"]),
    ("series_classification", []),
    ("speech_classification", ["task.pooling=cls"]),
    ("speech_classification", []),
]


@pytest.mark.parametrize(("name", "words"), CASES, ids=[" ".join([name, *words]) for name, words in CASES])
def test_an_explanation_agrees_with_the_network(name, words, tmp_path):
    task, data, model = trained([*own_data(name, tmp_path), *words])
    explanation = task.explain(model, data.test.raw(1))
    check_agreement(model, explanation, tmp_path)
    assert bool(explanation.attention) == (not {"task.model=seq2seq", "task.use_encoder=false"} & set(words))


KINDS = {"text": Text, "image": Image, "audio": Audio, "features": Features, "series": Series}


@dataclass
class AnyInputs(MultimodalSentimentConfig, SeriesNetworkOptions):
    """Options of the networks of all kinds of inputs."""


@pytest.mark.parametrize("fusion", ["cross_attention", "bottleneck"])
@pytest.mark.parametrize(
    "pair", [("text", "series"), ("image", "features"), ("audio", "text"), ("text", "image", "features", "series")]
)
def test_any_inputs_are_explained(pair, fusion, tmp_path):
    settings = config(*SMALL, "task=multimodal_sentiment", f"task.fusion={fusion}")
    settings = replace(settings, task=AnyInputs(**vars(settings.task)))
    data = made_data(settings, {kind: KINDS[kind] for kind in pair})
    model = randomize(Model(settings, data.spec).eval())
    check_agreement(model, explain_example(model, data.test.raw(0)), tmp_path)


def check_agreement(model, explanation, folder):
    """Occlusion of nothing, gradient inputs as they are, and attention by units give what the network gives."""
    score, whole = explanation.score, np.ones((2, len(explanation)))
    with torch.no_grad():
        expected = score(model(explanation.batch))
        torch.testing.assert_close(score(model(explanation.occlude(whole))), expected.expand(2), rtol=1e-4, atol=1e-4)
        values = [entry.value.repeat(3, *[1] * (entry.value.dim() - 1)) for entry in explanation.gradient_inputs]
        torch.testing.assert_close(score(explanation.outputs(values)), expected.expand(3), rtol=1e-4, atol=1e-4)
        blank = explanation.occlude(np.zeros((1, len(explanation))))
        assert torch.isfinite(score(model(blank))).all()
        with observe([layer for view in explanation.attention for layer in view.layers], "weights") as records:
            model(explanation.batch)
    gathered = [entry.gather(torch.ones_like(entry.value)) for entry in explanation.gradient_inputs]
    assert all(shares.shape == (len(explanation),) for shares in gathered)
    assert (torch.stack(gathered).sum(0) > 0).all()  # every unit has a part in some gradient
    start = 0
    for view in explanation.attention:
        weights = records[start].weights[view.call][view.row]
        start += len(view.layers)
        assert weights.shape[-2:] == (len(view.query_units), len(view.key_units))
        assert view.positions is None or len(view.positions) == len(view.key_units)
        merged = view.by_unit(weights)
        assert merged.shape == (weights.size(0), len(view.queries), len(view.keys))
        if (view.key_units >= 0).all():
            torch.testing.assert_close(merged.sum(-1), torch.ones(merged.shape[:2]))
            torch.testing.assert_close(view.received(weights).sum(-1), torch.ones(len(weights)))
        draw_attention_view(view, weights, "title", folder / "view.png")


@pytest.mark.parametrize("name", ["image_classification", "text_classification", "forecasting", "multimodal_sentiment"])
def test_a_raw_example_is_read_as_the_data_was(name, tmp_path):
    _, data, model = trained(own_data(name, tmp_path))
    last = len(data.test) - 1
    batch = data.collate([data.test[last]], training=False)
    raw = data.test.raw(last)
    if name == "image_classification":
        raw = {"image": str(tmp_path / "pictures" / data.test.names[last])}
    if name == "forecasting":
        column = data.test.columns["series"]
        table()[: column[last].now].to_csv(tmp_path / "b.csv", index=False)
        raw = {"series": str(tmp_path / "b.csv")}
    if name == "multimodal_sentiment":
        raw["image"] = str(tmp_path / re.search(r"\((.*)\)$", data.test.names[last])[1])
    copy = raw_batch(model.spec, [raw])
    with torch.no_grad():
        expected, found = (model.decode(model.encode(each), each) for each in (batch, copy))
    torch.testing.assert_close(found, expected)


def test_a_given_translation_is_explained(tmp_path):
    task, data, model = trained(own_data("translation", tmp_path))
    raw = {"source": data.test.raw(0)["source"], "target": "eins zwei"}
    explanation = task.explain(model, raw)
    assert explanation.prediction == "eins zwei"
    names = [view.name for view in explanation.attention]
    assert names == ["source over source", "target over source", "target over target"]


def test_words_behind_those_that_are_read_are_not_drawn():
    words, tokens = WordUnits([f"w{place}" for place in range(30_000)]), torch.tensor([0, 0, 2, -1])
    few = AttentionView("text", [], WordUnits(["w0", "w1", "w2"]), WordUnits(["w0", "w1", "w2"]), tokens, tokens)
    weights = torch.rand(2, 4, 4)
    read = AttentionView("text", [], words, words, tokens, tokens).of_read_words()
    assert read.queries.labels == read.keys.labels == ["w0", "w2"]
    assert torch.equal(read.by_unit(weights), few.by_unit(weights)[:, [0, 2]][..., [0, 2]])


def test_features_and_numbers(tmp_path):
    settings = config(*SMALL, "task=multimodal_sentiment")
    kinds = {"audio": Features, "vision": Features}
    data = made_data(settings, kinds, targets=np.linspace(-3, 3, 32).tolist(), head="regression")
    model = randomize(Model(settings, data.spec).eval())
    assert isinstance(model.head, Regression)
    explanation = explain_example(model, data.test.raw(0))
    score = explanation.score(model(explanation.batch)).item()
    assert float(explanation.prediction) == pytest.approx(score, abs=1e-3)
    occluded = explanation.occlude(np.array([[0.0, *[1.0] * (len(explanation) - 1)]]))
    steps = sum(int((~tensors.padding).sum()) for tensors in occluded.inputs.values())
    assert steps == len(explanation) - 1


def test_units_are_occluded_alone(tmp_path):
    task, data, model = trained(own_data("multimodal_sentiment", tmp_path))
    assert isinstance(model.head, Classification)
    explanation = task.explain(model, data.test.raw(0))
    words, cells = explanation.units
    assert isinstance(words, WordUnits)
    assert isinstance(cells, CellUnits)
    kept = np.ones((1, len(explanation)), dtype=bool)
    kept[0, 1], kept[0, len(words) + 2] = False, False
    whole, occluded = explanation.batch.inputs, explanation.occlude(kept).inputs
    assert occluded["text"].tokens.size(1) < whole["text"].tokens.size(1)
    changed = (occluded["image"].images != whole["image"].images).any(1)[0]
    assert changed.any()
    assert (cells.cell[changed] == 2).all()


def test_a_column_of_a_table_is_chosen(tmp_path):
    task, data, model = trained(own_data("forecasting", tmp_path))
    explanation = task.explain(model, data.test.raw(0) | {"column": "price"})
    (patches,) = explanation.units
    assert isinstance(patches, PatchUnits)
    assert patches.name == "price"
    assert patches.edges == [0, 2, 26, 50]
    past = explanation.batch.inputs["series"].past
    same = explanation.occlude(np.array([[1.0, 0.0, 1.0]])).inputs["series"].past == past
    assert same[0, 0].all()
    assert (~same[0, 1]).nonzero().flatten().tolist() == list(range(2, 26))
    with torch.no_grad():
        forecast = model(explanation.batch)[0][0, 1].numpy() * data.spec.target.std[1] + data.spec.target.mean[1]
    np.testing.assert_allclose(patches.values[50:], forecast, rtol=1e-5)
    assert task.explain(model, data.test.raw(0)).units[0].name == "load"


def test_the_word_that_decides_is_found(tmp_path):
    """All methods give the greatest value to the one word by which a model has learned to tell reviews."""
    attribution = pytest.importorskip("mla_train.explain.attribution")
    for package in set(attribution.METHODS.values()):
        pytest.importorskip(package)
    write_reviews(tmp_path / "a.csv")
    task, data, model = trained(
        ["task=text_classification", "data=text_files", f"data.train={tmp_path / 'a.csv'}", "data.tokens=word"]
    )
    batch = data.collate([data.train[i] for i in range(len(data.train))], training=False)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    for _ in range(30):
        optimizer.zero_grad()
        total, count = model.head.loss(model(batch), batch)
        (total / count).backward()
        optimizer.step()
    explanation = task.explain(model, {"text": "an awful film , number 7"})
    assert explanation.prediction.startswith("bad")
    for method in attribution.METHODS:
        values = attribution.attribute(method, model, explanation)
        assert explanation.units[0].labels[values.argmax()] == "awful", method


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("image_classification", {}, "image"),
        ("image_classification", {"image": "nowhere.png"}, "nowhere.png"),
        ("image_classification", {"image": "a.csv"}, "a.csv"),
        ("text_classification", {"text": "  "}, "has no text"),
        ("translation", {"source": " "}, "source"),
        ("translation", {"target": "a"}, "source"),
        ("forecasting", {"series": "short.csv"}, "has 3 rows; this model reads the last 50"),
        ("forecasting", {"series": "other.csv"}, "no column load, price"),
        ("forecasting", {"series": "nowhere.csv"}, "nowhere.csv"),
        ("forecasting", {"series": "a.csv", "column": "prise"}, "Did you mean price"),
        ("multimodal_sentiment", {"image": "nowhere.png"}, "nowhere.png"),
        ("multimodal_sentiment", {}, "no text or image"),
    ],
)
def test_an_unreadable_example_is_named(name, given, message, tmp_path, monkeypatch):
    words = own_data(name, tmp_path)
    (tmp_path / "short.csv").write_text("date,load,price\n2024-01-01,1,2\n2024-01-02,1,2\n2024-01-03,1,2\n")
    (tmp_path / "other.csv").write_text("date,wind\n2024-01-01,1\n2024-01-02,1\n")
    if name == "image_classification":
        (tmp_path / "a.csv").write_text("no picture")
    task, _, model = trained(words)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        task.explain(model, given)


def test_parts_of_an_example_on_the_command_line():
    names = ["text", "image"]
    assert parse_raw(["it is a=b"], names) == {"text": "it is a=b"}
    assert parse_raw(["image=a.png", "text=x = y"], names) == {"image": "a.png", "text": "x = y"}
    assert parse_raw(['{"text": "so", "image": "a.png"}'], names) == {"text": "so", "image": "a.png"}
    assert parse_raw(["{is this a brace?"], names) == {"text": "{is this a brace?"}
    with pytest.raises(UserError, match="text is given twice"):
        parse_raw(["one", "text=two"], names)
    with pytest.raises(UserError, match="no input sound; this model reads text, image"):
        parse_raw(['{"sound": "a.wav"}'], names)
