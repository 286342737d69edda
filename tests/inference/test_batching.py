"""The queue in front of a model: what arrives together is predicted together, and each gets its own."""

import threading
import time

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from mla_train.inference.serve.batching import Batcher
from mla_train.inference.serve.limits import RequestError


class Model:
    """Doubles numbers; waits while it is held."""

    def __init__(self):
        self.batches, self.free = [], threading.Event()
        self.free.set()

    def __call__(self, examples):
        self.batches.append(list(examples))
        self.free.wait(5)
        if "fault" in examples:
            raise ValueError("fault")
        return [{"prediction": 2 * example} for example in examples]


@pytest.fixture
def model():
    """What is served."""
    return Model()


def values(future):
    return [record["prediction"] for record in future.result(5)]


def test_what_queues_up_is_the_next_batch(model):
    batcher = Batcher(model, capacity=100, batch_size=8)
    model.free.clear()
    futures = [batcher.submit([0])]
    while not model.batches:
        time.sleep(0.001)
    futures += [batcher.submit([number, number + 0.5]) for number in range(1, 7)]
    assert batcher.waiting == 12
    model.free.set()
    assert [values(future) for future in futures] == [[0], *([2 * n, 2 * n + 1] for n in range(1, 7))]
    assert [len(batch) for batch in model.batches] == [1, 8, 4]
    batcher.close()
    assert not batcher.alive


def test_a_single_client_never_waits(model):
    batcher = Batcher(model, capacity=100, delay=0.5)
    start = time.monotonic()
    for number in range(20):
        assert values(batcher.submit([number])) == [2 * number]
    assert time.monotonic() - start < 0.5
    batcher.close()


def keep_busy(model, batcher):
    """The first request, with which the model is busy until `model.free` is set."""
    model.free.clear()
    first = batcher.submit([1])
    while not model.batches:
        time.sleep(0.001)
    return first


def test_only_the_request_at_fault_fails(model):
    batcher = Batcher(model, capacity=100)
    first = keep_busy(model, batcher)
    good, bad, other = batcher.submit([2]), batcher.submit(["fault"]), batcher.submit([3])
    model.free.set()
    assert values(first) + values(good) + values(other) == [2, 4, 6]
    with pytest.raises(ValueError, match="fault"):
        bad.result(5)
    batcher.close()


def test_who_gave_up_is_left_out_and_too_many_are_refused(model):
    batcher = Batcher(model, capacity=3)
    first = keep_busy(model, batcher)
    gone, kept = batcher.submit([2]), batcher.submit([3])
    gone.cancel()
    with pytest.raises(RequestError, match="2 examples are waiting") as refused:
        batcher.submit([4, 5])
    assert refused.value.status == 503
    model.free.set()
    assert values(first) + values(kept) == [2, 6]
    assert model.batches == [[1], [3]]
    assert batcher.waiting == 0
    batcher.close()


def test_what_is_queued_is_answered_before_the_end(model):
    batcher = Batcher(model, capacity=100, batch_size=1)
    futures = [batcher.submit([number]) for number in range(5)]
    batcher.close()
    assert [values(future) for future in futures] == [[0], [2], [4], [6], [8]]


def test_a_panic_of_a_library_ends_no_thread():
    class Panic(BaseException):
        pass

    def fail(examples):
        if "fault" in examples:
            raise Panic("fault")
        return [{"prediction": each} for each in examples]

    batcher = Batcher(fail, capacity=100)
    with pytest.raises(RuntimeError, match="Panic: fault"):
        batcher.submit(["fault"]).result(5)
    assert values(batcher.submit([1])) == [1]
    batcher.close()
