"""`trainer.KEY=value`: arguments that are handed to lightning.Trainer as they are, and callbacks of one's own."""

import importlib
from typing import Any

from mla_train.errors import did_you_mean, require

OWNED = {
    "accelerator": "hardware.accelerator",
    "devices": "hardware.devices",
    "strategy": "hardware.strategy",
    "precision": "hardware.precision",
    "deterministic": "hardware.deterministic",
    "accumulate_grad_batches": "hardware.accumulate_grad_batches",
    "gradient_clip_val": "optimizer.gradient_clip",
    "max_epochs": "epochs",
    "log_every_n_steps": "logger.every",
    "logger": "logger",
    "profiler": "debug=profile",
    "fast_dev_run": "debug=fast",
    "overfit_batches": "debug.overfit",
    "default_root_dir": "run_dir",
    "enable_checkpointing": "checkpoint.keep",
    "barebones": None,
    "num_sanity_val_steps": None,
    "use_distributed_sampler": None,
}
"""Arguments that the run sets itself, and the option to use instead, if there is one."""
PASSED = {
    "benchmark", "check_val_every_n_epoch", "detect_anomaly", "enable_autolog_hparams", "enable_model_summary",
    "enable_progress_bar", "gradient_clip_algorithm", "inference_mode", "limit_predict_batches", "limit_test_batches",
    "limit_train_batches", "limit_val_batches", "max_steps", "max_time", "min_epochs", "min_steps", "model_registry",
    "num_nodes", "plugins", "reload_dataloaders_every_n_epochs", "sync_batchnorm", "val_check_interval",
}  # fmt: skip
"""Arguments that are passed on. They are listed so that a misspelled one is answered before Lightning is loaded."""


def check_trainer(trainer: dict[str, Any]) -> None:
    """Refuses arguments that the run sets itself, unknown ones, and callbacks that name no class."""
    for name in trainer:
        require(
            name not in OWNED,
            f"trainer.{name} is set by the run; " + (f"use {OWNED.get(name)}" if OWNED.get(name) else "remove it"),
        )
        require(
            name in PASSED or name == "callbacks",
            f"unknown key trainer.{name}. {did_you_mean(name, PASSED | {'callbacks'})}",
        )
    require(
        trainer.get("limit_val_batches", 1) not in (0, None),
        "trainer.limit_val_batches=0: the model is chosen on the validation split; remove it, or give 1 or more",
    )
    require(
        isinstance(trainer.get("val_check_interval", 1), int | float),
        f"trainer.val_check_interval={trainer.get('val_check_interval')}: must be a number, of batches or the share of an epoch",
    )
    callbacks = trainer.get("callbacks", [])
    require(
        isinstance(callbacks, list)
        and all(isinstance(each, dict) and "." in str(each.get("_target_")) for each in callbacks),
        "trainer.callbacks: must be a list of classes by their import path, such as "
        "'trainer.callbacks=[{_target_: my.Callback}]'",
    )


def trainer_arguments(trainer: dict[str, Any]) -> dict[str, Any]:
    """Arguments of lightning.Trainer that the user gave; callbacks are apart, see `user_callbacks`."""
    return {name: value for name, value in trainer.items() if name != "callbacks"}


def user_callbacks(trainer: dict[str, Any], base: type) -> list[Any]:
    """Callbacks of the user, made from `{_target_: module.Class, argument: value}`.

    Args:
        trainer: Options below `trainer`, checked.
        base: Class that all callbacks must inherit from (lightning.Callback); nothing else is called.

    Raises:
        UserError: A class cannot be imported, is no callback, or does not take the arguments.
    """
    callbacks = []
    for options in trainer.get("callbacks", []):
        target = str(options["_target_"])
        module, _, name = target.rpartition(".")
        try:
            cls = getattr(importlib.import_module(module), name, None)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise
            cls = None
        require(
            isinstance(cls, type) and issubclass(cls, base),
            f"trainer.callbacks: {target} must be a subclass of {base.__name__} that can be imported, beside train.py or "
            "from the folder given with --config-dir",
        )
        assert cls is not None
        try:
            callbacks.append(cls(**{key: value for key, value in options.items() if key != "_target_"}))
        except TypeError as error:
            require(False, f"trainer.callbacks: {target}: {error}")
    return callbacks
