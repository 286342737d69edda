"""Exports a trained model as a folder with weights, preprocessing and a model card, to use or to publish.

    python scripts/export.py --run runs/mine --format onnx
    python scripts/export.py --run runs/mine --format onnx --quantize int8 --output exported
    python scripts/export.py --run runs/mine --format safetensors --push USER/MODEL

safetensors is read by `mla_train.load`, torch_export by `torch.export.load`. A folder of onnx has infer_onnx.py, which needs
onnxruntime and no torch. --quantize int8 makes graphs smaller for the CPU, and measures what that costs on the test split.
"""

import argparse
import shutil
import tempfile
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from mla_train.commands import add_run, command_parser, load_run
from mla_train.errors import UserError, require, run_script
from mla_train.hub import check_login, upload
from mla_train.inference.export import FORMATS, check_format
from mla_train.safe_files import atomic_folder, write_atomically

if TYPE_CHECKING:  # options are checked before torch is loaded
    from mla_train.dataset import Split
    from mla_train.inference.predictor import Predictor
    from mla_train.report.model_card import Quantized

DRAWS = 200  # of the intervals
MEASURED = 2000  # examples at most that int8 is measured on


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = command_parser(__doc__)
    add_run(parser)
    parser.add_argument("--format", required=True, choices=FORMATS, help="format of the weights")
    parser.add_argument("--quantize", choices=["int8"], help="8-bit weights, for onnx on a CPU")
    parser.add_argument("--output", help="folder that is written (default: RUN/export/FORMAT)")
    parser.add_argument("--push", metavar="USER/MODEL", help="repository of the Hugging Face Hub that is uploaded to")
    return parser.parse_args()


def export(arguments: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        UserError: Something in the command or the run is not as it must be.
    """
    check_format(arguments.format, arguments.quantize)
    if arguments.push is not None:
        check_login()
    run: Path = arguments.run
    results = results_of(run)
    predictor = load_run(arguments)

    from mla_train.inference.evaluate import intervals, predict_split
    from mla_train.inference.export.folder import CARD, check_output, write_model
    from mla_train.report.model_card import model_card

    if arguments.output is None and not run.is_dir():
        raise UserError(f"{arguments.run} is no folder: name one to write with --output")
    folder = Path(arguments.output) if arguments.output is not None else run / "export" / arguments.format
    if arguments.output is None and folder.parent.is_symlink():
        raise UserError(
            f"{folder.parent} is a link, which may lead anywhere: remove it, or name a folder with --output"
        )
    check_output(folder)
    start = perf_counter()
    print("writing ...", flush=True)
    with atomic_folder(folder) as part:
        graphs = write_model(predictor.artifact, part, arguments.format)
        head, tested = predictor.network.head, "test" in results.get("metrics", {})
        test = None
        if tested or arguments.quantize:
            print("measuring on the test split ...", flush=True)
            test = read_test(predictor, run)
        bounds = {}
        if tested and test is not None:
            bounds = intervals(head, predict_split(predictor, test), DRAWS)
        quantized = None
        if arguments.quantize is not None:
            quantized = quantize_folder(predictor, part, arguments.quantize, test)
        card = model_card(predictor.artifact, arguments.format, graphs, results, bounds, quantized)
        write_atomically(part / CARD, card)
    print(f"wrote {arguments.format} to {folder} in {perf_counter() - start:.1f} s")
    for file in sorted(folder.iterdir()):
        print(f"  {file.name}  {file.stat().st_size / 1e6:.2f} MB")
    if arguments.push is not None:
        print(f"uploaded to {upload(folder, arguments.push)}")


def results_of(run: Path) -> dict[str, Any]:
    """Contents of a run's results.json; empty for a model outside of a run.

    Raises:
        UserError: The run has not finished, or its results cannot be read.
    """
    root = run.parent if run.name == "model" else run
    file = root / "results.json"
    if file.exists():
        from mla_train.training.results import read_results

        return read_results(file)
    if (root / "config.yaml").is_file():
        raise UserError(f"{run} has not finished (there is no results.json): continue it with resume={root}")
    return {}


def read_test(predictor: "Predictor", run: Path) -> "Split | None":
    """The test split of a model's data; None where it cannot be read or has changed, which is said."""
    from mla_train.inference.own_test import read_own

    try:
        data, notes = read_own(predictor, run)
        require(not notes, "; ".join(notes))
        return data.test
    except UserError as error:
        print(f"the test split cannot be read, so nothing is measured on it: {error}")
        return None


def quantize_folder(predictor: "Predictor", folder: Path, bits: str, test: "Split | None") -> "Quantized":
    """Makes the weights of a folder's graphs smaller, and measures what that changes."""
    from mla_train.inference.export.measure import latencies, onnx_metrics, size_of
    from mla_train.inference.export.quantize import quantize
    from mla_train.report.model_card import Quantized

    with tempfile.TemporaryDirectory() as temporary:
        original = Path(temporary) / "float32"
        shutil.copytree(folder, original)
        quantize(folder)
        result = Quantized(bits, (size_of(original), size_of(folder)))
        if test is not None:
            part = test.first(MEASURED)
            before, after = (onnx_metrics(each, predictor, part) for each in (original, folder))
            result.examples = len(part.targets)
            result.metrics = {name: (value, after[name]) for name, value in before.items()}
            result.milliseconds = latencies({"onnxruntime": original, f"onnxruntime {bits}": folder}, predictor, part)
    for name, (old, new) in result.metrics.items():
        print(f"  {name}: {old:.4f}, with {bits} {new:.4f}")
    for name, value in result.milliseconds.items():
        print(f"  {name}: {value:.2f} ms an example")
    return result


def main() -> None:
    """Exports, or says in one line what is wrong."""
    run_script(lambda: export(parse_arguments()))
