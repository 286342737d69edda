"""Maps of attention are the weights with which the layer really mixes values."""

import pytest
import torch

from mla_train.config import AttentionConfig, Kind
from mla_train.nn import kernel
from mla_train.nn.attention import build_attention
from mla_train.nn.attention_maps import attention_maps
from mla_train.nn.rotary import RotaryEmbedding


def layer(kind, dropout=0.0):
    torch.manual_seed(0)
    return build_attention(AttentionConfig(kind), 32, 4, 1, dropout).eval()


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("grad", [False, True])
def test_weights_times_values_is_the_output(kind, is_causal, masked, grad):
    model = layer(kind)
    x = torch.randn(2, 6, 32)
    mask = torch.zeros(2, 6, dtype=torch.bool)
    mask[1, 4:] = True
    rotation = RotaryEmbedding(model.rope_dim, 1, 10000.0)(torch.arange(6))
    with torch.set_grad_enabled(grad), attention_maps([model]) as (maps,):
        output = model(x, rotation, key_padding_mask=mask if masked else None, is_causal=is_causal)
    (weights,) = maps
    assert weights.shape == (2, 4, 6, 6)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4, 6))
    if masked:
        assert not weights[1, ..., 4:].any()
    if is_causal:
        assert not weights.triu(1).any()
    if kind is Kind.mla:
        latent = model.kv_norm(model.kv_down(x)[..., : model.kv_lora_rank])
        value = model.kv_up(latent).view(2, 6, 4, -1).transpose(1, 2)[..., model.qk_nope_head_dim :]
    else:
        value = model.kv(x).view(2, 6, 2, model.num_kv_heads, -1)[:, :, 1].transpose(1, 2)
        value = value.repeat_interleave(4 // model.num_kv_heads, 1)
    torch.testing.assert_close(model.out((weights @ value).transpose(1, 2).flatten(2)), output, rtol=1e-4, atol=1e-5)


def test_layers_are_told_apart_and_nobody_watches_afterwards():
    first, second = layer(Kind.mla), layer(Kind.mha)
    x = torch.randn(1, 3, 32)
    with attention_maps([first, second]) as (one, two):
        second(x)
        first(x)
        second(x[:, :2])
    assert [len(one), len(two)] == [1, 2]
    assert two[1].shape[-1] == 2
    with pytest.raises(RuntimeError), attention_maps([first]):
        first(torch.randn(1, 3, 31))
    assert kernel.observers == []
    first(x)
    assert len(one) == 1
