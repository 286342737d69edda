"""Creates a W&B dashboard for the runs of a project: best scores first, then curves by kind, tables and images.

    python scripts/wandb_workspace.py --run runs/mine --dry-run    # prints the definition, sends nothing
    python scripts/wandb_workspace.py --run runs/mine              # saves it as a view of the project

Its panels follow what a finished run with logger=wandb has logged; other runs of the same task share the view.
"""

import argparse
import csv
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from mla_train.config.stored import read_stored
from mla_train.errors import UserError, require
from mla_train.report.wandb import STEP, default_entity, logged_in
from mla_train.training.results import read_results

GROUPS = ("train", "val", "test", "speed", "attention", "regularization")
COORDINATES = ("lr", "encoder.dim", "encoder.depth", "attention.kind", "regularization.dropout", "seed")
"""Config keys in the plot of parallel coordinates."""


def read_run(folder: Path) -> tuple[Any, dict[str, Any]]:
    """Options of W&B and results of a finished run.

    Raises:
        UserError: It is not finished, or was not logged to W&B.
    """
    require((folder / "results.json").is_file(), f"--run {folder}: no finished run in this folder")
    options = read_stored(folder / "config.yaml")["logger"]["wandb"]
    require(options is not None, f"--run {folder}: this run was not logged to W&B; train with logger=wandb")
    return options, read_results(folder / "results.json")


def media_keys(folder: Path, kind: str) -> list[str]:
    """Keys of media, from the names of their files, KEY_STEP_HASH."""
    keys: set[str] = set()
    for media in folder.glob(f"wandb/*run-*/files/media/{kind}"):
        files = (file.relative_to(media).as_posix() for file in media.rglob("*") if file.is_file())
        keys |= {re.sub(r"_\d+_[0-9a-f]+\..*$", "", file) for file in files}
    return sorted(keys)


def workspace(folder: Path, options: Any, results: dict[str, Any]) -> Any:
    """Builds the dashboard from what a run has logged, see `read_run`."""
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    with (folder / "metrics.csv").open(newline="") as stream:
        logged = next(csv.reader(stream))
    monitor, mode = results["monitor"]["name"], results["monitor"]["mode"]
    best = wr.SummaryMetric(f"{monitor}.{mode}")
    test = wr.SummaryMetric(monitor.replace("val/", "test/", 1))
    columns = [wr.ParallelCoordinatesPlotColumn(wr.Config(key)) for key in COORDINATES]
    overview: list[Any] = [
        wr.BarPlot(title=f"best {monitor}", metrics=[best]),
        wr.BarPlot(title=test.name, metrics=[test]),
        wr.ParallelCoordinatesPlot(columns=[*columns, wr.ParallelCoordinatesPlotColumn(best)]),
        wr.ParameterImportancePlot(with_respect_to=best.name),
        wr.RunComparer(diff_only="split"),
    ]
    sections = [ws.Section("overview", panels=overview, is_open=True, pinned=True)]
    for group in GROUPS:
        curves: defaultdict[str, list[str]] = defaultdict(list)
        for name in logged:
            if name.startswith(f"{group}/"):
                curves[re.sub(r"_\d+$", "", name) if group == "attention" else name].append(name)  # layers side by side
        panels: list[Any]
        if group == "test":
            panels = [wr.BarPlot(title=title, metrics=[wr.SummaryMetric(title)]) for title in curves]
        else:
            panels = [wr.LinePlot(title=title, x=STEP, y=[*names]) for title, names in curves.items()]
        # Other runs of the project may have curves that this one lacks.
        panels = panels or [wr.LinePlot(title=group, x=STEP, metric_regex=f"{group}/.*")]
        sections.append(ws.Section(group, panels=panels, is_open=group in ("train", "val")))
    tables = [wr.WeavePanelSummaryTable(table_name=name) for name in media_keys(folder, "table")]
    images = [wr.MediaBrowser(title=key, media_keys=[key], num_columns=1) for key in media_keys(folder, "images")]
    sections.append(ws.Section("media", panels=[*tables, *images]))
    pinned = ["run:displayName", f"summary:{best.name}", f"summary:{test.name}"]
    order = [ws.Ordering(ws.Summary(best.name), ascending=mode == "min")]
    runset = ws.RunsetSettings(pinned_columns=pinned, order=order)
    name = f"{results['task']} on {results['data']}"
    settings = ws.WorkspaceSettings(x_axis=STEP)
    return ws.Workspace(options["entity"] or "", options["project"], name, sections, settings, runset)


def main() -> None:
    """Builds the dashboard, and prints or saves it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished run with logger=wandb")
    parser.add_argument("--dry-run", action="store_true", help="print the definition and send nothing")
    arguments = parser.parse_args()
    try:
        options, results = read_run(arguments.run)
        try:
            dashboard = workspace(arguments.run, options, results)
        except ModuleNotFoundError as error:
            raise UserError(f"{error.name} is missing: pip install -e '.[wandb]'") from None
        if arguments.dry_run:
            print(dashboard._to_model().model_dump_json(indent=2, by_alias=True, exclude_none=True))
            return
        require(logged_in(), "not logged in to W&B: run `wandb login` first, or use --dry-run to print the definition")
        dashboard.entity = options["entity"] or default_entity()
        dashboard.save()
        print(dashboard.url)
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
