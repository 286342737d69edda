"""Multi-head, grouped-query and multi-query attention, and the builder of all kinds."""

import pytest
import torch

from mla_train.config import AttentionConfig, AttentionKind
from mla_train.nn import GroupedQueryAttention, MultiheadLatentAttention, RotaryEmbedding, build_attention
from mla_train.nn.attention.rotary import rotate
from tests.nn.reference import kernels


def test_multihead_equals_torch():
    torch.manual_seed(0)
    ours = GroupedQueryAttention(16, 4, 4, 4).eval()
    theirs = torch.nn.MultiheadAttention(16, 4, bias=False, batch_first=True).eval()
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.q.weight, ours.kv.weight]))
        theirs.out_proj.weight.copy_(ours.out.weight)
    x = torch.randn(3, 7, 16)
    padding = torch.arange(7).expand(3, 7) >= torch.tensor([[7], [5], [2]])
    torch.testing.assert_close(
        ours(x, key_padding_mask=padding),
        theirs(x, x, x, key_padding_mask=padding, need_weights=False)[0],
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("kv_heads", [1, 2])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("is_causal", [False, True])
def test_groups_equal_multihead_with_repeated_keys_and_values(kv_heads, masked, is_causal):
    torch.manual_seed(0)
    grouped, full = GroupedQueryAttention(16, 4, kv_heads, 4), GroupedQueryAttention(16, 4, 4, 4)
    with torch.no_grad():
        full.q.weight.copy_(grouped.q.weight)
        full.out.weight.copy_(grouped.out.weight)
        weight = grouped.kv.weight.view(2, kv_heads, 4, 16)
        full.kv.weight.copy_(weight.repeat_interleave(4 // kv_heads, 1).flatten(0, 2))
    x = torch.randn(2, 5, 16)
    padding = torch.arange(5).expand(2, 5) >= torch.tensor([[5], [3]]) if masked else None
    rotation = RotaryEmbedding(4)(torch.arange(5))
    options = dict(key_padding_mask=padding, is_causal=is_causal)
    torch.testing.assert_close(grouped(x, rotation, **options), full(x, rotation, **options), rtol=1e-4, atol=1e-5)


def test_normed_queries_and_keys_equal_a_naive_computation():
    torch.manual_seed(0)
    layer = GroupedQueryAttention(16, 4, 4, 4, qk_norm=True).eval()
    x, rotation = torch.randn(2, 5, 16), RotaryEmbedding(4)(torch.arange(5))
    with torch.no_grad():
        layer.query_norm.weight.uniform_(0.5, 2)
        layer.key_norm.weight.uniform_(0.5, 2)
        query = layer.q(x).view(2, 5, 4, 4).transpose(1, 2)
        key, value = layer.kv(x).view(2, 5, 2, 4, 4).permute(2, 0, 3, 1, 4)
        eps = torch.finfo(torch.float32).eps
        normed = [
            each / (each.pow(2).mean(-1, keepdim=True) + eps).sqrt() * norm.weight
            for each, norm in ((query, layer.query_norm), (key, layer.key_norm))
        ]
        query, key = (rotate(each, rotation) for each in normed)
        weights = (query @ key.transpose(-1, -2) / 2).softmax(-1)
        expected = layer.out((weights @ value).transpose(1, 2).flatten(2))
        torch.testing.assert_close(layer(x, rotation), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "qk_norm"),
    [*((kind, False) for kind in AttentionKind), (AttentionKind.gqa, True), (AttentionKind.mha, True)],
)
def test_every_kind_decodes_from_its_cache(kind, qk_norm):
    torch.manual_seed(0)
    layer = build_attention(AttentionConfig(kind=kind, qk_norm=qk_norm), 32, 4).eval()
    rotary = RotaryEmbedding(layer.rope_dim)
    x = torch.randn(2, 6, 32)
    with torch.no_grad():
        whole = layer(x, rotary(torch.arange(6)), is_causal=True)
        cache = layer.new_cache()
        steps = [layer(x[:, i : i + 1], rotary(torch.tensor([i])), is_causal=True, cache=cache) for i in range(6)]
    torch.testing.assert_close(torch.cat(steps, 1), whole, rtol=1e-4, atol=1e-5)
    assert cache.nbytes == 2 * 6 * layer.cache_width * 4


def test_cache_widths_are_what_the_papers_say():
    widths = {kind: build_attention(AttentionConfig(kind=kind), 512, 8).cache_width for kind in AttentionKind}
    assert widths == {
        AttentionKind.mla: 128 + 32,
        AttentionKind.mha: 1024,
        AttentionKind.gqa: 2 * 2 * 64,
        AttentionKind.mqa: 2 * 64,
    }


@pytest.mark.parametrize("kind", list(AttentionKind))
def test_every_kind_trains_on_the_flash_kernel(kind):
    layer = build_attention(AttentionConfig(kind=kind), 32, 4, dropout=0.1).train()
    x = torch.randn(2, 64, 32, requires_grad=True)
    seen = kernels(lambda: layer(x).sum().backward())
    assert any("flash_attention_for_cpu_backward" in key for key in seen), seen


def test_without_rotary_positions_no_width_is_kept_for_them():
    layer = build_attention(AttentionConfig(), 32, 4, rotary_axes=0)
    assert isinstance(layer, MultiheadLatentAttention)
    assert (layer.qk_rope_head_dim, layer.qk_nope_head_dim) == (0, 8)


def test_sizes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"encoder\.dim \(30\)"):
        build_attention(AttentionConfig(), 30, 4)
    with pytest.raises(ValueError, match="num_kv_heads"):
        build_attention(AttentionConfig(kind=AttentionKind.gqa, num_kv_heads=3), 32, 4)
