"""The order of examples: every one once, whoever reads, from wherever."""

import numpy as np
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from mla_train.data.sampling import (
    DataPosition,
    TrainSampler,
    balanced,
    bucketed,
    evaluation_batches,
    mix,
    reseed,
    shuffled,
)

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
    position = DataPosition(epoch)
    samplers = [TrainSampler(plan, 0, position, world * steps, rank, world) for rank in range(world)]
    shards = [list(sampler) for sampler in samplers]
    assert {len(shard) for shard in shards} == {len(samplers[0])}
    for number, batch in enumerate(plan(epoch)):
        micro = [draw for shard in shards for part in shard[number * steps : (number + 1) * steps] for draw in part]
        assert sorted(draw.example for draw in micro) == sorted(batch)
        assert all(draw.seed == mix(0, epoch, draw.example) for draw in micro)


@given(size=sizes, start=st.integers(0, 10), epoch=st.integers(0, 3))
def test_an_epoch_can_be_entered_anywhere(size, start, epoch):
    sampler = TrainSampler(shuffled(size, 16, 3), 3)
    sampler.position.set(epoch)
    whole = list(sampler)
    sampler.position.set(epoch, start)
    assert list(sampler) == whole[start:]


classes = st.lists(st.integers(0, 4), min_size=1, max_size=200).map(np.array)


@given(classes=classes, batch_size=st.integers(1, 64), seed=st.integers(0, 9), epoch=st.integers(0, 3), data=st.data())
def test_a_balanced_epoch_draws_classes_alike_and_examples_of_a_class_alike(classes, batch_size, seed, epoch, data):
    lengths = np.random.default_rng(0).integers(1, 100, len(classes))
    draw = balanced(classes)
    for schedule in (shuffled(len(classes), batch_size, seed, draw), bucketed(lengths, batch_size, seed, draw=draw)):
        batches = schedule(epoch)
        drawn = np.concatenate(batches)
        assert len(batches) == -(-len(classes) // batch_size)
        assert max(map(len, batches)) <= batch_size
        assert len(drawn) == len(classes)
        counts = [(classes[drawn] == each).sum() for each in np.unique(classes)]
        assert max(counts) - min(counts) <= 1
        for each in np.unique(classes):
            repeats = np.bincount(drawn, minlength=len(classes))[classes == each]
            assert repeats.max() - repeats.min() <= 1
        assert all((one == other).all() for one, other in zip(batches, schedule(epoch), strict=True))
        # It can be entered anywhere, and processes share it.
        whole = list(TrainSampler(schedule, seed, DataPosition(epoch)))
        start = data.draw(st.integers(0, len(whole)))
        assert list(TrainSampler(schedule, seed, DataPosition(epoch, start))) == whole[start:]
        samples = [sample for batch in whole for sample in batch]
        assert len(set(samples)) == len(samples)  # each repetition is varied by its own seed
        if min(map(len, batches)) >= 2:
            shards = [list(TrainSampler(schedule, seed, DataPosition(epoch), 2, rank, 2)) for rank in range(2)]
            assert sorted(s for shard in shards for batch in shard for s in batch) == sorted(samples)


def test_balanced_epochs_differ_and_show_all_of_a_large_class_in_turn():
    draw = balanced(np.repeat([0, 1], [90, 10]))
    first, second = (np.concatenate(shuffled(100, 10, 0, draw)(epoch)) for epoch in (0, 1))
    assert set(first) != set(second)
    assert set(range(90, 100)) <= set(first) & set(second)


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


@given(size=sizes, batch_size=st.integers(1, 64), seed=st.integers(0, 9), epoch=st.integers(0, 3))
def test_buckets_hold_every_example_once_in_batches_of_even_size(size, batch_size, seed, epoch):
    lengths = np.random.default_rng(0).integers(1, 100, size)
    batches = bucketed(lengths, batch_size, seed)(epoch)
    assert sorted(np.concatenate(batches)) == list(range(size))
    assert len(batches) == len(shuffled(size, batch_size, seed)(epoch))
    assert max(map(len, batches)) <= batch_size


def padding_share(batches, lengths):
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    return 1 - lengths.sum() / padded


def test_buckets_leave_little_padding_on_sentences_and_reviews():
    generator = np.random.default_rng(0)
    for mean, spread in ((20, 0.5), (250, 0.7)):
        lengths = np.clip(generator.lognormal(np.log(mean), spread, 7000), 1, 1000).astype(int)
        assert padding_share(bucketed(lengths, 64, 0)(0), lengths) < 0.10
        assert padding_share(shuffled(7000, 64, 0)(0), lengths) > 0.45


def test_evaluation_in_buckets_sees_every_example_once():
    lengths = np.random.default_rng(0).integers(1, 100, 101)
    shards = [evaluation_batches(101, 8, rank, 2, lengths) for rank in range(2)]
    assert sorted(i for shard in shards for batch in shard for i in batch) == list(range(101))
    assert padding_share([np.array(b) for shard in shards for b in shard], lengths) < 0.1


@given(
    lengths=st.lists(st.integers(1, 500), min_size=1, max_size=200),
    batch_size=st.integers(1, 32),
    least=st.integers(1, 4),
)
def test_batches_of_even_tokens_hold_every_example_once_and_none_is_too_small(lengths, batch_size, least):
    lengths = np.array(lengths)
    schedule = bucketed(lengths, batch_size, 0, pool=5, even_tokens=True, least=least)
    assume(least * -(-len(lengths) // batch_size) <= len(lengths))
    first, second = schedule(0), schedule(1)
    assert sorted(np.concatenate(first)) == list(range(len(lengths)))
    assert len(first) == len(second) == -(-len(lengths) // batch_size)
    assert min(map(len, first)) >= least
