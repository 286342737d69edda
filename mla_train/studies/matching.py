"""Arms of a comparison before anything trains: composed, checked, their networks built, and made equally large."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

from mla_train.config import TrainConfig
from mla_train.data.module import DataModule
from mla_train.errors import UserError, require
from mla_train.studies.arms import RATIO, Arm, Match, Plan
from mla_train.training.build import build_data, build_task, check_hardware
from mla_train.training.run_folder import plain

TOLERANCE = 0.01
"""By how much, at most, matched parameters differ."""


@dataclass(frozen=True)
class CheckedArm:
    """An arm that can be trained.

    Attributes:
        arm: Its name and words.
        config: Of its runs, but for the seed.
        data: After `setup`; shared by arms that read the same.
        parameters: Of its network.
        change: What was made different to match it, a sentence; empty where nothing was.
    """

    arm: Arm
    config: TrainConfig
    data: DataModule
    parameters: int
    change: str = ""


def check_arms(plan: Plan, configs: Sequence[TrainConfig], config_dir: Path) -> list[CheckedArm]:
    """Reads the data, builds the networks and matches them as the plan says.

    Args:
        plan: What is compared.
        configs: Of its arms.
        config_dir: The folder conf/.

    Raises:
        UserError: The data or a network is not as it must be, arms are not scored on the same examples, or cannot be
            matched.
    """
    for config in configs:
        check_hardware(config)
    read: list[tuple[Any, DataModule]] = []
    checked: list[CheckedArm] = []
    examined: list[tuple[Any, ...]] = []
    for arm, config in zip(plan.arms, configs, strict=True):
        whole = plain(config)
        options = (whole["task"], whole["data"])
        data = next((data for known, data in read if known == options), None)
        if data is None:
            data = build_data(config)
            data.setup()
            read.append((options, data))
        parameters, metric = _measured(arm, config, data)
        split = getattr(config.data, "split_seed", None)
        examined.append((config.task.name, config.data.name, split, data.count("test"), metric))
        require(
            examined[-1] == examined[0],
            f"{arm.name} and {plan.arms[0].name} are not scored by the same metric on the same examples, so they cannot "
            "be compared: keep task, data and how data is split the same",
        )
        found = CheckedArm(arm, config, data, parameters)
        if plan.match is Match.parameters and checked:
            found = matched(found, checked[0], config_dir)
        checked.append(found)
    return checked


def _measured(arm: Arm, config: TrainConfig, data: DataModule) -> tuple[int, str]:
    """Parameters of an arm's network and the metric that it is judged by."""
    try:
        task = build_task(config, data.facts)
    except UserError as error:
        raise UserError(f"{arm.name}: {error}") from error
    return sum(p.numel() for p in task.parameters()), task.monitor


def matched(found: CheckedArm, first: CheckedArm, config_dir: Path) -> CheckedArm:
    """Widens or narrows the encoder's feed-forward parts until the network is as large as the first.

    Args:
        found: The arm as configured.
        first: What it is made equal to.
        config_dir: The folder conf/.

    Raises:
        UserError: No width makes them equal.
    """
    target = first.parameters
    if found.parameters == target:
        return found
    dim, before = found.config.encoder.dim, found.config.encoder.mlp_ratio

    def at(ratio: float) -> CheckedArm:
        arm = replace(found.arm, words=(*found.arm.words, f"{RATIO}={ratio:.8g}"))
        config = arm.compose(config_dir)
        return replace(found, arm=arm, config=config, parameters=_measured(arm, config, found.data)[0])

    # Parameters grow by as much with each unit of the hidden width.
    per_ratio = at(before + 1).parameters - found.parameters
    wanted = before + (target - found.parameters) / per_ratio if per_ratio else 0.0
    # Rounded up to what is readable, the ratio times dim is cut back to this very number.
    hidden = max(1, round(wanted * dim))
    closest = at(ceil(1e4 * hidden / dim) / 1e4) if per_ratio else found
    if abs(closest.parameters - target) > TOLERANCE * target:
        raise UserError(
            f"match=parameters: with {RATIO} alone {found.arm.name} comes from {found.parameters:,} parameters to "
            f"{closest.parameters:,} at best, {first.arm.name} has {target:,}; choose match=width or another {RATIO}"
        )
    ratio = closest.config.encoder.mlp_ratio
    change = f"{found.arm.name}: {RATIO} {before:g} became {ratio:g}, so {found.parameters:,} parameters became {closest.parameters:,}"
    return replace(closest, change=change)
