"""MLA against its formula, against transformers, and against itself by other ways of computing."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mla_train.nn import MultiheadLatentAttention, RotaryEmbedding, from_deepseek_v3, to_deepseek_v3
from tests.nn.reference import kernels, naive_mla

SIZES = {
    "usual": dict(dim=16, num_heads=2, kv_lora_rank=6, qk_nope_head_dim=4, qk_rope_head_dim=4, v_head_dim=8),
    "query_latent": dict(
        dim=16, num_heads=2, kv_lora_rank=6, qk_nope_head_dim=4, qk_rope_head_dim=4, v_head_dim=8, q_lora_rank=5
    ),
    "wide_keys": dict(dim=16, num_heads=3, kv_lora_rank=6, qk_nope_head_dim=6, qk_rope_head_dim=4, v_head_dim=3),
    "wide_values": dict(dim=16, num_heads=2, kv_lora_rank=6, qk_nope_head_dim=2, qk_rope_head_dim=2, v_head_dim=9),
    "no_rope": dict(dim=16, num_heads=2, kv_lora_rank=6, qk_nope_head_dim=8, qk_rope_head_dim=0, v_head_dim=8),
}


def build(sizes="usual", seed=0, **more):
    torch.manual_seed(seed)
    layer = MultiheadLatentAttention(**SIZES[sizes], **more)
    torch.nn.init.normal_(layer.kv_norm.weight, 1, 0.3)
    return layer


def angles_and_rotation(layer, length):
    if not layer.rope_dim:
        return None, None
    rotary = RotaryEmbedding(layer.rope_dim)
    positions = torch.arange(length)
    return positions[:, None] * rotary.inv_freq, rotary(positions)


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("sizes", SIZES)
def test_equals_the_naive_reference_in_outputs_and_gradients(sizes, masked, is_causal):
    layer = build(sizes)
    angles, rotation = angles_and_rotation(layer, 5)
    padding = torch.tensor([[False] * 5, [False, False, False, True, True]]) if masked else None
    results = []
    for forward in (
        lambda x: layer(x, rotation, key_padding_mask=padding, is_causal=is_causal),
        lambda x: naive_mla(layer, x, angles, padding=padding, is_causal=is_causal),
    ):
        torch.manual_seed(1)
        x = torch.randn(2, 5, 16, requires_grad=True)
        layer.zero_grad()
        output = forward(x)
        output.square().sum().backward()
        results.append([output, x.grad, *(p.grad.clone() for p in layer.parameters())])
    for ours, naive in zip(*results, strict=True):
        torch.testing.assert_close(ours, naive, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sizes", SIZES)
def test_cross_attention_equals_the_naive_reference(sizes):
    layer = build(sizes)
    angles, rotation = angles_and_rotation(layer, 3)
    memory_angles, memory_rotation = angles_and_rotation(layer, 7)
    x, memory = torch.randn(2, 3, 16), torch.randn(2, 7, 16)
    padding = torch.arange(7).expand(2, 7) >= torch.tensor([[7], [4]])
    ours = layer(x, rotation, memory=memory, memory_rotation=memory_rotation, key_padding_mask=padding)
    naive = naive_mla(layer, x, angles, memory, memory_angles, padding)
    torch.testing.assert_close(ours, naive, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("sizes", SIZES)
def test_absorbed_equals_expanded(sizes, masked, is_causal):
    layer = build(sizes)
    _, rotation = angles_and_rotation(layer, 6)
    x = torch.randn(2, 6, 16)
    padding = torch.arange(6).expand(2, 6) >= torch.tensor([[6], [3]]) if masked else None
    outputs = [
        layer(x, rotation, key_padding_mask=padding, is_causal=is_causal, absorb=absorb) for absorb in (False, True)
    ]
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("absorb", [False, True, None])
@settings(deadline=None, max_examples=15)
@given(cuts=st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_cached_equals_uncached_however_the_tokens_arrive(absorb, cuts):
    layer = build().eval()
    length = sum(cuts)
    x = torch.randn(2, length, 16)
    rotary = RotaryEmbedding(layer.rope_dim)
    with torch.no_grad():
        whole = layer(x, rotary(torch.arange(length)), is_causal=True)
        cache, parts, start = layer.new_cache(), [], 0
        for cut in cuts:
            positions = torch.arange(start, start + cut)
            parts.append(
                layer(x[:, start : start + cut], rotary(positions), is_causal=True, cache=cache, absorb=absorb)
            )
            start += cut
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-4, atol=1e-5)
    assert len(cache) == length
    assert cache.nbytes == 2 * length * layer.cache_width * 4


def test_memory_is_read_once_with_a_cache():
    layer = build().eval()
    x, memory = torch.randn(2, 3, 16), torch.randn(2, 5, 16)
    cache = layer.new_cache()
    with torch.no_grad():
        whole = layer(x, memory=memory)
        first = layer(x[:, :1], memory=memory, cache=cache)
        rest = layer(x[:, 1:], memory=torch.full_like(memory, torch.nan), cache=cache)
    torch.testing.assert_close(torch.cat([first, rest], 1), whole, rtol=1e-4, atol=1e-5)
    assert len(cache) == 5


def test_cache_reorder_follows_the_beams():
    layer = build().eval()
    x = torch.randn(3, 4, 16)
    cache, swapped = layer.new_cache(), layer.new_cache()
    with torch.no_grad():
        layer(x[:, :3], is_causal=True, cache=cache)
        cache.reorder(torch.tensor([2, 0]))
        ours = layer(x[[2, 0], 3:], is_causal=True, cache=cache)
        layer(x[[2, 0], :3], is_causal=True, cache=swapped)
        theirs = layer(x[[2, 0], 3:], is_causal=True, cache=swapped)
    torch.testing.assert_close(ours, theirs)


@settings(deadline=None, max_examples=15)
@given(length=st.integers(1, 6), extra=st.integers(1, 5))
def test_padding_changes_nothing(length, extra):
    layer = build().eval()
    x = torch.randn(1, length, 16)
    padded = torch.cat([x, torch.randn(1, extra, 16)], 1)
    padding = torch.arange(length + extra)[None] >= length
    torch.testing.assert_close(layer(padded, key_padding_mask=padding)[:, :length], layer(x), rtol=1e-4, atol=1e-5)


def test_causal_attention_does_not_see_the_future():
    layer = build()
    x = torch.randn(1, 6, 16, requires_grad=True)
    layer(x, is_causal=True)[0, 2].sum().backward()
    assert x.grad[0, 3:].abs().max() == 0
    assert x.grad[0, :3].abs().min() > 0


@pytest.mark.parametrize("absorb", [False, True])
def test_rows_without_keys_are_finite_forward_and_backward(absorb):
    layer = build()
    x = torch.randn(2, 4, 16, requires_grad=True)
    padding = torch.tensor([[True] * 4, [False] * 4])
    output = layer(x, key_padding_mask=padding, absorb=absorb)
    output.sum().backward()
    assert output.isfinite().all()
    assert output[0].abs().max() == 0
    assert x.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in layer.parameters())


@pytest.mark.parametrize("sizes", ["usual", "wide_keys", "wide_values"])
@pytest.mark.parametrize("masked", [False, True])
def test_training_runs_on_the_flash_kernel(sizes, masked):
    layer = build(sizes, dropout=0.1).train()
    x = torch.randn(2, 64, 16, requires_grad=True)
    padding = torch.arange(64).expand(2, 64) >= 60 if masked else None
    seen = kernels(lambda: layer(x, key_padding_mask=padding).sum().backward())
    assert any("flash_attention_for_cpu_backward" in key for key in seen), seen
    assert "aten::_scaled_dot_product_attention_math" not in seen


def test_dropkey_hides_keys_in_training_only():
    layer = build(dropout=0.5)
    x = torch.randn(4, 8, 16)
    assert not torch.equal(layer.train()(x), layer(x))
    assert torch.equal(layer.eval()(x), layer(x))


def test_bf16_stays_close_to_fp32():
    layer = build().eval()
    x = torch.randn(2, 32, 16)
    with torch.no_grad():
        exact = layer(x)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = layer(x)
    assert rounded.dtype is torch.bfloat16
    assert (rounded.float() - exact).norm() / exact.norm() < 0.02


@pytest.mark.parametrize("rope_interleave", [False, True])
@pytest.mark.parametrize("q_lora_rank", [None, 12])
def test_equals_transformers(q_lora_rank, rope_interleave):
    modeling = pytest.importorskip("transformers.models.deepseek_v3.modeling_deepseek_v3")
    config = modeling.DeepseekV3Config(
        hidden_size=32,
        num_attention_heads=4,
        num_key_value_heads=4,
        kv_lora_rank=10,
        q_lora_rank=q_lora_rank,
        qk_nope_head_dim=8,
        qk_rope_head_dim=6,
        v_head_dim=12,
        rope_interleave=rope_interleave,
        attn_implementation="eager",
    )
    torch.manual_seed(0)
    theirs = modeling.DeepseekV3Attention(config, layer_idx=0).eval()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, 1.0 if parameter.dim() == 1 else 0.0, 0.2)
    ours = from_deepseek_v3(theirs.state_dict(), 4, 8, 6, 12, rope_interleave).eval()
    x = torch.randn(2, 9, 32)
    rotation = RotaryEmbedding(6, theta=10000.0)(torch.arange(9))
    tables = tuple(torch.cat([part, part], -1)[None] for part in rotation)
    for is_causal in (False, True):
        blocked = torch.full((9, 9), torch.finfo(torch.float32).min).triu(1) if is_causal else torch.zeros(9, 9)
        expected = theirs(x, tables, attention_mask=blocked[None, None])[0]
        difference = (ours(x, rotation, is_causal=is_causal) - expected).abs().max()
        assert difference <= 1e-5
    back = to_deepseek_v3(ours, rope_interleave)
    assert back.keys() == theirs.state_dict().keys()
    for name, weight in theirs.state_dict().items():
        assert torch.equal(back[name], weight)


def test_biased_deepseek_layers_are_refused():
    weights = to_deepseek_v3(build()) | {"o_proj.bias": torch.zeros(16)}
    with pytest.raises(ValueError, match=r"o_proj\.bias"):
        from_deepseek_v3(weights, 2, 4, 4, 8)
