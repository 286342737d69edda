"""The order of examples: every one once, whoever reads, from wherever."""

import numpy as np
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from mla_train.data.sampling import TrainSampler, evaluation_batches, mix, reseed, shuffled

sizes = st.integers(1, 300)


@given(size=sizes, batch_size=st.integers(1, 64), seed=st.integers(0, 99), epoch=st.integers(0, 5))
def test_an_epoch_holds_every_example_once_in_batches_of_even_size(size, batch_size, seed, epoch):
    batches = shuffled(size, batch_size, seed)(epoch)
    assert sorted(np.concatenate(batches)) == list(range(size))
    lengths = {len(batch) for batch in batches}
    assert max(lengths) <= batch_size
    assert max(lengths) - min(lengths) <= 1


@given(
    size=sizes, batch_size=st.integers(1, 64), world=st.integers(1, 4), steps=st.integers(1, 3), epoch=st.integers(0, 3)
)
def test_processes_and_accumulation_share_the_batches_of_one_process(size, batch_size, world, steps, epoch):
    plan = shuffled(size, batch_size, 0)
    assume(min(len(batch) for batch in plan(0)) >= world * steps)
    samplers = [TrainSampler(plan, 0, world * steps, rank, world) for rank in range(world)]
    for sampler in samplers:
        sampler.set_position(epoch)
    shards = [list(sampler) for sampler in samplers]
    assert {len(shard) for shard in shards} == {len(samplers[0])}
    for number, batch in enumerate(plan(epoch)):
        micro = [draw for shard in shards for part in shard[number * steps : (number + 1) * steps] for draw in part]
        assert sorted(draw.example for draw in micro) == sorted(batch)
        assert all(draw.seed == mix(0, epoch, draw.example) for draw in micro)


@given(size=sizes, start=st.integers(0, 10), epoch=st.integers(0, 3))
def test_an_epoch_can_be_entered_anywhere(size, start, epoch):
    sampler = TrainSampler(shuffled(size, 16, 3), 3)
    sampler.set_position(epoch)
    whole = list(sampler)
    sampler.set_position(epoch, start)
    assert list(sampler) == whole[start:]


def test_order_follows_seed_and_epoch():
    first, again, other = (np.concatenate(shuffled(100, 10, seed)(0)) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()
    assert (first != np.concatenate(shuffled(100, 10, 0)(1))).any()


@given(size=sizes, batch_size=st.integers(1, 64), world=st.integers(1, 4))
def test_evaluation_sees_every_example_once_in_as_many_batches_a_process(size, batch_size, world):
    assume(size >= world)
    shards = [evaluation_batches(size, batch_size, rank, world) for rank in range(world)]
    assert sorted(i for shard in shards for batch in shard for i in batch) == list(range(size))
    assert len({len(shard) for shard in shards}) == 1
    if size >= batch_size * world:
        assert max(len(batch) for shard in shards for batch in shard) <= batch_size


def test_reseeding_repeats_the_numbers():
    reseed(5)
    first = torch.rand(3)
    reseed(5)
    assert torch.equal(first, torch.rand(3))
