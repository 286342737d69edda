"""Scores, patterns and gates: equal to naive references in outputs and gradients, and what is special about each."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mla_train.config import (
    AttentionConfig,
    AttentionKind,
    EncoderConfig,
    HeadFusion,
    Pattern,
    RegularizationConfig,
    Score,
    Select,
)
from mla_train.nn import Encoder, RotaryEmbedding, build_attention, grid_positions, observe
from mla_train.nn.attention import per_head_attention
from mla_train.nn.attention.patterns import Strided, Window, head_patterns
from mla_train.nn.attention.score_functions import highest
from mla_train.nn.attention.sdpa import KeyMask

HEADS = 4


def layer(config, patterned=True):
    torch.manual_seed(0)
    return build_attention(config, 32, HEADS, 1, 0.0, patterned).eval()


def tensors(length, batch=2, heads=HEADS, width=8):
    torch.manual_seed(1)
    return [torch.randn(batch, heads, length, width, requires_grad=True) for _ in range(3)]


def reference(name, module, q, k, scale):
    """Scores of one head after the formulas, number by number."""
    found = torch.zeros(len(q), len(k))
    for i, query in enumerate(q):
        for j, key in enumerate(k):
            dot = sum(a * b for a, b in zip(query, key, strict=True))
            if name in ("additive", "hybrid", "staged"):
                additive = module.v if name == "additive" else module.additive.v
                added = sum(v * torch.tanh(a + b) for v, a, b in zip(additive[0], query, key, strict=True))
            if name == "additive":
                found[i, j] = added
            elif name == "hybrid":
                gate = torch.sigmoid(module.gate[0])
                found[i, j] = gate * dot * scale + (1 - gate) * added
            elif name == "staged":
                found[i, j] = dot * scale + torch.log(torch.sigmoid(added))
    if name == "staged":  # the additive score selects
        added = torch.tensor(
            [
                [
                    float(sum(v * torch.tanh(a + b) for v, a, b in zip(module.additive.v[0], x, y, strict=True)))
                    for y in k
                ]
                for x in q
            ]
        )
        for i in range(len(q)):
            kept = added[i].argsort(descending=True)[: module.topk]
            hidden = [j for j in range(len(k)) if j not in kept]
            found[i, hidden] = -torch.inf
    return found


@pytest.mark.parametrize("name", ["additive", "hybrid", "staged"])
def test_written_out_scores_are_their_formulas(name):
    torch.manual_seed(0)
    module = per_head_attention.EXPLICIT[Score[name]](1, 4, 2)
    if name == "hybrid":
        torch.nn.init.constant_(module.gate, 0.7)
    q, k = torch.randn(3, 4), torch.randn(5, 4)
    scores, allowed = module(q[None, None], k[None, None], 0.5, None)
    if allowed is not None:
        scores = scores.masked_fill(~allowed, -torch.inf)
    torch.testing.assert_close(scores[0, 0], reference(name, module, q, k, 0.5))


@pytest.mark.parametrize("kind", list(AttentionKind))
def test_dot_products_of_other_size_are_other_scales(kind):
    plain, dot, warm = (layer(AttentionConfig(kind, score=name)) for name in ("scaled_dot", "dot", "temperature"))
    for other in (dot, warm):
        missing = other.load_state_dict(plain.state_dict(), strict=False).missing_keys
        assert missing == (["query_scale.log_factor"] if other is warm else [])
    x = torch.randn(2, 6, 32)
    rotation = RotaryEmbedding(plain.rope_dim)(torch.arange(6))
    # A temperature begins as the plain score, in each head.
    torch.testing.assert_close(warm(x, rotation), plain(x, rotation))
    scale = plain.scale
    plain.scale = 1.0
    torch.testing.assert_close(dot(x, rotation), plain(x, rotation), rtol=1e-4, atol=1e-5)
    # exp(t) = 1 / scale in one head makes a dot product of it, and of it alone.
    plain.scale = scale
    with torch.no_grad():
        warm.query_scale.log_factor[1] = -math.log(scale)
    with observe([warm, dot, plain], "weights") as records:
        for model in (warm, dot, plain):
            model(x, rotation)
    a, b, c = (record.calls[0].weights for record in records)
    torch.testing.assert_close(a[:, 1], b[:, 1])
    torch.testing.assert_close(a[:, [0, 2, 3]], c[:, [0, 2, 3]])


def test_a_temperature_decodes_absorbed_as_it_trains():
    model = layer(AttentionConfig(score=["temperature", "dot", "scaled_dot", "temperature"]))
    with torch.no_grad():
        model.query_scale.log_factor.copy_(torch.tensor([0.5, -0.5]))
    x, rotation = torch.randn(2, 6, 32), RotaryEmbedding(model.rope_dim)(torch.arange(6))
    torch.testing.assert_close(model(x, rotation, absorb=True), model(x, rotation, absorb=False), rtol=1e-4, atol=1e-5)


PATTERNS = [
    AttentionConfig(pattern=Pattern["window"], window=3),
    AttentionConfig(pattern=Pattern["local_global"], window=2),
    AttentionConfig(pattern=Pattern["strided"]),
    AttentionConfig(pattern=Pattern["strided"], stride=5),
    AttentionConfig(pattern=Pattern["topk"], topk=3),
    AttentionConfig(score="additive"),
    AttentionConfig(score=["dot", "additive", "staged", "additive"], topk=4),
    AttentionConfig(score=["hybrid", "scaled_dot", "hybrid", "dot"], pattern=Pattern["local_global"], window=2),
    AttentionConfig(score=["additive", "scaled_dot", "hybrid", "dot"], pattern=Pattern["topk"], topk=2),
]


def dense(config, q, k, v, scale, mask, is_causal, positions=None):
    """Every head by itself: naive scores, a mask that says who looks at whom, softmax."""
    core = layer(config).per_head
    length, outputs = q.size(2), []
    places = torch.arange(length)[:, None] if positions is None else positions
    for head, name in enumerate(config.head_scores(HEADS)):
        group = next(g for g in core.groups if head in g.heads)
        at = group.heads.index(head)
        scores = q[:, head] @ k[:, head].transpose(1, 2) * scale
        allowed = torch.ones(len(q), length, length, dtype=torch.bool)
        if mask is not None:
            allowed &= mask[:, 0]
        if is_causal:
            allowed = allowed.tril()
        first = head < HEADS // 2
        kind = config.pattern.name
        for i in range(length):
            for j in range(length):
                far = max(abs(a - b) for a, b in zip(places[i].tolist(), places[j].tolist(), strict=True))
                if kind == "window" or (kind == "local_global" and first):
                    allowed[:, i, j] &= far <= config.window
                if kind == "strided":
                    if positions is not None:
                        same = bool(places[i, 0] == places[j, 0]) if first else bool(places[i, 1] == places[j, 1])
                    else:
                        s = config.stride or int(length**0.5)
                        same = i // s == j // s if first else i % s == j % s
                    allowed[:, i, j] &= same
        if name in per_head_attention.EXPLICIT:
            v_add = group.score.v if name is Score.additive else group.score.additive.v
            added = (torch.tanh(q[:, head, :, None] + k[:, head, None]) * v_add[at]).sum(-1)
            if name is Score.additive:
                scores = added
            if name is Score.hybrid:
                gate = group.score.gate[at].sigmoid()
                scores = gate * scores + (1 - gate) * added
            if name is Score.staged:
                allowed = keep(added, allowed, config.topk)
                scores = scores + added.sigmoid().log()
        if kind == "topk":
            allowed = keep(scores, allowed, config.topk)
        weights = scores.masked_fill(~allowed, -1e30).softmax(-1) * allowed
        outputs.append(weights @ v[:, head])
    return torch.stack(outputs, 1)


def keep(scores, allowed, count):
    kept = torch.zeros_like(allowed)
    for b in range(len(scores)):
        for i in range(scores.size(1)):
            there = allowed[b, i].nonzero().flatten()
            kept[b, i, there[scores[b, i, there].argsort(descending=True)[:count]]] = True
    return kept


@pytest.mark.parametrize("config", PATTERNS, ids=lambda c: f"{c.pattern.name}-{c.score}")
@pytest.mark.parametrize("masked", ["nothing", "padding", "causal", "both"])
def test_patterns_and_scores_equal_a_dense_reference(config, masked):
    core, length = layer(config).per_head, 11
    padding = torch.arange(length).expand(2, length) >= torch.tensor([[length], [6]])
    mask = ~padding[:, None, None] if masked in ("padding", "both") else None
    is_causal = masked == "causal"
    if masked == "both":
        mask = mask & torch.ones(length, length, dtype=torch.bool).tril()
    ours, theirs = tensors(length), tensors(length)
    found = core(*ours, 0.3, KeyMask(mask, is_causal))
    wanted = dense(config, *theirs, 0.3, mask, is_causal)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    direction = torch.randn_like(found)
    for a, b in zip(
        torch.autograd.grad(found, ours, direction), torch.autograd.grad(wanted, theirs, direction), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    q, k, v = ours
    torch.testing.assert_close(core.weights(q, k, 0.3, KeyMask(mask, is_causal)) @ v, found, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("config", PATTERNS[:3], ids=lambda c: c.pattern.name)
def test_patterns_of_pictures_follow_rows_and_columns(config):
    positions = grid_positions(3, 4)
    ours = tensors(12)
    found = layer(config).per_head(*ours, 0.3, KeyMask(positions=positions))
    torch.testing.assert_close(found, dense(config, *ours, 0.3, None, False, positions), rtol=1e-4, atol=1e-5)


def test_a_class_token_sees_and_is_seen_by_all():
    positions = torch.cat([torch.full((1, 2), -1), grid_positions(3, 3)])
    for pattern in (Window(1), Strided(0, None), Strided(1, None)):
        mask = pattern.mask(10, positions, positions.device)
        assert mask[0].all()
        assert mask[:, 0].all()
        assert not mask[1:, 1:].all()


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 400),
    st.sampled_from(["window", "local_global", "strided"]),
    st.integers(1, 40),
    st.sampled_from([None, 2, 7, 64]),
    st.booleans(),
    st.booleans(),
)
def test_the_cheap_way_of_a_pattern_is_the_masked_way(length, name, window, stride, padded, dropped):
    config = AttentionConfig(pattern=Pattern[name], window=window, stride=stride)
    core = layer(config).per_head
    q, k, v = (x.detach() for x in tensors(length, width=8))
    mask = None
    if padded:
        mask = (torch.arange(length) < torch.tensor([[length], [max(1, length // 2)]]))[:, None, None]
    if dropped:
        kept = torch.rand(2, HEADS, 1, length) > 0.2
        mask = kept if mask is None else mask & kept
    cheap = core(q, k, v, 0.3, KeyMask(mask))
    # Named positions take the way of masks.
    masked = core(q, k, v, 0.3, KeyMask(mask, False, torch.arange(length)))
    seen = core.weights(q, k, 0.3, KeyMask(mask)).sum(-1, keepdim=True) > 0
    torch.testing.assert_close(cheap * seen, masked * seen, rtol=1e-4, atol=1e-5)
    assert cheap.isfinite().all()


def test_long_windows_never_make_all_scores(monkeypatch):
    seen = []
    real = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        torch.nn.functional,
        "scaled_dot_product_attention",
        lambda q, k, v, **options: (seen.append(q[..., 0].numel() * k.size(-2)), real(q, k, v, **options))[1],
    )
    q, k, v = (x.detach() for x in tensors(1024, batch=1))
    for name, share in (("window", 0.1), ("local_global", 0.55), ("strided", 0.04)):
        seen.clear()
        layer(AttentionConfig(pattern=Pattern[name], window=16)).per_head(q, k, v, 0.3)
        assert sum(seen) <= share * HEADS * 1024**2


def test_long_additive_scores_are_made_in_chunks_and_again_for_the_gradient(monkeypatch):
    core = layer(AttentionConfig(score="hybrid")).per_head
    ours, theirs = tensors(50), tensors(50)
    whole = core(*theirs, 0.3)
    monkeypatch.setattr(per_head_attention, "CHUNK", 8 * 2 * HEADS * 50 * 7)  # seven queries at a time
    largest = []
    score = core.groups[0].score
    score.additive.register_forward_pre_hook(lambda _, args: largest.append(args[0].size(2)))
    found = core(*ours, 0.3)
    assert largest == [7] * 7 + [1]
    torch.testing.assert_close(found, whole)
    direction = torch.randn_like(found)
    for a, b in zip(
        torch.autograd.grad(found, ours, direction), torch.autograd.grad(whole, theirs, direction), strict=True
    ):
        torch.testing.assert_close(a, b)
    assert len(largest) == 16


def test_highest_keeps_the_highest_that_are_allowed():
    scores = torch.tensor([[[[3.0, 1.0, 2.0, 0.0]]]])
    assert highest(scores, 2, None).tolist() == [[[[True, False, True, False]]]]
    allowed = torch.tensor([[[[False, True, False, True]]]])
    assert highest(scores, 1, allowed).tolist() == [[[[False, True, False, False]]]]
    assert highest(scores, 9, allowed).tolist() == allowed.tolist()
    assert not highest(scores, 2, torch.zeros_like(allowed)).any()


@pytest.mark.parametrize("score", ["additive", "hybrid", "staged", "scaled_dot"])
@pytest.mark.parametrize("pattern", ["global", "window", "strided", "topk"])
def test_tokens_that_may_look_nowhere_are_finite(score, pattern):
    if (score, pattern) in (("scaled_dot", "global"), ("staged", "topk")):
        return
    core = layer(AttentionConfig(score=score, pattern=Pattern[pattern])).per_head
    q, k, v = tensors(6)
    found = core(q, k, v, 0.3, KeyMask(torch.zeros(2, 1, 1, 6, dtype=torch.bool)))
    assert not found.any()
    for gradient in torch.autograd.grad(found.sum(), (q, k, v)):
        assert gradient.isfinite().all()


@pytest.mark.parametrize("kind", list(AttentionKind))
def test_gates_begin_open_and_follow_the_input(kind):
    select = Select.gate if kind is AttentionKind.mla else Select.none
    gated, plain = layer(AttentionConfig(kind, fusion=HeadFusion.weighted, select=select)), layer(AttentionConfig(kind))
    x = torch.randn(2, 5, 32)
    torch.testing.assert_close(gated(x), plain(x))
    with torch.no_grad():
        gated.head_gate.bias[1:] = -100  # one head is left, twice
        gated.head_gate.bias[0] = 100
        parts = plain.out.weight.view(32, HEADS, -1)
        parts[:, 1:] = 0
        parts[:, 0] *= 2
    torch.testing.assert_close(gated(x), plain(x), rtol=1e-4, atol=1e-5)
    torch.nn.init.normal_(gated.head_gate.weight)
    with torch.no_grad():
        gated.head_gate.bias.zero_()
        assert (gated.head_gate(torch.ones(2, 5, HEADS, 8), x).std((0, 1)) > 0).all()


@pytest.mark.parametrize("kind", [AttentionKind.mla, AttentionKind.gqa])
def test_a_gate_of_each_number_closes_one(kind):
    gated, plain = layer(AttentionConfig(kind, fusion=HeadFusion.elementwise)), layer(AttentionConfig(kind))
    x = torch.randn(2, 5, 32)
    torch.testing.assert_close(gated(x), plain(x))
    with torch.no_grad():
        gated.head_gate.bias.view(HEADS, 8)[1, 3] = -100
        plain.out.weight.view(32, HEADS, 8)[:, 1, 3] = 0
    torch.testing.assert_close(gated(x), plain(x), rtol=1e-4, atol=1e-5)


def test_a_closed_latent_gate_hides_a_channel():
    model = layer(AttentionConfig(select=Select.gate))
    x = torch.randn(2, 5, 32)
    with torch.no_grad():
        model.latent_gate.bias[3] = -100
    latent = model.states(x)[0]
    assert not latent[..., 3].any()
    assert latent[..., [0, 1, 2, 4]].all()
    assert model.cache_width == latent.size(-1)


def test_what_cannot_be_done_is_refused():
    x = torch.randn(1, 4, 32)
    windowed, additive = layer(PATTERNS[0]), layer(AttentionConfig(score="additive"))
    with pytest.raises(ValueError, match=r"attention\.pattern=global"):
        windowed(x, memory=torch.randn(1, 3, 32))
    with pytest.raises(ValueError, match=r"attention\.pattern=global"):
        windowed(x, cache=windowed.new_cache())
    with pytest.raises(ValueError, match=r"attention\.score=temperature"):
        additive(x, absorb=True)
    with pytest.raises(ValueError, match="same positions for all"):
        windowed(x, positions=torch.zeros(1, 4, 2))
    with pytest.raises(ValueError, match="two heads"):
        head_patterns(PATTERNS[1], 1)
    with pytest.raises(ValueError, match="over a memory"):
        additive(x, memory=x, is_causal=True)


@pytest.mark.parametrize("kind", list(AttentionKind))
def test_additive_scores_look_at_a_memory_and_decode_from_a_cache(kind):
    model = layer(AttentionConfig(kind, score="hybrid"), patterned=False)
    x, memory = torch.randn(2, 6, 32), torch.randn(2, 3, 32)
    padding = torch.tensor([[False, False, False], [False, True, True]])
    alone = model(x[1:], memory=memory[1:, :1])
    torch.testing.assert_close(model(x, memory=memory, key_padding_mask=padding)[1:], alone, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        whole, cache = model(x, is_causal=True), model.new_cache()
        steps = [model(x[:, i : i + 1], is_causal=True, cache=cache) for i in range(6)]
    torch.testing.assert_close(torch.cat(steps, 1), whole, rtol=1e-4, atol=1e-5)


def test_an_encoder_without_choices_is_what_it_was():
    """Nothing is plugged in, and no weight is new."""
    encoder = Encoder(EncoderConfig(32, 2), AttentionConfig(), RegularizationConfig())
    attention = encoder.blocks[0].attention
    plugged = (attention.query_scale, attention.per_head, attention.head_gate, attention.latent_gate)
    assert plugged == (None,) * 4
    names = {name.split(".", 3)[-1] for name in encoder.state_dict() if "attention." in name}
    assert names == {"q_up.weight", "kv_down.weight", "kv_norm.weight", "kv_up.weight", "out.weight"}
