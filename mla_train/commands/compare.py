"""Compares variants: trains each with the same seeds and tests whether their scores differ significantly.

    python scripts/compare.py attention=mla,mha
    python scripts/compare.py task=text_classification attention=mla,mha,gqa,mqa match=parameters seeds=5
    python scripts/compare.py 'regularization=light,[light,rdrop]' encoder=tiny,small run_dir=runs/compare/mine

Keys with several values are compared, in all combinations, to the first variant; [a,b] is one value. Its own keys:

    seeds=3          number of seeds: each variant is trained with seeds 0, 1, 2
    folds=5          number of folds of a cross-validation, instead of seeds: each is the test split of one run; without a
                     key of several values one variant is trained
    repeats=1        number of times that the folds are cut anew, with other examples
    match=width      as configured; match=parameters sets encoder.mlp_ratio so that all have as many parameters as the first
    run_dir=FOLDER   output folder (default: runs/compare/DATE_TIME); repeat with the same folder to resume
    n_jobs=1         number of runs at a time, which share the CPU threads

All other options are those of train.py, see its --help. Writes comparison.md, .html, .csv, .png and the run folders.
"""

import sys

from mla_train.config.overrides import extend_import_path, quote_signs
from mla_train.errors import UserError, file_errors, printable, terminated_as_exit
from mla_train.masking import mask_command
from mla_train.program import CONF, TRAIN, as_started, imports, program
from mla_train.studies.variants import compose_variants, read_plan


def main() -> None:
    """Reads the command line, runs the comparison and writes its report."""
    arguments = quote_signs(sys.argv[1:])
    if {"--help", "-h"} & set(arguments):
        print(as_started(__doc__ or ""))
        return
    resume = ""
    try:
        extend_import_path(arguments)
        plan = read_plan(arguments)
        names_folder = any(argument.startswith("run_dir=") for argument in arguments)
        command = mask_command([*program(), *sys.argv[1:], *([] if names_folder else [f"run_dir={plan.run_dir}"])])
        configs = compose_variants(plan, CONF)
        print("loading torch ...", flush=True)  # takes seconds; mistakes in options have been reported without it

        with imports():
            from mla_train.report.tables import print_fitting, terminal
            from mla_train.studies.compare import compare
            from mla_train.studies.comparison import conclusion
            from mla_train.studies.comparison_page import failures, summary, write_page
            from mla_train.studies.parameter_matching import check_variants

        variants = check_variants(plan, configs, CONF)
        runs = f"{plan.seeds} {'fold' if plan.folds else 'seed'}{'s' * (plan.seeds > 1)}"
        print(f"{len(variants)} variant{'s' * (len(variants) > 1)}, {runs}, in {plan.run_dir}", flush=True)
        resume = command
        with terminated_as_exit(), file_errors():
            comparison, how = compare(plan, variants, TRAIN, command)
            write_page(comparison, how, plan.run_dir)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"Interrupted. Continue with: {resume}" if resume else "Interrupted", file=sys.stderr)
        sys.exit(130)
    table = summary(comparison)
    print_fitting(table, table.columns[:3:-1], terminal(), "The page")
    print(printable(" ".join(conclusion(comparison).split())))
    print(f"Page: {plan.run_dir / 'comparison.html'}")
    for message in failures(comparison):
        print(printable(message), file=sys.stderr)
    sys.exit(1 if failures(comparison) else 0)
