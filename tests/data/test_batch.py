"""Batches: padding, and moving all tensors at once."""

from dataclasses import dataclass

import torch
from hypothesis import given
from hypothesis import strategies as st

from mla_train.data.batch import Batch, map_tensors, pad_stack


@given(lengths=st.lists(st.integers(0, 12), min_size=1, max_size=8), width=st.integers(0, 3))
def test_padding_fills_up_with_zeros_and_marks_what_it_filled(lengths, width):
    shape = (width,) * (width > 0)
    values = [torch.randint(1, 9, (length, *shape)) for length in lengths]
    stacked, padding = pad_stack(values)
    assert stacked.shape == (len(values), max(1, *lengths), *shape)
    assert stacked.dtype == values[0].dtype
    assert padding.shape == stacked.shape[:2]
    for row, mask, value in zip(stacked, padding, values, strict=True):
        assert torch.equal(row[~mask], value)
        assert not row[mask].any()
        assert mask.tolist() == [False] * len(value) + [True] * (len(mask) - len(value))


def test_all_tensors_of_a_batch_are_mapped_and_nothing_else():
    @dataclass
    class Tensors:
        values: torch.Tensor
        pair: tuple
        name: str
        nothing: None = None

    batch = Batch(torch.arange(2), {"a": Tensors(torch.ones(2), (torch.ones(1), "x"), "name")}, torch.zeros(2))
    doubled = map_tensors(lambda tensor: tensor * 2, batch)
    assert doubled.index.tolist() == [0, 2]
    assert doubled.inputs["a"].values.tolist() == [2, 2]
    assert doubled.inputs["a"].pair == (torch.tensor([2.0]), "x")
    assert (doubled.inputs["a"].name, doubled.inputs["a"].nothing, doubled.sequence) == ("name", None, None)
    assert batch.inputs["a"].values.tolist() == [1, 1]
    assert len(batch.to("cpu")) == 2
