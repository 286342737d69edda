"""What modalities see of each other, and what a missing one does: nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from mla_train.training.build import build_task
from tasks.multimodal_sentiment.data import FeatureFacts, ImageFacts, MultimodalBatch, MultimodalFacts, TextFacts
from tasks.multimodal_sentiment.fusion import CrossAttention

from mla_train.data.visual_words import learn_words
from tests.helpers import config

SIZES = ["encoder.dim=16", "encoder.num_heads=2", "data=feature_table"]
FUSIONS = ["concat", "weighted", "cross_attention", "bottleneck"]


def facts(sequences=False, classes=("a", "b", "c")):
    return MultimodalFacts(
        ["text", "image", "voice"],
        {"text": TextFacts(30, "{}", 9)},
        {"image": ImageFacts(3, 16, 24, [100.0] * 3, [50.0] * 3)},
        {"voice": FeatureFacts([0.0] * 5, [1.0] * 5)},
        list(classes),
        sequences=sequences,
    )


def batch(seed=0, size=4, sequence=None):
    torch.manual_seed(seed)
    inputs = {
        "text": torch.randint(2, 30, (size, 6)),
        "image": torch.randint(0, 256, (size, 3, 16, 24), dtype=torch.uint8),
        "voice": torch.randn(size, 7, 5),
    }
    padding = {
        "text": torch.zeros(size, 6, dtype=torch.bool),
        "image": torch.zeros(size, 1, dtype=torch.bool),
        "voice": torch.zeros(size, 7, dtype=torch.bool),
    }
    terms = {"text": (torch.randint(0, 9, (2 * size,)), torch.rand(2 * size), torch.arange(0, 2 * size, 2))}
    sequence = torch.arange(size) if sequence is None else torch.tensor(sequence)
    return MultimodalBatch(torch.arange(size), inputs, padding, terms, torch.arange(size) % 3, sequence)


def lacking(whole, name, rows):
    """A batch some of whose examples lack a modality, as `collate` writes it."""
    inputs, padding, terms = dict(whole.inputs), dict(whole.padding), dict(whole.terms)
    inputs[name], padding[name] = inputs[name].clone(), padding[name].clone()
    inputs[name][rows] = 0
    padding[name][rows] = True
    if name in terms:
        numbers, weights, offsets = terms[name]
        of_row = torch.searchsorted(offsets, torch.arange(len(numbers)), right=True) - 1
        kept = ~torch.isin(of_row, torch.tensor(rows))
        offsets = torch.tensor([int((of_row[kept] < row).sum()) for row in range(len(whole))])
        terms[name] = numbers[kept], weights[kept], offsets
    return replace(whole, inputs=inputs, padding=padding, terms=terms)


@pytest.fixture
def build():
    def build(*words, **more):
        torch.manual_seed(0)
        task = build_task(config("task=multimodal_sentiment", *SIZES, *words), facts(**more)).eval()
        images = torch.randint(0, 256, (20, 3, 16, 24), dtype=torch.uint8)
        for visual in task.network.words.values():
            visual.init_from_data(*learn_words(images.numpy(), visual.count, visual.side), images)
        with torch.no_grad():  # heads begin at zero
            for name, parameter in task.named_parameters():
                if "head" in name or "gates" in name:
                    parameter.normal_()
        return task

    return build


@pytest.mark.parametrize("attention", ["mla", "mha", "mqa"])
def test_shared_latents_are_those_of_the_others_read_anew(build, attention):
    """Outputs and gradients of the layer that reads the tokens of all others itself."""
    task = build(f"attention={attention}")
    fusion = task.network.fusion
    assert isinstance(fusion, CrossAttention)
    found = []
    for naive in (False, True):
        torch.manual_seed(1)
        tokens = {n: torch.randn(2, length, 16, requires_grad=True) for n, length in (("a", 3), ("b", 5), ("c", 2))}
        padding = {n: torch.zeros(x.shape[:2], dtype=torch.bool) for n, x in tokens.items()}
        padding["b"][0, 3:] = True
        padding["c"][1] = True
        if naive:
            look, seen = fusion.look, {}
            for name, x in tokens.items():
                others = [other for other in tokens if other != name]
                memory = look.norm(torch.cat([tokens[other] for other in others], 1))
                mask = torch.cat([padding[other] for other in others], 1)
                y = x + look.attention(look.norm(x), memory=memory, key_padding_mask=mask)
                seen[name] = y + look.feed_forward(look.feed_forward_norm(y))
        else:
            seen = fusion(tokens, padding)
        sum((y**2).sum() for y in seen.values()).backward()
        found.append([*seen.values(), *(x.grad for x in tokens.values())])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("name", ["text", "image", "voice"])
def test_what_is_missing_says_nothing_and_is_left_out_alike(build, fusion, name):
    task, whole = build(f"task.fusion={fusion}"), batch()
    without = task(lacking(whole, name, [0, 1, 2, 3]))
    torch.testing.assert_close(task.network.judge(task.network.encode(whole).without([name])), without)
    assert not torch.allclose(task(whole), without)
    # Whatever stands behind the mask.
    hidden = lacking(whole, name, [1])
    other = lacking(batch(seed=5), name, [1])
    hidden.inputs[name][1], other.inputs[name][1] = other.inputs[name][3], hidden.inputs[name][2]
    torch.testing.assert_close(task(hidden)[1], task(lacking(whole, name, [1]))[1])
    # The others of the batch do not notice.
    torch.testing.assert_close(task(hidden)[[0, 2, 3]], task(whole)[[0, 2, 3]])


@pytest.mark.parametrize("off", ["task.visual_words=0", "task.tfidf_dim=0"])
def test_visual_words_can_be_left_out(build, off):
    network, with_words = build(off).network, build().network
    assert not network.words
    assert with_words.words["image"].weight.any()
    assert with_words.encode(batch()).terms["image"].any()
    assert "image" not in network.encode(batch()).terms


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("sequences", [False, True])
def test_an_example_without_anything_is_finite(build, fusion, sequences):
    task, found = build(f"task.fusion={fusion}", sequences=sequences), batch(sequence=[0, 0, 1, 1])
    for name in found.inputs:
        found = lacking(found, name, [0])
    task.train()
    total, _ = task.loss(task(found), found)
    total.backward()
    assert torch.isfinite(total)
    assert all(torch.isfinite(p.grad).all() for p in task.parameters() if p.grad is not None)


@pytest.mark.parametrize("fusion", ["cross_attention", "bottleneck"])
def test_modalities_see_each_other_through_fusion_alone(build, fusion):
    """What the text's own head says depends on the picture, and without fusion it does not."""
    for kind, same in ((fusion, False), ("concat", True)):
        task, one = build(f"task.fusion={kind}"), batch()
        with torch.no_grad():
            for name, head in task.network.heads.items():
                if name != "text":
                    head.weight.zero_()
        other = replace(one, inputs=one.inputs | {"image": batch(seed=3).inputs["image"]})
        assert torch.allclose(task(one), task(other)) is same


