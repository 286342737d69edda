"""Is one choice better than another? Trains each with the same seeds and says whether chance explains the difference.

    python scripts/compare.py attention=mla,mha
    python scripts/compare.py task=text_classification attention=mla,mha,gqa,mqa match=parameters seeds=5
    python scripts/compare.py regularization=light,[light,rdrop] encoder=tiny,small run_dir=runs/compare/mine

Keys with several values are compared, in all combinations, to the first; [a,b] is one value. Keys of its own:

    seeds=3          runs of each, with seeds 0, 1, 2
    match=width      as configured; match=parameters sets encoder.mlp_ratio so that all are as large as the first (1 %)
    run_dir=FOLDER   where to (default: runs/compare/DATE_TIME); the same line again goes on where it stopped
    n_jobs=1         runs at a time, which share the CPU's threads

All else is for train.py, whose --help lists it. The folder then holds comparison.md, .html, .csv and .png, and the runs.
"""

import shlex
import sys
from pathlib import Path

from mla_train.config.overrides import extend_import_path
from mla_train.errors import UserError
from mla_train.studies.arms import compose_arms, read_plan

ROOT = Path(__file__).resolve().parent.parent
CONF = ROOT / "conf"


def main() -> None:
    """Reads the words, compares and writes the page."""
    words = sys.argv[1:]
    if {"--help", "-h"} & set(words):
        print(__doc__)
        return
    again = ""
    try:
        extend_import_path(words)
        plan = read_plan(words)
        own_folder = any(word.startswith("run_dir=") for word in words)
        command = shlex.join(["python", *sys.argv, *([] if own_folder else [f"run_dir={plan.run_dir}"])])
        configs = compose_arms(plan, CONF)
        print("loading torch ...", flush=True)  # takes seconds; mistakes in words have been answered without it

        from mla_train.inspect.tables import print_fitting, terminal
        from mla_train.studies.compare import compare
        from mla_train.studies.comparison import conclusion
        from mla_train.studies.comparison_page import failures, summary, write_page
        from mla_train.studies.matching import check_arms

        arms = check_arms(plan, configs, CONF)
        print(f"{len(arms)} arms, {plan.seeds} seed{'s' * (plan.seeds > 1)}, in {plan.run_dir}", flush=True)
        again = command
        comparison, how = compare(plan, arms, ROOT / "train.py", command)
        write_page(comparison, how, plan.run_dir)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"Stopped; go on with: {again}" if again else "Stopped", file=sys.stderr)
        sys.exit(130)
    table = summary(comparison)
    print_fitting(table, table.columns[:3:-1], terminal(), "The page")
    print(conclusion(comparison))
    print(f"Page: {plan.run_dir / 'comparison.html'}")
    for message in failures(comparison):
        print(message, file=sys.stderr)
    sys.exit(1 if failures(comparison) else 0)


if __name__ == "__main__":
    main()
