"""Statistics of heads are exact where the answer is known."""

import pytest
import torch

from mla_train.config import AttentionKind
from mla_train.nn import Encoder, grid_positions, observe
from mla_train.nn.attention.observation import POINTS
from mla_train.nn.head_statistics import distance, effective_rank, entropy, head_statistics, redundancy
from tests.helpers import SMALL, config


def test_entropy_is_relative_to_the_keys_that_may_be_seen():
    even, single = torch.full((1, 5, 8), 1 / 8), torch.eye(8)[None]
    assert entropy(torch.cat([even, single[:, :5]])).tolist() == pytest.approx([1, 0])
    causal = torch.ones(6, 6).tril()
    assert entropy((causal / causal.sum(-1, keepdim=True))[None]).item() == pytest.approx(1)
    two = torch.tensor([[[0.5, 0.5, 0.0, 0.0]]])
    assert entropy(two).item() == pytest.approx(1)
    assert entropy(torch.tensor([[[0.25, 0.75]]])).item() == pytest.approx(0.811278, abs=1e-6)


def test_distance_is_counted_in_steps_and_in_cells():
    places = torch.arange(4).unsqueeze(1)
    back = torch.eye(4).roll(1, 0)
    assert distance(torch.stack([torch.eye(4), back]), places).tolist() == pytest.approx([0, (3 + 1 + 1 + 1) / 4])
    cells = grid_positions(2, 2)
    assert distance(torch.full((1, 4, 4), 0.25), cells).item() == pytest.approx((2 + 2**0.5) / 4)
    outside = torch.cat([torch.full((1, 2), torch.nan), cells])
    weights = torch.full((1, 5, 5), 0.2)
    assert distance(weights, outside).item() == pytest.approx((2 + 2**0.5) / 4)


def test_redundancy_is_the_cosine_of_heads():
    first, second = torch.randn(7, 3), torch.randn(7, 3)
    heads = torch.stack([first, -2 * first, second], 1)
    found = redundancy(heads)
    assert found[0, 1].item() == pytest.approx(1)
    expected = torch.cosine_similarity(first, second, dim=-1).abs().mean().item()
    assert found[0, 2].item() == pytest.approx(expected) == found[2, 1].item()


def test_effective_rank_is_the_rank_of_what_is_orthonormal():
    directions = torch.linalg.qr(torch.randn(12, 5)).Q
    assert effective_rank(directions) == pytest.approx(5, rel=1e-4)
    assert effective_rank(torch.outer(torch.randn(9), torch.randn(4))) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("kind", list(AttentionKind))
def test_statistics_of_an_observed_layer(kind):
    choice = config(*SMALL, f"attention={kind.value}")
    torch.manual_seed(0)
    encoder = Encoder(choice.encoder, choice.attention, choice.regularization).eval()
    x = torch.randn(2, 9, choice.encoder.dim)
    layers = [block.attention for block in encoder.blocks]
    with torch.no_grad():
        expected = encoder(x)
        with observe(layers, *POINTS) as records:
            assert torch.equal(encoder(x), expected)
    statistics = head_statistics(records[0], torch.arange(9).unsqueeze(1), row=1)
    assert len(statistics.entropy) == len(statistics.distance) == len(statistics.redundancy) == choice.encoder.num_heads
    if kind is AttentionKind.mla:
        assert statistics.effective_rank == pytest.approx(effective_rank(records[0].calls[0].latent[1]), rel=1e-4)
        assert statistics.kv_lora_rank == layers[0].kv_lora_rank
    else:
        assert statistics.effective_rank is None
    assert head_statistics(records[0], None).distance is None
