"""Runs a comparison: trains what is missing, reads the results, times inference."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice, product
from pathlib import Path
from typing import Any

import torch
import yaml

from mla_train.config.stored import read_stored
from mla_train.errors import UserError, require
from mla_train.fingerprint import differences, fingerprint
from mla_train.inference.artifact import load_model
from mla_train.locks import lock, owner
from mla_train.masking import mask_options, mask_word
from mla_train.safe_files import UNFINISHED, write_atomically
from mla_train.studies.comparison import Comparison, VariantResults, listed
from mla_train.studies.comparison_page import Circumstances, check_results
from mla_train.studies.jobs import group_overrides, run_jobs
from mla_train.studies.launch import available_threads
from mla_train.studies.parameter_matching import CheckedVariant
from mla_train.studies.timing import inference_speeds
from mla_train.studies.variants import Plan
from mla_train.training.loaders import evaluation_loader
from mla_train.training.run_folder import refuse_links
from mla_train.training.start_weights import start_fingerprint

CLAIM, LOCK = "comparison.yaml", ".lock"
TIMED_BATCHES = 32
"""Greatest number of batches of the test split that inference is timed on."""


def compare(
    plan: Plan, variants: Sequence[CheckedVariant], train: Path, command: str
) -> tuple[Comparison, Circumstances]:
    """Trains what is not finished and collects the numbers; `command` runs the comparison again.

    Raises:
        UserError: The folder holds something else, cannot be written, or another process runs the comparison.
    """
    threads = variants[0].config.hardware.threads or max(1, available_threads() // plan.n_jobs)
    overrides = {checked.variant.name: [mask_word(each) for each in checked.variant.overrides] for checked in variants}
    contents = {"threads": threads, "variants": overrides}
    _is_begun(plan.run_dir, contents)  # before a file is written into a folder of something else
    try:
        plan.run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(plan.run_dir, error) from error
    file = plan.run_dir / LOCK
    with lock(file) as is_free:
        require(is_free, f"{plan.run_dir} is being run by another process ({owner(file)}); wait for it or stop it")
        if not _is_begun(plan.run_dir, contents):
            text = yaml.safe_dump(contents, sort_keys=False, width=1000, allow_unicode=True)
            try:
                write_atomically(plan.run_dir / CLAIM, mask_options(f"# {command}\n{text}"))
            except OSError as error:
                raise _unwritable(plan.run_dir, error) from error
        return _run(plan, variants, train, command, threads)


def _run(
    plan: Plan, variants: Sequence[CheckedVariant], train: Path, command: str, threads: int
) -> tuple[Comparison, Circumstances]:
    jobs = {}
    for seed, checked in product(range(plan.seeds), variants):
        job = checked.variant.job(plan.run_dir, seed, plan.words(seed))
        overrides = [*job.overrides, *group_overrides(checked.config, plan.run_dir, "compare")]
        jobs[checked.variant.name, seed] = replace(job, overrides=overrides)
    failed = run_jobs(jobs.values(), train, plan.n_jobs, threads)
    outcomes, folders, first = [], {}, None
    for checked in variants:
        name = checked.variant.name
        own = {seed: jobs[name, seed] for seed in range(plan.seeds)}
        runs = {seed: results for seed, job in own.items() if (results := job.results) is not None}
        for seed, results in runs.items():
            check_results(results, own[seed].folder, first)
            first = first or results
        errors = {seed: failed[job.folder] for seed, job in own.items() if job.folder in failed}
        outcomes.append(VariantResults(name, checked.parameters, runs, errors))
        folders[name] = {seed: job.folder for seed, job in own.items()}
    torch.set_num_threads(threads)
    speeds = _time_inference(variants, outcomes, plan)
    outcomes = [replace(each, inference=speeds.get(each.name)) for each in outcomes]
    changes = [checked.change for checked in variants if checked.change]
    comparison = Comparison(plan.compared, plan.seeds, outcomes, plan.folds, _changed_data(variants, outcomes, plan))
    return comparison, Circumstances(command, folders, changes, threads, plan.n_jobs)


def _changed_data(variants: Sequence[CheckedVariant], outcomes: Sequence[VariantResults], plan: Plan) -> list[str]:
    """Sentences about runs that were trained on other data than there is now; the data read here is that of fold 0."""
    changed: dict[str, list[str]] = {}
    now = {id(data): fingerprint(data) for data in {id(each.data): each.data for each in variants}.values()}
    for checked, outcome in zip(variants, outcomes, strict=True):
        starts = start_fingerprint(checked.config)
        for seed, results in outcome.runs.items():
            known = {} if results.get("debug") or (plan.folds and seed) else results.get("fingerprint")
            words = "; ".join(differences(known, now[id(checked.data)] | starts)) if known else ""
            if words:
                changed.setdefault(words, []).append(str(checked.variant.job(plan.run_dir, seed).folder))
    return [
        f"NOT COMPARABLE: the data has changed since {listed(folders)} {'was' if len(folders) == 1 else 'were'} trained "
        f"({words}). Remove {'it' if len(folders) == 1 else 'them'} and run the comparison again."
        for words, folders in changed.items()
    ]


def _time_inference(
    variants: Sequence[CheckedVariant], outcomes: Sequence[VariantResults], plan: Plan
) -> dict[str, float]:
    """Examples a second of the first finished model of each variant, in batches of one size."""
    models = {}
    batch_size = variants[0].config.batch_size
    for checked, outcome in zip(variants, outcomes, strict=True):
        if 0 in outcome.runs or (outcome.runs and not plan.folds):  # the test split here is that of fold 0
            artifact = load_model(checked.variant.job(plan.run_dir, min(outcome.runs)).folder, config=checked.config)
            loader = evaluation_loader(checked.data, replace(checked.config, batch_size=batch_size), "test")
            models[outcome.name] = (artifact, islice(loader, TIMED_BATCHES))
    return inference_speeds(models) if models else {}


def _is_begun(folder: Path, contents: Mapping[str, Any]) -> bool:
    """Whether a folder holds this comparison; an error where it holds another one, or something else."""
    file = folder / CLAIM
    refuse_links(folder)
    try:
        if not file.is_file():
            if folder.is_dir() and not all(each.name.startswith((UNFINISHED, LOCK)) for each in folder.iterdir()):
                raise UserError(f"run_dir={folder} is not empty and holds no comparison; name an empty or a new folder")
            return False
        stored = read_stored(file)
    except OSError as error:
        raise _unwritable(folder, error) from error
    # Variants are compared to the first, so their order counts.
    variants, threads = contents["variants"], contents["threads"]
    if stored.get("variants") != variants or [*stored["variants"]] != [*variants]:
        raise UserError(f"run_dir={folder} holds another comparison, see {file}: name another folder")
    require(
        stored.get("threads") == threads,
        f"run_dir={folder} was started with {stored.get('threads')} CPU threads a run, not with {threads}: "
        f"add hardware.threads={stored.get('threads')}",
    )
    return True


def _unwritable(folder: Path, error: OSError) -> UserError:
    return UserError(f"run_dir={folder}: {error.strerror}; name a folder that can be written")
