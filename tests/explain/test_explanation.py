"""What people give is read as the data set was, and a explanation of it agrees with the network."""

import json

import numpy as np
import pytest
import torch

from mla_train.data.raw import parse_raw
from mla_train.errors import UserError
from mla_train.explain.explanation import CellUnits, PatchUnits, WordUnits
from mla_train.explain.heatmaps import draw_attention_view
from mla_train.nn import observe
from tests.explain.examples import model, own_data
from tests.helpers import write_reviews
from tests.tasks.forecasting.test_data import table
from tests.tasks.multimodal_sentiment.test_feature_table import arrays

CASES = [
    ("image_classification", ["task.pooling=cls"]),
    ("image_classification", ["task.tokenizer=patch", "task.pooling=mean", "task.positions=learned"]),
    ("image_classification", []),
    ("text_classification", ["task.convolutions=[3]", "data.tokens=char", "attention=gqa"]),
    ("text_classification", ["data.terms=0", "data.tokens=bpe"]),
    ("translation", []),
    ("translation", ["task.model=seq2seq", "data.joint=false"]),
    ("forecasting", []),
    ("forecasting", ["task.channels=mixing", "task.patch=7"]),
    ("forecasting", ["task.residual=false"]),
    ("multimodal_sentiment", []),
    ("multimodal_sentiment", ["task.fusion=bottleneck", "data.modalities=[text]"]),
]


@pytest.mark.parametrize(("name", "words"), CASES, ids=[" ".join([name, *words]) for name, words in CASES])
def test_an_explanation_agrees_with_the_network(name, words, tmp_path):
    data, task = model([*own_data(name, tmp_path), *words])
    raw = task.raw(data, 1)
    explanation = task.explain(raw)
    whole = np.ones((2, len(explanation)))
    with torch.no_grad():
        score = explanation.score(task(explanation.batch))
        torch.testing.assert_close(explanation.score(task(explanation.occlude(whole))), score.expand(2))
        values = [entry.value.repeat(3, *[1] * (entry.value.dim() - 1)) for entry in explanation.gradient_inputs]
        torch.testing.assert_close(
            explanation.score(explanation.outputs(values)), score.expand(3), rtol=1e-4, atol=1e-4
        )
        blank = explanation.occlude(np.zeros((1, len(explanation))))
        assert torch.isfinite(explanation.score(task(blank))).all()
        with observe([layer for view in explanation.attention for layer in view.layers], "weights") as seen:
            task(explanation.batch)
    for entry in explanation.gradient_inputs:
        noise = torch.randn(entry.value.shape)
        if name == "translation":  # the end token belongs to no word
            noise[:, -1] = 0
        if name == "forecasting":  # nor do other series
            noise[:, 1:] = 0
        gathered = entry.gather(noise)
        assert gathered.shape == (len(explanation),)
        assert gathered.sum().item() == pytest.approx(noise.sum().item(), abs=1e-3)
    start = 0
    for view in explanation.attention:
        weights = seen[start].weights[view.call][view.row]
        start += len(view.layers)
        assert weights.shape[-2:] == (len(view.query_units), len(view.key_units))
        assert view.positions is None or len(view.positions) == len(view.key_units)
        merged = view.by_unit(weights)
        assert merged.shape == (weights.size(0), len(view.queries), len(view.keys))
        if (view.key_units >= 0).all():
            torch.testing.assert_close(merged.sum(-1), torch.ones(merged.shape[:2]))
            torch.testing.assert_close(view.received(weights).sum(-1), torch.ones(len(weights)))
        draw_attention_view(view, weights, "title", tmp_path / "look.png")
    assert bool(explanation.attention) == (not {"task.model=seq2seq", "task.residual=false"} & set(words))


@pytest.mark.parametrize("name", ["image_classification", "text_classification", "forecasting", "multimodal_sentiment"])
def test_what_people_give_is_read_as_the_data_set_was(name, tmp_path):
    data, task = model(own_data(name, tmp_path))
    batch = data.collate([data.test[len(data.test) - 1]], training=False)
    index = int(batch.index[0])
    given = dict(task.raw(data, index))
    if name == "image_classification":
        given = {"image": str(tmp_path / "pictures" / data.test.sources[index])}
    if name == "forecasting":
        rows = table()
        rows[: data.borders[2] - data.facts.horizon].to_csv(tmp_path / "b.csv", index=False)
        given = {"series": str(tmp_path / "b.csv")}
    if name == "multimodal_sentiment":
        given["image"] = str(tmp_path / data.test.names[index])
    words = [f"{part}={value}" for part, value in given.items()]
    for way in (words, [json.dumps(given)]):
        read = task.read([parse_raw(way, task.inputs)])
        for part, value in vars(batch).items():
            if part not in ("index", "labels", "future", "real", "sequence"):
                torch.testing.assert_close(vars(read)[part], value)
    with torch.no_grad():
        expected, found = task(batch), task(read)
    torch.testing.assert_close(found, expected)


