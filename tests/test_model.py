"""One network of any inputs and any answer: who sees whom, what is missing, what can be left out."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from mla_train.ablation import ablate, ablation_metrics, draw_ablation
from mla_train.errors import UserError
from mla_train.heads import HEADS
from mla_train.modalities import MODALITIES, Features, Image, Text
from mla_train.model import Model, only, without
from mla_train.stored_spec import read_spec
from tests.helpers import SMALL, batch_of, build, config, made_data, randomize

FUSIONS = ["concat", "weighted", "cross_attention", "bottleneck"]
KINDS = {"text": Text, "image": Image, "voice": Features}
STILL = "regularization.augmentation=none"  # so that an example is the same each time
WORDS = ["task=multimodal_sentiment", *SMALL, "encoder.depth=1", "task.visual_words=8", "task.tfidf_dim=8", STILL]


def network(*words, kinds=KINDS, **made):
    """A random network of three inputs, and its data."""
    settings = config(*WORDS, *words)
    torch.manual_seed(0)
    data = made_data(settings, kinds, **made)
    data.train.modality_dropout = 0.0
    return randomize(Model(settings, data.spec)).eval(), data


def lacking(data, name, rows, size=4):
    """A batch of the first training examples, some of which lack an input."""
    items = []
    for place in range(size):
        (example,) = data.train[place]
        inputs = example.inputs | ({name: None} if place in rows else {})
        items.append([replace(example, inputs=inputs)])
    return data.collate(items, training=False)


# Padding and company.


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["task.convolutions=[2,3]"],
        ["task.pooling=mean"],
        ["task.pooling=cls"],
        ["encoder.latent=array", "encoder.latents=4"],
        ["encoder.block=conv_attention"],
        ["attention=mha"],
        ["attention.pattern=window", "attention.window=2"],
        ["task.use_encoder=false"],
        ["encoder.latent=variational"],
    ],
    ids=" ".join,
)
def test_padding_and_company_change_no_score(words):
    module, data = build("task=text_classification", *SMALL, STILL, *words)
    model = randomize(module.model).eval()
    together = model(batch_of(data, "train", 6))
    alone = torch.cat([model(data.collate([data.train[place]], training=False)) for place in range(6)])
    assert len(set(data.train.columns["text"].lengths()[:6])) > 1
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    batch = batch_of(data, "train", 2)
    text = batch.inputs["text"]
    longer = replace(
        text,
        tokens=torch.nn.functional.pad(text.tokens, (0, 9)),
        padding=torch.nn.functional.pad(text.padding, (0, 9), value=True),
    )
    torch.testing.assert_close(model(replace(batch, inputs={"text": longer})), model(batch), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_company_changes_no_score_of_several_inputs(fusion):
    model, data = network(f"task.fusion={fusion}")
    together = model(batch_of(data, "train", 6))
    alone = torch.cat([model(data.collate([data.train[place]], training=False)) for place in range(6)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


# What is missing.


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("name", list(KINDS))
def test_what_is_missing_says_nothing_and_is_left_out_alike(fusion, name):
    model, data = network(f"task.fusion={fusion}")
    whole = batch_of(data)
    lost = model(lacking(data, name, [0, 1, 2, 3]))
    features = model.encode(whole)
    torch.testing.assert_close(model.decode(without(features, [name]), whole), lost, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(model(whole), lost)
    # Whatever stands behind the mask, and whoever stands beside it.
    hidden = lacking(data, name, [1])
    before = model(hidden)
    tensors = hidden.inputs[name]
    for key in {"tokens", "images", "values"} & vars(tensors).keys():
        getattr(tensors, key)[1] = getattr(tensors, key)[2]
    torch.testing.assert_close(model(hidden), before, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(before[[0, 2, 3]], model(whole)[[0, 2, 3]], rtol=1e-4, atol=1e-5)
    others = [other for other in KINDS if other != name]
    torch.testing.assert_close(
        model.decode(only(features, name), whole), model.decode(without(features, others), whole)
    )


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("pooling", ["mean", "cls", "attention"])
def test_an_example_without_anything_is_finite(fusion, pooling):
    model, data = network(f"task.fusion={fusion}", f"task.pooling={pooling}")
    items = [
        [replace(example, inputs=dict.fromkeys(KINDS)) if not i else example]
        for i in range(4)
        for example in data.train[i]
    ]
    batch = data.collate(items, training=False)
    total, _ = model.train().head.loss(model(batch), batch)
    total.backward()
    assert torch.isfinite(total)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


# Who sees whom.


@pytest.mark.parametrize("fusion", ["cross_attention", "bottleneck"])
def test_inputs_see_each_other_through_fusion_alone(fusion):
    """What the text's own layer says depends on the image, and without fusion it does not."""
    for kind, same in ((fusion, False), ("concat", True)):
        model, data = network(f"task.fusion={kind}")
        with torch.no_grad():
            for name, layer in model.head.layers.items():
                if name != "text":
                    layer.weight.zero_()
        batch = batch_of(data)
        other = replace(batch, inputs=batch.inputs | {"image": batch_of(data, "test").inputs["image"]})
        assert torch.allclose(model(batch), model(other)) is same


