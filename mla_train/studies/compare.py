"""A comparison from its plan to its page: trains what is missing, reads what runs left, times the models."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice, product
from pathlib import Path

import torch
import yaml

from mla_train.errors import UserError, require
from mla_train.studies.arms import Plan
from mla_train.studies.comparison import ArmResults, Comparison
from mla_train.studies.comparison_page import Circumstances
from mla_train.studies.jobs import run_jobs
from mla_train.studies.matching import CheckedArm
from mla_train.studies.timing import inference_speeds
from mla_train.studies.wandb_group import group_words
from mla_train.training.loaders import evaluation_loader
from mla_train.training.model_folder import load_model

TIMED_BATCHES = 32
"""Of the test split, at most."""


def compare(plan: Plan, arms: Sequence[CheckedArm], train: Path, command: str) -> tuple[Comparison, Circumstances]:
    """Runs what is not finished and gathers the numbers.

    Args:
        plan: What is compared.
        arms: From `check_arms`.
        train: The file train.py.
        command: To run the comparison again.

    Raises:
        UserError: The folder holds something else, or cannot be written.
    """
    threads = arms[0].config.hardware.threads or max(1, (os.cpu_count() or 1) // plan.n_jobs)
    _claim(plan, arms, threads, command)
    jobs = {}
    for seed, arm in product(range(plan.seeds), arms):
        job = arm.arm.job(plan.run_dir, seed)
        words = [*job.words, *group_words(arm.config, plan.run_dir, "compare")]
        jobs[arm.arm.name, seed] = replace(job, words=words)
    for job in jobs.values():
        try:
            _ = job.results
        except json.JSONDecodeError as error:
            raise UserError(
                f"{job.folder / 'results.json'} cannot be read: remove {job.folder} to run it again"
            ) from error
    failed = run_jobs(jobs.values(), train, plan.n_jobs, threads)
    found = []
    for arm in arms:
        mine = {seed: jobs[arm.arm.name, seed] for seed in range(plan.seeds)}
        runs = {seed: results for seed, job in mine.items() if (results := job.results) is not None}
        lost = {seed: failed[job.folder] for seed, job in mine.items() if job.folder in failed}
        found.append(ArmResults(arm.arm.name, arm.parameters, runs, lost))
    folders = {arm.arm.name: {seed: jobs[arm.arm.name, seed].folder for seed in range(plan.seeds)} for arm in arms}
    torch.set_num_threads(threads)
    speeds = _inference(arms, found, plan)
    found = [replace(arm, inference=speeds.get(arm.name)) for arm in found]
    changes = [arm.change for arm in arms if arm.change]
    return Comparison(plan.compared, plan.seeds, found), Circumstances(command, folders, changes, threads, plan.n_jobs)


def _inference(arms: Sequence[CheckedArm], found: Sequence[ArmResults], plan: Plan) -> dict[str, float]:
    """Examples a second of the first finished model of each arm, all in batches of the size of the first arm's."""
    models = {}
    for arm, results in zip(arms, found, strict=True):
        if results.runs:
            task = load_model(arm.arm.job(plan.run_dir, min(results.runs)).folder)
            loader = evaluation_loader(
                arm.data, replace(arm.config, batch_size=arms[0].config.batch_size), "test", 0, 1
            )
            models[arm.arm.name] = (task, islice(loader, TIMED_BATCHES))
    return inference_speeds(models) if models else {}


def _claim(plan: Plan, arms: Sequence[CheckedArm], threads: int, command: str) -> None:
    """Makes the folder and writes down what it holds, comparison.yaml; one that is there has to hold the same."""
    folder, file = plan.run_dir, plan.run_dir / "comparison.yaml"
    words = {arm.arm.name: list(arm.arm.words) for arm in arms}
    try:
        if file.is_file():
            held = yaml.safe_load(file.read_text())
            # Arms are compared to the first, so their order counts.
            if not isinstance(held, dict) or held.get("arms") != words or [*held["arms"]] != [*words]:
                raise UserError(f"run_dir={folder} holds another comparison ({file} says which): name another folder")
            require(
                held.get("threads") == threads,
                f"run_dir={folder} was begun with {held.get('threads')} CPU threads a run, these would have {threads}: "
                f"add hardware.threads={held.get('threads')}",
            )
            return
        if folder.is_dir() and any(folder.iterdir()):
            raise UserError(f"run_dir={folder} is not empty and holds no comparison; name an empty or a new folder")
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(
            f"# {command}\n"
            + yaml.safe_dump({"threads": threads, "arms": words}, sort_keys=False, width=1000, allow_unicode=True)
        )
    except OSError as error:
        raise UserError(f"run_dir={folder}: {error.strerror}; name a folder that can be written") from error
