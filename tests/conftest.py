"""Fixtures of all tests."""

import gc
import os
import sys

import pytest

from mla_train.program import imports

with imports():
    import torch
    from absl import logging

    from tests.helpers import SHARED_DATA

# Programs that tests start inherit these: no account, no hub, one thread each so that two tests can run beside each other.
os.environ["WANDB_MODE"] = "offline"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)
os.environ.pop("MLA_TRAIN_RUN_DIR", None)
os.fsync = lambda handle: None  # nobody pulls the plug

# rouge-score loads absl, whose handler closes the stream that it found, here pytest's own, when logging is configured anew, as
# by uvicorn; it leaves the real one open.
logging.get_absl_handler().python_handler.stream = sys.__stderr__


@pytest.fixture(autouse=True, scope="session")
def one_cache(tmp_path_factory):
    """What a test session computes is kept apart from the user's, and shared by its processes."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    os.environ["MLA_TRAIN_CACHE"] = str(folder / "cache")


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real data sets; tests that need it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the data sets are not at {SHARED_DATA}")
    return SHARED_DATA


def pytest_collection():
    gc.disable()


def pytest_collection_finish():
    gc.enable()