def test_examples_of_a_sequence_see_each_other_and_no_others():
    sequence = np.repeat(np.arange(16), [3, 2, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2])
    model, data = network(kinds={"voice": Features}, sequence=sequence)
    assert model.head.context is not None
    batch = batch_of(data, "train", 3)
    before = model(batch)
    values = batch.inputs["voice"].values.clone()
    values[1] += 1
    changed = replace(batch, inputs={"voice": replace(batch.inputs["voice"], values=values)})
    moved = (model(changed) - before).abs().amax(1) > 1e-6
    assert moved.tolist() == (batch.sequence == batch.sequence[1]).tolist()
    assert not moved.all()


@pytest.mark.parametrize(
    ("fusion", "head"),
    [
        *((fusion, "classification") for fusion in FUSIONS),
        ("cross_attention", "regression"),
        ("weighted", "multilabel"),
    ],
)
def test_every_fusion_and_every_answer_learns(fusion, head):
    targets = {
        "classification": ["a", "b", "c", "a"] * 8,
        "regression": [0.5, -1.0, 2.0, 0.1] * 8,
        "multilabel": [["a"], ["b"], ["a", "b"], []] * 8,
    }[head]
    settings = config(*WORDS, f"task.fusion={fusion}", "regularization=none", "task.modality_dropout=0")
    torch.manual_seed(0)
    data = made_data(settings, KINDS, targets, head=head)
    model, batch = Model(settings, data.spec), batch_of(data, count=12)
    optimizer, losses = torch.optim.Adam(model.parameters(), 1e-2), []
    for _ in range(30):
        total, count = model.head.loss(model(batch), batch)
        (total / count).backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(total / count))
    assert losses[-1] < 0.35 * losses[0]


def test_training_answers_by_each_input_alone_too():
    model, data = network("regularization=none")
    batch = batch_of(data)
    evaluated = model(batch)
    outputs = model.train()(batch)
    assert outputs.shape == (4, 4, 2)
    torch.testing.assert_close(outputs[0], evaluated)
    features = model.encode(batch)
    for place, name in enumerate(KINDS, 1):
        torch.testing.assert_close(outputs[place], model.decode(only(features, name), batch))
    silent, _ = network("task.unimodal_loss_weight=0")
    assert silent.train()(batch).shape == (4, 2)


# What can be left out.


@pytest.mark.parametrize("task", ["text_classification", "image_classification", "multimodal_sentiment"])
def test_the_encoder_or_the_side_paths_can_be_left_out(task):
    words = [f"task={task}", *SMALL, *(["task.visual_words=8"] if "text" not in task else [])]
    sizes = {}
    for more in ([], ["task.side_paths=false"], ["task.use_encoder=false"]):
        module, data = build(*words, *more)
        sizes[tuple(more)] = size = module.model.count_parameters()
        assert size["parameters"] == sum(p.numel() for p in module.model.parameters())
        assert size["parameters"] == sum(value for name, value in size.items() if name != "parameters")
        assert (size["encoder"] > 0) is ("task.use_encoder=false" not in more)
        assert (size["side_paths"] > 0) is ("task.side_paths=false" not in more)
        batch = batch_of(data)
        total, _ = module.model.head.loss(module.model(batch), batch)
        total.backward()
        assert torch.isfinite(total)
    assert sizes[()]["encoder"] == sizes[("task.side_paths=false",)]["encoder"]
    assert sizes[()]["side_paths"] == sizes[("task.use_encoder=false",)]["side_paths"]
    with pytest.raises(UserError, match=r"task\.use_encoder=false and task\.side_paths=false"):
        config(*words, "task.use_encoder=false", "task.side_paths=false")


def test_an_input_without_side_path_needs_the_encoder():
    with pytest.raises(UserError, match=r"reads image: .*task\.visual_words=128"):
        build(*SMALL, "task.use_encoder=false", "task.flatten_dim=0")
    with pytest.raises(UserError, match="reads voice"):
        network("task.use_encoder=false")


def test_visual_words_are_learned_when_a_training_begins():
    module, data = build(*WORDS)
    words = module.model.embeddings["image"].side_paths["visual_words"]
    before = words(batch_of(data).inputs["image"].images).clone()
    assert module.task.init_from_data(module.model, data) == "linear"
    assert not torch.allclose(words(batch_of(data).inputs["image"].images), before)


