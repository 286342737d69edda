"""What a sweep found, as a recipe for train.py, and the best of it trained again."""

import csv
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import optuna
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from optuna.trial import FrozenTrial, TrialState

from mla_train.errors import UserError
from mla_train.studies.jobs import Job, run_jobs
from mla_train.studies.space import word

SEEDS = (0, 1, 2)


def ranked(study: optuna.Study) -> list[FrozenTrial]:
    """Finished trials, the best first."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    sign = -1 if study.direction is optuna.study.StudyDirection.MAXIMIZE else 1
    return sorted(done, key=lambda trial: sign * (trial.value or 0.0))


def settings(trial: FrozenTrial) -> list[str]:
    """A trial's part of the command line."""
    return [f"{name}={word(value)}" for name, value in trial.params.items()]


def best_recipe(study: optuna.Study, words: list[str], groups: set[str], file: Path) -> None:
    """Writes the best trial as a choice of `experiment`.

    Args:
        study: With a finished trial.
        words: That all trials had.
        groups: Names that are chosen from folders of conf/.
        file: Where to.
    """
    trial = ranked(study)[0]
    chosen: list[Any] = []
    recipe: list[Any] = []
    keys = OmegaConf.create()
    for override in OverridesParser.create().parse_overrides([*words, *settings(trial)]):
        name, value = override.key_or_group, override.value()
        if name == "experiment":  # this file takes its place, so it has to build on it
            recipe.append(value)
        elif name in groups:
            chosen.append({f"override /{name}": value})
        elif name not in ("run_dir", "hardware.threads"):
            OmegaConf.update(keys, name, value)
    lines = [
        "# @package _global_",
        f"# Trial {trial.number} of {len(study.trials)}: {study.user_attrs['plan']['goal']} {trial.value:.4f}.",
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    body = OmegaConf.to_yaml(
        OmegaConf.merge({"defaults": [*recipe, *chosen, "_self_"]} if recipe or chosen else {}, keys)
    )
    file.write_text("\n".join(lines) + "\n" + body)


def retrain(
    study: optuna.Study, words: list[str], count: int, folder: Path, train: Path, parallel: int, threads: int
) -> None:
    """Trains the best trials again with three seeds; top.csv tells what they reach on val and test.

    A trial's own value is the best of many and flatters it; this is what it is worth.

    Args:
        study: Of the sweep.
        words: That all trials had.
        count: How many.
        folder: The sweep's.
        train: The file train.py.
        parallel: Runs at a time.
        threads: CPU threads of each.

    Raises:
        UserError: A run failed.
    """
    plain = [each for each in words if not each.startswith("seed=")]
    jobs = {
        trial.number: [
            Job([*plain, *settings(trial), f"seed={seed}"], folder / "top" / f"{trial.number:04d}" / str(seed))
            for seed in SEEDS
        ]
        for trial in ranked(study)[:count]
    }
    failed = run_jobs([job for some in jobs.values() for job in some], train, parallel, threads)
    for where, message in failed.items():
        raise UserError(f"{where}: {message}")
    metric = study.user_attrs["plan"]["goal"].removeprefix("val/")
    with (folder / "top.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(
            [
                "trial",
                "value",
                *(f"{split}_{what}" for split in ("val", "test") for what in ("mean", "std")),
                "settings",
            ]
        )
        for number, some in jobs.items():
            scores: dict[str, list[float]] = {"val": [], "test": []}
            for job in some:
                results = job.results
                assert results is not None
                for split, values in scores.items():
                    values.append(results["metrics"][split][metric])
            numbers = [round(what(values), 6) for values in scores.values() for what in (mean, stdev)]
            table.writerow([number, study.trials[number].value, *numbers, " ".join(settings(study.trials[number]))])
