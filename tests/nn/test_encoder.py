"""The encoder, positions, embeddings of pictures and pooling."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mla_train.config import (
    Activation,
    AttentionConfig,
    AttentionKind,
    Block,
    EncoderConfig,
    Latent,
    Norm,
    Pattern,
    RegularizationConfig,
)
from mla_train.nn import (
    AttentionPooling,
    ClassToken,
    ConvTokenizer,
    Encoder,
    FlattenedCells,
    MeanPooling,
    PatchEmbedding,
    RotaryEmbedding,
    default_downsample_log2,
    grid_positions,
    rotate,
)
from mla_train.nn.layers import ResidualDropout


def build(kind=AttentionKind.mla, rotary_axes=1, norm=Norm.rmsnorm, activation=Activation.gelu, **regularization):
    torch.manual_seed(0)
    config = EncoderConfig(dim=32, depth=3, num_heads=2, norm=norm, activation=activation)
    return Encoder(config, AttentionConfig(kind=kind), RegularizationConfig(**regularization), rotary_axes)


@pytest.mark.parametrize("activation", list(Activation))
@pytest.mark.parametrize("norm", list(Norm))
@pytest.mark.parametrize("kind", list(AttentionKind))
def test_padding_changes_nothing(kind, norm, activation):
    encoder = build(kind, norm=norm, activation=activation).eval()
    x = torch.randn(2, 5, 32)
    padded = torch.cat([x, 100 * torch.randn(2, 3, 32)], 1)
    padding = torch.arange(8).expand(2, 8) >= 5
    torch.testing.assert_close(encoder(padded, key_padding_mask=padding)[:, :5], encoder(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("axes", [0, 1, 2])
@pytest.mark.parametrize("block", list(Block))
def test_registers_are_read_and_are_not_given_out(block, axes):
    torch.manual_seed(0)
    config = EncoderConfig(dim=32, depth=2, num_heads=2, registers=3, block=block)
    encoder = Encoder(config, AttentionConfig(), RegularizationConfig(), axes).eval()
    x, lengths = torch.randn(2, 6, 32), torch.tensor([[6], [4]])
    padding = torch.arange(6) >= lengths
    places = {0: None, 1: torch.arange(6), 2: grid_positions(2, 3)}[axes]
    out = encoder(x, places, padding)
    assert out.shape == x.shape
    changed = torch.where(padding.unsqueeze(-1), 100.0, x)
    torch.testing.assert_close(encoder(changed, places, padding)[~padding], out[~padding], rtol=1e-4, atol=1e-5)
    if places is not None:  # of each example by itself
        torch.testing.assert_close(encoder(x, places.expand(2, *places.shape), padding), out)
    out[~padding].square().sum().backward()
    assert encoder.registers.grad.abs().sum(1).min() > 0
    with torch.no_grad():
        encoder.registers += torch.randn(3, 32)
        assert not torch.allclose(encoder(x, places, padding), out)


def test_registers_stand_before_what_is_causal():
    config = EncoderConfig(dim=32, depth=2, num_heads=2, registers=2)
    encoder = Encoder(config, AttentionConfig(), RegularizationConfig()).eval()
    x = torch.randn(1, 6, 32)
    later = torch.cat([x[:, :4], torch.randn(1, 2, 32)], 1)
    whole, other = (encoder(each, is_causal=True) for each in (x, later))
    torch.testing.assert_close(whole[:, :4], other[:, :4])
    assert not encoder.can_cache


def test_scalars_begin_as_if_there_were_none_and_are_learnt():
    outputs = []
    for scalars in (False, True):
        torch.manual_seed(0)
        config = EncoderConfig(dim=32, depth=2, num_heads=2, residual_scalars=scalars)
        encoder = Encoder(config, AttentionConfig(), RegularizationConfig()).eval()
        outputs.append(encoder(torch.linspace(-1, 1, 160).view(1, 5, 32)))
    torch.testing.assert_close(*outputs)
    (outputs[1] * torch.linspace(0, 1, 32)).sum().backward()
    assert all(block.scalars.grad.abs().min() > 0 for block in encoder.blocks)


@pytest.mark.parametrize("kind", list(AttentionKind))
def test_positions_tell_order_apart_and_no_positions_do_not(kind):
    x = torch.randn(1, 6, 32)
    order = torch.randperm(6)
    blind, seeing = build(kind, rotary_axes=0).eval(), build(kind, rotary_axes=1).eval()
    torch.testing.assert_close(blind(x[:, order]), blind(x)[:, order], rtol=1e-4, atol=1e-5)
    assert (seeing(x[:, order]) - seeing(x)[:, order]).abs().max() > 1e-3


def test_causal_encoder_does_not_see_the_future():
    encoder = build()
    x = torch.randn(1, 6, 32, requires_grad=True)
    encoder(x, is_causal=True)[0, 2].sum().backward()
    assert x.grad[0, 3:].abs().max() == 0


def test_dropout_is_off_in_evaluation():
    encoder = build(dropout=0.3, attention_dropout=0.3, stochastic_depth=0.5)
    x = torch.randn(4, 6, 32)
    assert torch.equal(encoder.eval()(x), encoder(x))
    assert not torch.equal(encoder.train()(x), encoder(x))


def test_stochastic_depth_skips_whole_examples_and_keeps_the_mean():
    torch.manual_seed(0)
    residual = ResidualDropout(0.0, 0.25).train()
    branch = residual(torch.ones(4000, 2, 3))
    per_example = branch.flatten(1)
    assert (per_example == per_example[:, :1]).all()
    assert branch.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert branch.mean().item() == pytest.approx(1.0, abs=0.05)


@settings(deadline=None, max_examples=20)
@given(shift=st.integers(0, 50), axes=st.sampled_from([1, 2]))
def test_rotary_scores_depend_on_distance_alone(shift, axes):
    rotary = RotaryEmbedding(8, axes)
    torch.manual_seed(0)
    query, key = torch.randn(1, 1, 1, 8), torch.randn(1, 1, 1, 8)

    def score(i, j):
        at = [torch.tensor([p]) if axes == 1 else torch.tensor([[p, 2 * p]]) for p in (i, j)]
        return (rotate(query, rotary(at[0])) * rotate(key, rotary(at[1]))).sum()

    torch.testing.assert_close(score(3 + shift, 1 + shift), score(3, 1), rtol=1e-3, atol=1e-4)


def test_two_dimensional_positions_tell_rows_from_columns():
    rotary = RotaryEmbedding(8, 2)
    x = torch.ones(1, 1, 1, 8)
    by_row, by_column = rotate(x, rotary(torch.tensor([[1, 0]]))), rotate(x, rotary(torch.tensor([[0, 1]])))
    assert not torch.allclose(by_row, by_column)
    assert grid_positions(2, 3).tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    with pytest.raises(ValueError, match="divisible by 4"):
        RotaryEmbedding(6, 2)


@pytest.mark.parametrize(("size", "halvings"), [(8, 1), (16, 1), (28, 2), (32, 2), (33, 3), (64, 3), (224, 5)])
def test_pictures_become_at_most_64_tokens(size, halvings):
    assert default_downsample_log2(size) == halvings
    for tokens in (
        ConvTokenizer(3, 32, (size, size), halvings),
        PatchEmbedding(3, 32, (size, size), 2**halvings),
    ):
        rows, columns = tokens.grid
        assert max(rows, columns) <= 8
        assert tokens(torch.randn(2, 3, size, size)).shape == (2, rows * columns, 32)


def test_batch_statistics_are_frozen_with_their_weights():
    images = 3 + torch.randn(8, 1, 8, 8)
    tokens = ConvTokenizer(1, 32, (8, 8), 1, norm=True)
    before = tokens.steps[1].running_mean.clone()
    alone, together = tokens(images[:4]), tokens(images)[:4]
    assert not torch.allclose(alone, together)  # an image is read with its batch
    after = tokens.steps[1].running_mean.clone()
    assert not torch.equal(before, after)
    for weight in tokens.parameters():
        weight.requires_grad_(False)
    torch.testing.assert_close(tokens(images[:4]), tokens(images)[:4])
    torch.testing.assert_close(tokens(images), tokens.eval()(images))
    assert torch.equal(tokens.steps[1].running_mean, after)


@pytest.mark.parametrize("grid", [(3, 2), (11, 8)])
def test_flattened_cells_are_read_at_their_places(grid):
    rows, columns = grid
    layer, tokens = FlattenedCells(4, grid, 5, dropout=0.5).eval(), torch.randn(2, rows * columns, 4)
    cells = tokens.unflatten(1, grid)
    if rows > 8:
        cells = torch.stack([cells[:, row : row + 2].amax(1) for row in range(0, rows, 2)], 1)
    weight = layer.layer.weight.unflatten(1, (4, cells.size(1), columns))
    expected = torch.einsum("brcd,odrc->bo", cells, weight) + layer.layer.bias
    torch.testing.assert_close(layer(tokens), expected.relu())


def test_patches_read_row_by_row():
    embed = PatchEmbedding(1, 4, (6, 4), 2)
    image = torch.zeros(1, 1, 6, 4)
    image[0, 0, 2:4, 2:4] = 1
    changed = (embed(image) - embed(torch.zeros(1, 1, 6, 4))).abs().sum(-1)[0].nonzero().flatten()
    assert changed.tolist() == [1 * 2 + 1]


@pytest.mark.parametrize("pooling", [MeanPooling(), AttentionPooling(8)])
def test_pooling_looks_past_padding(pooling):
    x = torch.randn(2, 6, 8)
    padding = torch.arange(6).expand(2, 6) >= 4
    torch.testing.assert_close(pooling(x, padding), pooling(x[:, :4]))
    nothing = pooling(x, torch.ones(2, 6, dtype=torch.bool))
    assert torch.equal(nothing, torch.zeros(2, 8))


def test_class_token_stands_in_front():
    pooling = ClassToken(8)
    x = torch.randn(2, 3, 8)
    longer = pooling.prepend(x)
    assert longer.shape == (2, 4, 8)
    assert torch.equal(pooling(longer), pooling.token.expand(2, 8))


@pytest.mark.parametrize("kind", list(AttentionKind))
def test_tokens_read_one_by_one_with_a_cache_are_those_of_the_whole(kind):
    encoder = build(kind).eval()
    x = torch.randn(2, 9, 32)
    whole = encoder(x, is_causal=True)
    with torch.no_grad():
        cache, outputs = encoder.new_cache(), []
        for part in x.split([4, 1, 2, 1, 1], dim=1):
            outputs.append(encoder(part, is_causal=True, cache=cache))
    torch.testing.assert_close(torch.cat(outputs, 1), whole, rtol=1e-4, atol=1e-5)
    assert len(cache) == len(encoder.blocks)
    assert {len(each) for each in cache} == {9}


@pytest.mark.parametrize(
    ("options", "attention"),
    [
        ({"latent": Latent.array}, {}),
        ({"block": Block.conv_attention}, {}),
        ({}, {"pattern": Pattern.window}),
    ],
)
def test_what_reads_more_than_attention_keeps_has_no_cache(options, attention):
    encoder = Encoder(
        EncoderConfig(dim=32, depth=1, num_heads=2, **options), AttentionConfig(**attention), RegularizationConfig()
    )
    with pytest.raises(ValueError, match=r"encoder\.latent=plain"):
        encoder.new_cache()
    with pytest.raises(ValueError, match=r"encoder\.latent=plain"):
        encoder(torch.randn(1, 2, 32), is_causal=True, cache=[])