def test_a_sentence_is_read_as_the_data_set_was(tmp_path):
    data, task = model(own_data("translation", tmp_path))
    batch = data.collate([data.test[0], data.test[2]], training=False)
    pairs = [{"source": data.test.sources[i], "target": data.test.targets[i]} for i in (0, 2)]
    read = task.read(pairs)
    assert torch.equal(read.source, batch.source)
    assert torch.equal(read.target, batch.target)
    explanation = task.explain(pairs[0])
    assert explanation.prediction == pairs[0]["target"]
    assert [view.name for view in explanation.attention] == [
        "source over source",
        "target over source",
        "target over target",
    ]


def test_features_and_numbers(tmp_path):
    np.savez(tmp_path / "a.npz", **arrays(label=np.linspace(-3, 3, 20)))
    data, task = model(
        ["task=multimodal_sentiment", "data=feature_table", f"data.path={tmp_path / 'a.npz'}",
         "data.modalities=[audio,vision]"]
    )  # fmt: skip
    explanation = task.explain(task.raw(data, 0))
    assert explanation.score_name == "the number"
    assert float(explanation.prediction) == pytest.approx(explanation.score(task(explanation.batch)).item(), abs=1e-3)
    left = explanation.occlude(np.array([[0.0, *[1.0] * (len(explanation) - 1)]]))
    assert sum(map(len, explanation.units)) - 1 == sum(int((~mask).sum()) for mask in left.padding.values())
    with pytest.raises(UserError, match="--index"):
        task.read([{"audio": "a.wav"}])


def test_units_are_taken_out_of_the_example(tmp_path):
    data, task = model(own_data("multimodal_sentiment", tmp_path))
    explanation = task.explain(task.raw(data, 0))
    words, cells = explanation.units
    assert isinstance(words, WordUnits)
    assert isinstance(cells, CellUnits)
    kept = np.ones((1, len(explanation)), dtype=bool)
    kept[0, 1], kept[0, len(words) + 2] = False, False
    left = explanation.occlude(kept)
    assert left.inputs["text"].size(1) < explanation.batch.inputs["text"].size(1)
    changed = (left.inputs["image"] != explanation.batch.inputs["image"]).any(1)[0]
    assert changed.any()
    assert (cells.cell[changed] == 2).all()
    data, task = model(own_data("forecasting", tmp_path))
    explanation = task.explain(task.raw(data, 0) | {"column": "price"})
    (patches,) = explanation.units
    assert isinstance(patches, PatchUnits)
    assert patches.edges == [0, 2, 26, 50]
    left = explanation.occlude(np.array([[1.0, 0.0, 1.0]]))
    same = left.past == explanation.batch.past
    assert same[0, 0].all()
    assert (~same[0, 1]).nonzero().flatten().tolist() == list(range(2, 26))


def test_the_word_that_decides_is_found(tmp_path):
    """A model that has learnt to tell reviews by one word hangs on it, whatever method is asked."""
    attribution = pytest.importorskip("mla_train.explain.attribution")
    for package in set(attribution.METHODS.values()):
        pytest.importorskip(package)
    write_reviews(tmp_path / "a.csv")
    data, task = model(
        ["task=text_classification", "data=text_files", f"data.train={tmp_path / 'a.csv'}", "data.tokens=word"]
    )
    batch = data.collate([data.train[i] for i in range(len(data.train))], training=False)
    optimizer = torch.optim.AdamW(task.parameters(), 1e-2)
    for _ in range(30):
        optimizer.zero_grad()
        total, count = task.loss(task(batch), batch)
        (total / count).backward()
        optimizer.step()
    explanation = task.explain({"text": "an awful film , number 7"})
    assert explanation.prediction.startswith("bad")
    for method in attribution.METHODS:
        values = attribution.attribute(method, task, explanation)
        assert explanation.units[0].labels[values.argmax()] == "awful", method


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("image_classification", {}, "there is no image"),
        ("image_classification", {"image": "nowhere.png"}, "there is no such file"),
        ("image_classification", {"image": "a.csv"}, "cannot be read as a picture"),
        ("text_classification", {"text": "  "}, "no token"),
        ("translation", {"source": " "}, "the source is empty"),
        ("translation", {"target": "a"}, "there is no source"),
        ("forecasting", {"series": "short.csv"}, "has 3 rows; this model reads the last 50"),
        ("forecasting", {"series": "other.csv"}, "no column load, price"),
        ("forecasting", {"series": "nowhere.csv"}, "there is no such file"),
        ("forecasting", {"series": "a.csv", "column": "prise"}, "Did you mean price"),
        ("multimodal_sentiment", {"image": "nowhere.png"}, "there is no such file"),
        ("multimodal_sentiment", {}, "nothing of text, image is given"),
    ],
)
def test_what_cannot_be_read_is_said_in_a_line(name, given, message, tmp_path, monkeypatch):
    words = own_data(name, tmp_path)
    (tmp_path / "short.csv").write_text("date,load,price\n2024-01-01,1,2\n2024-01-02,1,2\n2024-01-03,1,2\n")
    (tmp_path / "other.csv").write_text("date,wind\n2024-01-01,1\n2024-01-02,1\n")
    if name == "image_classification":
        (tmp_path / "a.csv").write_text("no picture")
    _, task = model(words)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        task.explain(given)


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
