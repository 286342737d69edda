"""One answer of all inputs: poolings, weights of inputs, what is missing, sequences."""

import pytest
import torch
import torch.nn.functional as F

from mla_train.config import Pooling
from mla_train.data.batch import Batch
from mla_train.heads import Classification, ClassSpec
from mla_train.heads.pooled import SequenceContext, build_pooling
from mla_train.modalities.base import Embedding, ModalityFeatures
from mla_train.modalities.features import FeatureTensors
from tests.helpers import SMALL, config, randomize

WORDS = ["task=multimodal_sentiment", *SMALL, "regularization=none"]


class Stub(Embedding):
    def __init__(self, side_dim=0):
        super().__init__()
        self.side_dim = side_dim


def build(*words, inputs=("text", "image"), side=3, sequences=False):
    embeddings = {name: Stub(side * (name == "text")) for name in inputs}
    head = Classification(config(*WORDS, *words), ClassSpec(["a", "b"]), embeddings, sequences)
    return randomize(head).eval()


def features(size=4, inputs=("text", "image"), missing=()):
    """Tokens of each input; the named ones are missing in the first example."""
    torch.manual_seed(0)
    made = {}
    for name in inputs:
        padding = torch.zeros(size, 5, dtype=torch.bool)
        padding[1, 3:] = True
        padding[0] |= name in missing
        side = torch.randn(size, 3) * (~padding.all(1, keepdim=True)) if name == "text" else None
        made[name] = ModalityFeatures(torch.randn(size, 5, 16), padding, side=side)
    return made


def batch(size=4):
    return Batch(torch.arange(size), {}, torch.arange(size) % 2, torch.arange(size))


@pytest.mark.parametrize("kind", list(Pooling))
def test_padding_changes_no_pooled_vector(kind):
    pooling = build_pooling(kind, 16)
    tokens, padding = torch.randn(2, 5, 16), torch.zeros(2, 5, dtype=torch.bool)
    padding[:, 3:] = True
    other = tokens.masked_fill(padding.unsqueeze(-1), 7.0)
    torch.testing.assert_close(pooling(tokens, padding), pooling(other, padding))
    torch.testing.assert_close(pooling(tokens, padding), pooling(tokens[:, :3], None))


def test_one_input_is_a_linear_layer_of_side_and_pooled_tokens():
    head, made = build("task.pooling=mean", inputs=["text"]), features(inputs=["text"])
    pooled = torch.stack([x[~mask].mean(0) for x, mask in zip(made["text"].tokens, made["text"].padding, strict=True)])
    layer = head.layers["text"]
    expected = F.linear(torch.cat([made["text"].side, pooled], -1), layer.weight, layer.bias)
    torch.testing.assert_close(head(made, batch()), expected)
    assert head.bias is None


def test_several_inputs_are_averaged_over_those_that_are_present():
    head, made = build("task.pooling=mean"), features(missing=["text"])
    vectors = {name: head._vector(name, each) for name, each in made.items()}
    scores = {name: head.layers[name](vector) for name, vector in vectors.items()}
    outputs = head(made, batch())
    torch.testing.assert_close(outputs[0], scores["image"][0] + head.bias)
    torch.testing.assert_close(outputs[1:], (scores["text"] + scores["image"])[1:] / 2 + head.bias)


@pytest.mark.parametrize("fusion", ["concat", "weighted"])
def test_weights_are_shares_of_what_is_present(fusion):
    head, made = build(f"task.fusion={fusion}"), features(missing=["image"])
    vectors = {name: head._vector(name, each) for name, each in made.items()}
    weights = head.input_weights(vectors, made)
    torch.testing.assert_close(weights.sum(1), torch.ones(4))
    assert weights[0].tolist() == [1, 0]
    assert (weights[1:] > 0).all()
    alike = torch.tensor([[1.0, 0.0]] + [[0.5, 0.5]] * 3)
    assert torch.allclose(weights, alike) is (fusion == "concat")
    nothing = features(missing=["text", "image"])
    vectors = {name: head._vector(name, each) for name, each in nothing.items()}
    assert head.input_weights(vectors, nothing)[0].tolist() == [0, 0]
    assert torch.isfinite(head(nothing, batch())).all()


def test_a_class_token_is_put_in_front_and_missing_where_its_input_is():
    head, made = build("task.pooling=cls"), features(missing=["text"])
    assert head.prepended == 1
    with_token = head.prepend("text", made["text"])
    assert with_token.tokens.shape == (4, 6, 16)
    assert torch.equal(with_token.tokens[:, 1:], made["text"].tokens)
    assert with_token.padding[:, 0].tolist() == [True, False, False, False]
    placed = ModalityFeatures(made["image"].tokens, None, torch.tensor([[0, 0], [0, 1], [0, 2], [1, 0], [1, 1]]))
    assert head.prepend("image", placed).positions[0].tolist() == [-1, -1]
    assert build("task.pooling=mean").prepended == 0


def test_outputs_begin_at_zero():
    embeddings = {"text": Stub(3), "image": Stub()}
    head = Classification(config(*WORDS), ClassSpec(["a", "b"]), embeddings, True)
    assert not head(features(), batch()).any()


def test_unimodal_losses_count_where_the_input_is_present():
    head = build("task.unimodal_loss_weight=0.25").train()
    outputs, labels = torch.randn(3, 4, 2), torch.arange(4) % 2
    present = {"text": [1, 1, 0, 1], "image": [1, 0, 1, 1]}
    inputs = {n: FeatureTensors(torch.zeros(4, 1, 1), torch.tensor(p).view(4, 1) == 0) for n, p in present.items()}
    total, count = head.loss(outputs, Batch(torch.arange(4), inputs, labels))
    single = sum(
        F.cross_entropy(each, labels, reduction="none") @ torch.tensor(shown, dtype=torch.float)
        for each, shown in zip(outputs[1:], present.values(), strict=True)
    )
    torch.testing.assert_close(total, F.cross_entropy(outputs[0], labels, reduction="sum") + 0.25 * single)
    assert count == 4


def test_examples_of_a_sequence_see_each_other_and_no_others():
    context = randomize(SequenceContext(config(*WORDS), 7, 2)).eval()
    vectors, sequence = torch.randn(6, 7), torch.tensor([0, 0, 0, 1, 1, 2])
    before = context(vectors, sequence)
    changed = vectors.clone()
    changed[1] += 1
    moved = (context(changed, sequence) - before).abs().amax(1) > 1e-6
    assert moved.tolist() == [True, True, True, False, False, False]
    # Each as if it were alone in the batch.
    for number in range(3):
        part = sequence == number
        alone = context(vectors[part], torch.zeros(int(part.sum()), dtype=torch.long))
        torch.testing.assert_close(alone, before[part], rtol=1e-4, atol=1e-5)
