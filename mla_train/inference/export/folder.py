"""A folder with all that is needed to use a model elsewhere: weights or graphs, preprocessing, and how to run them."""

import json
import shutil
import warnings
from fnmatch import fnmatch
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from mla_train.errors import UserError, few
from mla_train.inference.artifact import SPEC, Artifact, save_description, save_model
from mla_train.inference.export.graphs import Graph, build_graphs
from mla_train.safe_files import CHECKSUMS, checksums, keep_checksum, write_atomically

CARD = "README.md"
RUNTIME = Path(__file__).parent / "runtime"
"""Programs that run a folder of ONNX graphs without this package."""


def check_output(folder: Path) -> None:
    """Raises UserError where a folder holds other things than an earlier export, or is the one in which the command runs."""
    if folder.is_symlink():
        raise UserError(f"{folder} is a link: name the folder itself with --output")
    if not folder.exists():
        return
    if folder.samefile("."):  # another is moved into its place, and the shell would stay in none
        raise UserError(f"{folder} is the folder in which this runs: choose another with --output")
    is_export = folder.is_dir() and (folder / SPEC).is_file() and (folder / CARD).is_file()
    written = (
        {CARD, CHECKSUMS, *(file.name for file in RUNTIME.glob("*.py")), *checksums(folder)} if is_export else set()
    )
    others = sorted(file.name for file in folder.iterdir() if file.name not in written) if folder.is_dir() else [""]
    others = [name for name in others if not (is_export and fnmatch(name, "tokenizer*.json"))]
    if others:
        raise UserError(
            f"{folder} holds other things than an export{f' ({few(others)})' if is_export else ''}, which would be removed: "
            "choose a new folder with --output"
        )


def write_model(artifact: Artifact, folder: Path, name: str) -> dict[str, Graph]:
    """Writes a model and its preprocessing into a new or empty folder, in a format, and returns its graphs if it has any.

    Raises:
        UserError: The network has no graph.
    """
    model, config = artifact.model, artifact.config
    graphs = {} if name == "safetensors" else build_graphs(model)  # before anything is written
    if name == "safetensors":
        save_model(model.state_dict(), model.spec, config, folder)
    save_description(model.spec, config, folder)
    for file, tokenizer in tokenizers(json.loads((folder / SPEC).read_text())).items():
        write_atomically(folder / file, tokenizer)
    for graph_name, graph in graphs.items():
        if name == "torch_export":
            content = BytesIO()  # torch's own writer of files ends the process where the disk is full
            torch.export.save(graph.program, content)
            write_atomically(folder / f"{graph_name}.pt2", content.getvalue(), checked=True)
        else:
            save_onnx(graph, folder / f"{graph_name}.onnx")
    if name == "onnx":
        shutil.copy(RUNTIME / "infer_onnx.py", folder)
        beside = {"forecast": "series_table.py", "ranking": "item_histories.py"}.get(model.head.kind)
        if beside is not None:
            shutil.copy(RUNTIME / beside, folder)
    return graphs


def tokenizers(spec: dict[str, Any]) -> dict[str, str]:
    """JSON of each tokenizer of a stored spec by the name of its file: tokenizer.json if there is one."""
    texts = {**spec["inputs"], "target": spec["head"]}
    written = {name: each["tokenizer"] for name, each in texts.items() if each.get("tokenizer")}
    return {"tokenizer.json" if len(written) == 1 else f"tokenizer_{name}.json": text for name, text in written.items()}


def save_onnx(graph: Graph, file: Path) -> None:
    """Writes a graph in the format ONNX."""
    names: dict[str, Any] = {
        "input_names": list(graph.inputs),
        "output_names": graph.outputs,
        "dynamic_shapes": tuple(each.dynamic for each in graph.inputs.values()),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(graph.program, dynamo=True, verbose=False, **names)
    assert program is not None
    program.save(file)
    keep_checksum(file)
