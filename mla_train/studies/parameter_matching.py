"""Variants of a comparison before training: data read, networks built and, if asked for, made equally large."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

from mla_train.config import TrainConfig
from mla_train.dataset import Dataset
from mla_train.errors import UserError, require
from mla_train.studies.variants import MLP_RATIO, Match, Plan, Variant
from mla_train.task import build_task
from mla_train.training.factory import check_hardware
from mla_train.training.run_folder import plain

TOLERANCE = 0.01
"""Greatest relative difference between matched numbers of parameters."""


@dataclass(frozen=True)
class CheckedVariant:
    """A variant that can be trained: config of its runs without the seed, data, size, and how it was matched."""

    variant: Variant
    config: TrainConfig
    data: Dataset
    parameters: int
    change: str = ""


def check_variants(plan: Plan, configs: Sequence[TrainConfig], config_dir: Path) -> list[CheckedVariant]:
    """Reads the data, builds the networks and matches their parameters if the plan says so.

    Raises:
        UserError: The data or a network is not as it must be, variants are not scored on the same examples, or cannot
            be matched.
    """
    for config in configs:
        check_hardware(config)
    loaded: list[tuple[Any, Dataset]] = []
    checked: list[CheckedVariant] = []
    scored: list[tuple[Any, ...]] = []
    for variant, config in zip(plan.variants, configs, strict=True):
        values = plain(config)
        options = (values["task"], values["data"], values["init"])  # another run may give the vocabulary
        data = next((data for known, data in loaded if known == options), None)
        if data is None:
            data = build_task(config).load_data()
            loaded.append((options, data))
        parameters, metric = _parameters_and_metric(variant, config, data)
        split_seed = getattr(config.data, "split_seed", None)
        scored.append((config.task.name, config.data.name, split_seed, data.count("test"), metric))
        require(
            scored[-1] == scored[0],
            f"{variant.name} and {plan.variants[0].name} are not scored by the same metric on the same examples, so they "
            "cannot be compared: keep task, data and the split the same",
        )
        candidate = CheckedVariant(variant, config, data, parameters)
        if plan.match is Match.parameters and checked:
            candidate = match_parameters(candidate, checked[0], config_dir)
        checked.append(candidate)
    return checked


def _parameters_and_metric(variant: Variant, config: TrainConfig, data: Dataset) -> tuple[int, str]:
    """Number of parameters of a variant's network, and the metric that chooses its checkpoint."""
    try:
        model = build_task(config).build_model(data.spec)
    except UserError as error:
        raise UserError(f"{variant.name}: {error}") from error
    return sum(p.numel() for p in model.parameters()), model.head.monitor


def match_parameters(candidate: CheckedVariant, first: CheckedVariant, config_dir: Path) -> CheckedVariant:
    """Changes the width of the encoder's feed-forward layers until the network is as large as the first."""
    target = first.parameters
    if candidate.parameters == target:
        return candidate
    dim, before = candidate.config.encoder.dim, candidate.config.encoder.mlp_ratio

    def at(ratio: float) -> CheckedVariant:
        overrides = (*candidate.variant.overrides, f"{MLP_RATIO}={ratio:.8g}")
        variant = replace(candidate.variant, overrides=overrides)
        config = variant.compose(config_dir)
        parameters, _ = _parameters_and_metric(variant, config, candidate.data)
        return replace(candidate, variant=variant, config=config, parameters=parameters)

    # The number of parameters is linear in the hidden width.
    per_ratio = at(before + 1).parameters - candidate.parameters
    wanted = before + (target - candidate.parameters) / per_ratio if per_ratio else 0.0
    # The ratio is rounded up to four digits; times dim it is cut back to this hidden width.
    hidden = max(1, round(wanted * dim))
    closest = at(ceil(1e4 * hidden / dim) / 1e4) if per_ratio else candidate
    if abs(closest.parameters - target) > TOLERANCE * target:
        raise UserError(
            f"match=parameters: {MLP_RATIO} alone brings {candidate.variant.name} from {candidate.parameters:,} parameters "
            f"to {closest.parameters:,} at best, and {first.variant.name} has {target:,}; use match=width or another "
            f"{MLP_RATIO}"
        )
    ratio = closest.config.encoder.mlp_ratio
    change = (
        f"{candidate.variant.name}: {MLP_RATIO} changed from {before:g} to {ratio:g}, and the number of parameters from "
        f"{candidate.parameters:,} to {closest.parameters:,}"
    )
    return replace(closest, change=change)
