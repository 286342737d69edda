"""Observation points hold what the layer really computed, and nothing is left behind."""

import pytest
import torch

from mla_train.config import AttentionConfig, AttentionKind
from mla_train.nn import RotaryEmbedding, build_attention, observe


def layer(kind, dropout=0.0):
    torch.manual_seed(0)
    return build_attention(AttentionConfig(kind), 32, 4, 1, dropout).eval()


@pytest.mark.parametrize("kind", list(AttentionKind))
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("grad", [False, True])
def test_weights_times_values_are_the_heads_and_the_output(kind, is_causal, masked, grad):
    model = layer(kind)
    x = torch.randn(2, 6, 32)
    mask = torch.zeros(2, 6, dtype=torch.bool)
    mask[1, 4:] = True
    mask = mask if masked else None
    rotation = RotaryEmbedding(model.rope_dim, 1, 10000.0)(torch.arange(6))
    with torch.set_grad_enabled(grad), observe([model], "weights", "heads", "latent") as (record,):
        output = model(x, rotation, key_padding_mask=mask, is_causal=is_causal)
    (call,) = record.calls
    assert call.key_padding_mask is mask
    assert call.weights.shape == (2, 4, 6, 6)
    torch.testing.assert_close(call.weights.sum(-1), torch.ones(2, 4, 6))
    if masked:
        assert not call.weights[1, ..., 4:].any()
    if is_causal:
        assert not call.weights.triu(1).any()
    if kind is AttentionKind.mla:
        latent = model.kv_norm(model.kv_down(x)[..., : model.kv_lora_rank])
        torch.testing.assert_close(call.latent, latent)
        value = model.kv_up(latent).view(2, 6, 4, -1).transpose(1, 2)[..., model.qk_nope_head_dim :]
    else:
        assert call.latent is None
        value = model.kv(x).view(2, 6, 2, model.num_kv_heads, -1)[:, :, 1].transpose(1, 2)
        value = value.repeat_interleave(4 // model.num_kv_heads, 1)
    torch.testing.assert_close(call.heads, (call.weights @ value).transpose(1, 2), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.out(call.heads.flatten(2)), output)
    assert call.heads.requires_grad == grad
    assert not call.weights.requires_grad


@pytest.mark.parametrize("kind", list(AttentionKind))
def test_cached_calls_have_the_weights_of_all_keys(kind):
    model = layer(kind)
    x = torch.randn(2, 5, 32)
    with torch.no_grad(), observe([model], "weights") as (record,):
        model(x, is_causal=True)
        cache = model.new_cache()
        for step in range(5):
            model(x[:, step : step + 1], is_causal=True, cache=cache)
    whole, *steps = record.weights
    for step, weights in enumerate(steps):
        torch.testing.assert_close(weights[:, :, 0], whole[:, :, step, : step + 1], rtol=1e-4, atol=1e-5)


def test_only_the_named_points_are_recorded():
    model = layer(AttentionKind.mla)
    with observe([model], "heads") as (record,):
        model(torch.randn(1, 3, 32))
    assert record.weights == []
    assert record.calls[0].latent is None
    assert record.calls[0].heads.shape == (1, 3, 4, 8)
    with pytest.raises(ValueError, match=r"no observation point scores.*weights, heads, latent"), observe([], "scores"):
        pass


def test_layers_are_told_apart_and_nobody_observes_afterwards():
    first, second = layer(AttentionKind.mla), layer(AttentionKind.mha)
    x = torch.randn(1, 3, 32)
    with observe([first, second, first], "weights") as (one, two, again):
        second(x)
        first(x)
        second(x[:, :2])
    assert one is again
    assert [len(one.weights), len(two.weights)] == [1, 2]
    assert two.weights[1].shape[-1] == 2
    with pytest.raises(RuntimeError), observe([first], "weights"):
        first(torch.randn(1, 3, 31))
    assert first.observers == second.observers == []
    first(x)
    assert len(one.weights) == 1


def test_observers_can_be_nested():
    model = layer(AttentionKind.mha)
    x = torch.randn(1, 3, 32)
    with observe([model], "heads") as (outer,):
        with observe([model], "weights") as (inner,):
            model(x)
        model(x)
    assert [len(outer.calls), len(inner.calls)] == [2, 1]


def test_latents_that_several_readers_share_are_those_of_the_layer():
    model = build_attention(AttentionConfig(), 16, 2, 0).eval()
    x, memory = torch.randn(1, 3, 16), torch.randn(1, 6, 16)
    with torch.no_grad(), observe([model], "latent") as (record,):
        states = model.states(memory)
        model(x, memory=states)
        model(x, memory=memory)
    assert record.calls[0].latent is None
    torch.testing.assert_close(record.latent(0, 0), record.latent(1, 0))