@pytest.mark.parametrize("fusion", FUSIONS)
def test_weights_are_shares_of_what_is_there(build, fusion):
    task, found = build(f"task.fusion={fusion}"), lacking(batch(), "image", [2])
    encoded = task.network.encode(found)
    vectors = {"text": torch.randn(4, 80), "image": torch.randn(4, 80), "voice": torch.randn(4, 16)}
    weights = task.network.weights(vectors, encoded.padding)
    torch.testing.assert_close(weights.sum(1), torch.ones(4))
    assert weights[2, 1] == 0
    assert (weights[[0, 1, 3]] > 0).all()
    alike = torch.tensor([[1 / 3] * 3, [1 / 3] * 3, [0.5, 0, 0.5], [1 / 3] * 3])
    assert torch.allclose(weights, alike) is (fusion != "weighted")


def test_examples_of_a_sequence_see_each_other_and_no_others(build):
    task = build(sequences=True)
    whole = batch(size=6, sequence=[0, 0, 0, 1, 1, 2])
    before = task(whole)
    changed = replace(whole, inputs=whole.inputs | {"voice": whole.inputs["voice"].clone()})
    changed.inputs["voice"][1] += 1
    moved = (task(changed) - before).abs().amax(1) > 1e-6
    assert moved.tolist() == [True, True, True, False, False, False]


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("classes", [("a", "b", "c"), ()])
def test_every_fusion_learns(build, fusion, classes):
    task, found = build(f"task.fusion={fusion}", "regularization=none", classes=classes), batch(size=12)
    if not classes:
        found.labels = torch.randn(12)
    for head in task.network.heads.values():  # as a run begins
        torch.nn.init.zeros_(head.weight)
    optimizer = torch.optim.Adam(task.parameters(), 1e-2)
    losses = []
    for _ in range(25):
        total, count = task.train().loss(task(found), found)
        (total / count).backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(total / count))
    assert losses[-1] < 0.3 * losses[0]


def test_ablation_is_the_network_without(build):
    task, found = build(), batch()
    task.ablating = True
    columns = task.predict(task(found), found)
    for name in ("text", "image", "voice"):
        others = [other for other in found.inputs if other != name]
        scores = found
        for other in others:
            scores = lacking(scores, other, [0, 1, 2, 3])
        np.testing.assert_array_equal(columns[f"only {name}"], task(scores).argmax(1).numpy())
        probability = task(lacking(found, name, [0, 1, 2, 3])).softmax(1)
        np.testing.assert_array_equal(columns[f"without {name}"], probability.argmax(1).numpy())
        expected = columns["probability"].max(1) - probability.detach().numpy()[np.arange(4), columns["predicted"]]
        np.testing.assert_allclose(columns[f"support {name}"], expected, atol=1e-6)