def test_sizes_that_do_not_fit_are_said():
    with pytest.raises(UserError, match="these sizes do not make a network"):
        build(*SMALL, "task.downsample_log2=5")


# Specs.


@pytest.mark.parametrize("head", ["classification", "multilabel", "regression"])
def test_a_spec_survives_as_json(head):
    targets = {"multilabel": [["a"], ["b"]] * 16, "regression": [0.5, 1.5] * 16}.get(head)
    model, data = network(targets=targets, head=head)
    stored = json.loads(json.dumps(model.spec.to_dict()))
    assert read_spec(stored, MODALITIES, HEADS, "spec.json").to_dict() == model.spec.to_dict()
    again = Model(model.config, read_spec(stored, MODALITIES, HEADS, "spec.json")).eval()
    again.load_state_dict(model.state_dict())
    batch = batch_of(data)
    assert torch.equal(again(batch), model(batch))
    for name, column in model.predict(batch).items():
        np.testing.assert_array_equal(again.predict(batch)[name], column)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("head", "temperature"), 10**300, "which is no float"),
        (("head", "temperature"), float("inf"), "which is no float"),
        (("head", "counts"), [1, 2, 3], "head.counts must be as long as classes: 2 values"),
        (("inputs", "series", "covariate_std"), [1.0], "covariate_std must be as long as known and observed: 0 values"),
        (("inputs", "series", "mean"), [], "mean must be as long as names"),
    ],
)
def test_values_of_a_stored_spec_fit_each_other(path, value, message):
    data = made_data(config("task=series_classification", *SMALL), {"series": MODALITIES["series"]})
    stored = json.loads(json.dumps(data.spec.to_dict()))
    node = stored
    for name in path[:-1]:
        node = node[name]
    node[path[-1]] = value
    with pytest.raises(UserError, match=message):
        read_spec(stored, MODALITIES, HEADS, "spec.json")


# Ablation.


def test_ablation_is_the_network_without(tmp_path):
    model, data = network()
    batch = batch_of(data)
    with torch.no_grad():
        predictions = model.predict(batch) | model.head.labels(batch)
        columns = ablate(model, model.encode(batch), batch, predictions)
        for name in KINDS:
            lost = model(lacking(data, name, [0, 1, 2, 3])).softmax(1).numpy()
            np.testing.assert_array_equal(columns[f"without {name}"], lost.argmax(1))
            expected = predictions["probability"].max(1) - lost[np.arange(4), predictions["predicted"]]
            np.testing.assert_allclose(columns[f"contribution {name}"], expected, atol=1e-5)
            features = model.encode(batch)
            alone = model.decode(only(features, name), batch).argmax(1)
            np.testing.assert_array_equal(columns[f"only {name}"], alone.numpy())
    metrics = ablation_metrics(model.head, predictions | columns, list(KINDS))
    assert list(metrics) == [f"{key} {name}" for name in KINDS for key in ("only", "without")]
    assert metrics["only text"]["accuracy"] == np.mean(columns["only text"] == predictions["label"])
    draw_ablation(model.head, predictions | columns, list(KINDS), tmp_path / "ablation.png")
    assert (tmp_path / "ablation.png").stat().st_size > 1000


@pytest.mark.parametrize("head", ["regression", "multilabel"])
def test_ablation_of_other_answers(head):
    targets = {"multilabel": [["a"], ["b"]] * 16, "regression": [0.5, 1.5] * 16}[head]
    model, data = network(targets=targets, head=head)
    batch = batch_of(data)
    with torch.no_grad():
        predictions = model.predict(batch) | model.head.labels(batch)
        columns = ablate(model, model.encode(batch), batch, predictions)
    if head == "regression":
        difference = predictions["predicted"] - columns["without text"]
        np.testing.assert_allclose(columns["contribution text"], difference)
    else:
        assert "contribution text" not in columns
    assert (
        ablation_metrics(model.head, predictions | columns, list(KINDS))["only text"].keys()
        == model.head.directions.keys()
    )


def test_tokens_and_cache_are_counted():
    model, data = network()
    batch = batch_of(data)
    steps = sum(len(data.train[place][0].inputs["voice"]) for place in range(4))
    words = data.train.columns["text"].lengths()[:4].sum()
    assert model.count_tokens(batch) == words + steps + 4 * len(model.embeddings["image"].positions)
    single, _ = build("task=text_classification", *SMALL)
    depth, latent = single.config.encoder.depth, single.model.encoder.blocks[0].attention.cache_width
    assert single.model.cache_width == depth * latent
