"""The best trials of a sweep: as a recipe for train.py, and trained again with several seeds."""

import csv
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import optuna
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from optuna.trial import FrozenTrial, TrialState

from mla_train.errors import UserError
from mla_train.masking import mask_options
from mla_train.safe_files import atomic_path, write_atomically
from mla_train.studies.jobs import Job, run_jobs
from mla_train.studies.search_space import as_override
from mla_train.training.scores import kept_starts_sentence

SEEDS = (0, 1, 2)


def ranked(study: optuna.Study) -> list[FrozenTrial]:
    """Finished trials, the best first."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    sign = -1 if study.direction is optuna.study.StudyDirection.MAXIMIZE else 1
    return sorted(done, key=lambda trial: sign * (trial.value or 0.0))


def settings(trial: FrozenTrial) -> list[str]:
    """Overrides that a trial chose."""
    return [f"{name}={as_override(value)}" for name, value in trial.params.items()]


def best_trial(study: optuna.Study) -> list[str]:
    """Value and settings of the best trial, and what says that it is not better than others, as lines; none without one."""
    done = ranked(study)
    if not done:
        return []
    lines = [f"Best: {done[0].value:.4f} with {' '.join(settings(done[0]))}"]
    if len(done) > 1 and len({trial.value for trial in done}) == 1:
        lines.append(f"All {len(done)} complete trials have this value: none of their settings is better than another.")
    names = [str(trial.user_attrs.get("kept_start", "")) for trial in done]
    kept = kept_starts_sentence(names, "complete trials", "searches for the best network")
    return [*lines, *[kept] * bool(kept)]


def best_recipe(study: optuna.Study, overrides: list[str], groups: set[str], file: Path) -> None:
    """Writes the best trial as a choice of `experiment`, with the overrides of all trials."""
    trial = ranked(study)[0]
    chosen: list[Any] = []
    recipe: list[Any] = []
    keys = OmegaConf.create()
    for override in OverridesParser.create().parse_overrides([*overrides, *settings(trial)]):
        name, value = override.key_or_group, override.value()
        if name == "experiment":  # this file takes its place, so it includes it
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
    write_atomically(file, mask_options("\n".join(lines) + "\n" + body))


def retrain(
    study: optuna.Study, overrides: list[str], count: int, folder: Path, train: Path, parallel: int, threads: int
) -> None:
    """Trains the best trials again with three seeds and writes their scores on val and test to top.csv.

    The value of the best of many trials is biased upwards, and by less the scores on val, which chose the settings; those on
    test are not.
    """
    shared = [each for each in overrides if not each.startswith("seed=")]
    jobs = {
        trial.number: [
            Job([*shared, *settings(trial), f"seed={seed}"], folder / "top" / f"{trial.number:04d}" / str(seed))
            for seed in SEEDS
        ]
        for trial in ranked(study)[:count]
    }
    failed = run_jobs([job for runs in jobs.values() for job in runs], train, parallel, threads)
    for run, message in failed.items():
        raise UserError(f"{run}: {message}")
    metric = study.user_attrs["plan"]["goal"].removeprefix("val/")
    with atomic_path(folder / "top.csv") as part, part.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["trial", "value", "val_mean", "val_std", "test_mean", "test_std", "settings"])
        for number, runs in jobs.items():
            all_metrics = [job.results["metrics"] for job in runs if job.results is not None]
            scores = [[metrics[split][metric] for metrics in all_metrics] for split in ("val", "test")]
            numbers = [round(statistic(values), 6) for values in scores for statistic in (mean, stdev)]
            table.writerow([number, study.trials[number].value, *numbers, " ".join(settings(study.trials[number]))])
