"""`trainer.KEY=value`: what is passed on to Lightning, what the run sets itself, callbacks of one's own."""

import inspect

import lightning as L
import pytest
from lightning.pytorch.callbacks import Callback, Timer

from mla_train.config.overrides import compose_overrides
from mla_train.config.trainer import OWNED, PASSED, trainer_arguments, user_callbacks
from mla_train.errors import UserError
from tests.helpers import ROOT, config

TIMER = "trainer.callbacks=[{_target_: lightning.pytorch.callbacks.Timer, interval: epoch}]"


def test_all_arguments_of_lightning_are_known():
    known = set(inspect.signature(L.Trainer.__init__).parameters) - {"self", "callbacks"}
    assert known == PASSED | OWNED.keys()
    assert not PASSED & OWNED.keys()


def test_arguments_are_accepted_without_a_plus():
    assert config().trainer == {}
    settings = config("trainer.limit_train_batches=5", "trainer.max_time=00:01:00:00", TIMER)
    assert trainer_arguments(settings.trainer) == {"limit_train_batches": 5, "max_time": "00:01:00:00"}
    assert (
        L.Trainer(logger=False, enable_checkpointing=False, **trainer_arguments(settings.trainer)).limit_train_batches
        == 5
    )
    (timer,) = user_callbacks(settings.trainer, Callback)
    assert isinstance(timer, Timer)
    assert timer._interval == "epoch"


@pytest.mark.parametrize("name", OWNED)
def test_what_the_run_sets_is_refused_with_the_option_to_use(name):
    with pytest.raises(UserError, match=rf"trainer\.{name} .*(use {OWNED[name]}$|remove it$)"):
        config(f"trainer.{name}=1")


@pytest.mark.parametrize("name", OWNED)
def test_the_options_to_use_instead_exist(name):
    words = {"run_dir": "run_dir=x", "logger": "logger=csv"}
    option = OWNED[name]
    if option is not None and "=" in option:
        config(option)
    elif option is not None:
        node, _, leaf = option.rpartition(".")
        settings = config(*filter(None, [words.get(option)]))
        assert hasattr(getattr(settings, node) if node else settings, leaf)


def test_misspelled_arguments_and_callbacks_are_answered(tmp_path):
    with pytest.raises(UserError, match=r"Did you mean max_time\?"):
        compose_overrides(ROOT / "conf", ["trainer.max_tiem=1"])
    for value in ("x", "[x]", "[{a: 1}]", "[{_target_: Timer}]"):
        with pytest.raises(UserError, match=r"trainer\.callbacks: must be a list"):
            config(f"trainer.callbacks={value}")


@pytest.mark.parametrize(
    ("callback", "part"),
    [
        ({"_target_": "os.system", "command": "exit"}, "os.system must be a subclass of Callback"),
        ({"_target_": "nowhere.Mine"}, "nowhere.Mine must be a subclass of Callback"),
        ({"_target_": "lightning.pytorch.callbacks.Timre"}, "must be a subclass of Callback"),
        ({"_target_": "lightning.pytorch.callbacks.Timer", "intreval": "epoch"}, "intreval"),
    ],
)
def test_only_callbacks_are_called(callback, part):
    with pytest.raises(UserError, match=part):
        user_callbacks({"callbacks": [callback]}, Callback)
