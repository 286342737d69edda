"""Telling the input: hidden tokens, errors of numbers and tokens, cells of pictures."""

import pytest
import torch
import torch.nn.functional as F

from mla_train.nn import (
    ConvTokenizer,
    PatchEmbedding,
    Reconstruction,
    ReconstructionInput,
    ReconstructionTarget,
    image_target,
)
from mla_train.nn.image_tokenizers import cells
from mla_train.nn.masked_modeling import TokenMasking


def test_hiding_replaces_a_share_of_tokens_in_training_alone():
    torch.manual_seed(0)
    hiding, x = TokenMasking(8, share=0.25), torch.randn(40, 50, 8)
    assert torch.equal(hiding.eval()(x), x)
    found = hiding.train()(x)
    hidden = (found == hiding.token).all(-1)
    assert hidden.float().mean() == pytest.approx(0.25, abs=0.03)
    assert torch.equal(found[~hidden], x[~hidden])


def test_errors_are_means_over_what_is_known():
    torch.manual_seed(0)
    reconstruction = Reconstruction(8, [ReconstructionInput(5, None), ReconstructionInput(3, None)])
    encoded = [torch.randn(2, 4, 8), torch.randn(2, 6, 8)]
    tokens, numbers = torch.randint(0, 5, (2, 4)), torch.randn(2, 6, 3)
    known = [torch.rand(2, 4) < 0.5, torch.rand(2, 6, 3) < 0.5]
    found = reconstruction(encoded, [ReconstructionTarget(tokens, known[0]), ReconstructionTarget(numbers, known[1])])
    first, second = (decoder(x) for decoder, x in zip(reconstruction.decoders, encoded, strict=True))
    expected = F.cross_entropy(first[known[0]], tokens[known[0]]) + F.mse_loss(second[known[1]], numbers[known[1]])
    torch.testing.assert_close(found, expected / 2)
    nothing = [ReconstructionTarget(tokens, known[0] & False), ReconstructionTarget(numbers, known[1] & False)]
    assert reconstruction(encoded, nothing) == 0
    with pytest.raises(ValueError, match="shorter"):
        reconstruction(encoded, nothing[:1])


def test_cells_are_those_of_the_tokens():
    images = torch.arange(2 * 5 * 6.0).view(1, 2, 5, 6)
    found = cells(images, 2)
    assert found.shape == (1, 3 * 3, 2 * 4)
    assert found[0, 4].tolist() == [*images[0, :, 2:4, 2:4].flatten().tolist()]
    target = image_target(images, 2)
    assert target.known.sum() == images.numel()
    assert not target.known[0, 6:, 2:4].any()  # the last row is half a cell
    for tokens in (ConvTokenizer(2, 8, (5, 6), 1), PatchEmbedding(2, 8, (5, 6), 2)):
        assert tokens(images).shape[1] == cells(images, tokens.side).size(1)
