"""The model card of an exported model: README.md with metadata as the Hugging Face Hub reads it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from mla_train.errors import printable
from mla_train.escaping import markdown_cell, markdown_line
from mla_train.inference.artifact import Artifact, package_version
from mla_train.inference.export.graphs import Graph
from mla_train.masking import mask

LICENSES = {
    "digits": "cc-by-4.0", "kaomoji": "cc-by-4.0", "language_id": "bsd-3-clause", "movielens_small": "other",
}  # fmt: skip
"""Licenses of data sets, where they are known."""
PIPELINES = {
    ("text", "classification"): "text-classification",
    ("image", "classification"): "image-classification",
    ("audio", "classification"): "audio-classification",
    ("text", "generation"): "translation",
    ("image", "generation"): "image-to-text",
    ("series", "forecast"): "time-series-forecasting",
}
LONG_TEXTS = {
    "head": "texts are cut off at {} tokens",
    "head_tail": "of texts over {} tokens the beginning and the end are read",
    "windows": "texts are read in windows of at most {} tokens, whose answers are averaged",
}
Rows = Sequence[Sequence[str]]


@dataclass
class Quantized:
    """What 8-bit weights changed.

    Attributes:
        bits: Kind of the weights, such as int8.
        bytes: Bytes of the graphs before and after.
        examples: Number of examples of the test split that the metrics are of.
        metrics: Each metric before and after; empty where the data cannot be read.
        milliseconds: Median time of one example, by what computes it.
    """

    bits: str
    bytes: tuple[int, int]
    examples: int = 0
    metrics: dict[str, tuple[float, float]] = field(default_factory=dict)
    milliseconds: dict[str, float] = field(default_factory=dict)


def model_card(
    artifact: Artifact,
    format_name: str,
    graphs: Mapping[str, Graph],
    results: Mapping[str, Any],
    intervals: Mapping[str, Mapping[str, float]],
    quantized: Quantized | None,
) -> str:
    """The text of README.md.

    Args:
        artifact: The model.
        format_name: Format of the export.
        graphs: Graphs of the export by name.
        results: Contents of results.json; empty where there is none.
        intervals: Metrics of the test split with their bounds `low` and `high`; empty where they are not known.
        quantized: What 8-bit weights changed; None where there are none.
    """
    config = artifact.config
    metrics = dict(results.get("metrics", {}).get("test", {}))
    metadata = yaml.safe_dump(_metadata(artifact, format_name, metrics), sort_keys=False)
    parts = [
        f"---\n{metadata}---",
        f"# {config.task.name.replace('_', ' ').capitalize()}: {markdown_line(str(config.data.name))}",
        f"A model of {results.get('model', {}).get('parameters') or _parameters(artifact):,} parameters with "
        f"{artifact.task.architecture} attention, exported with mla-train {package_version()}.",
        _usage(artifact, format_name, graphs),
        _data(artifact, results),
        _metrics(metrics, intervals, results),
        "" if quantized is None else _quantized(quantized),
        _limits(artifact, format_name),
    ]
    return mask("\n\n".join(part for part in parts if part)) + "\n"


def _parameters(artifact: Artifact) -> int:
    return artifact.model.count_parameters()["parameters"]


def _metadata(artifact: Artifact, format_name: str, metrics: Mapping[str, float]) -> dict[str, Any]:
    config, spec = artifact.config, artifact.model.spec
    kinds = {modality.kind for modality in spec.inputs.values()}
    pipeline = PIPELINES.get((next(iter(kinds)), spec.head.kind)) if len(kinds) == 1 else None
    if config.task.name == "summarization":
        pipeline = "summarization"
    metadata: dict[str, Any] = {"library_name": "mla-train"}
    if config.data.name in LICENSES:
        metadata["license"] = LICENSES[config.data.name]
    if pipeline:
        metadata["pipeline_tag"] = pipeline
    metadata["tags"] = ["mla-train", "multi-head-latent-attention", config.task.name.replace("_", "-"), format_name]
    if metrics:
        metadata["metrics"] = [name for name in metrics if name != "loss"]
        result = {
            "task": {"type": pipeline or "other", "name": config.task.name.replace("_", " ")},
            "dataset": {"type": config.data.name, "name": config.data.name, "split": "test"},
            "metrics": [{"type": name, "name": name, "value": round(value, 4)} for name, value in metrics.items()],
        }
        metadata["model-index"] = [{"name": f"{config.task.name}-{config.data.name}", "results": [result]}]
    return metadata


def _usage(artifact: Artifact, format_name: str, graphs: Mapping[str, Graph]) -> str:
    kinds = {modality.kind for modality in artifact.model.spec.inputs.values()}
    example = _example(artifact)
    if format_name == "safetensors":
        code = f"import mla_train\n\nmodel = mla_train.load(FOLDER)  # this folder, or USER/MODEL of the Hub\nmodel.predict([{example}])"
        return f"## Use\n\n```python\n{code}\n```"
    names = {name: f"`{name}`" for name in graphs}
    signatures = [
        [names[name], "; ".join(_signature(graph)), ", ".join(f"`{output}`" for output in graph.outputs)]
        for name, graph in graphs.items()
    ]
    table = _table(["graph", "inputs, in order", "outputs"], signatures)
    units = "Inputs and outputs are in the units of the data: scaling is part of the graph."
    if format_name == "torch_export":
        first = next(iter(graphs))
        code = f'import torch\n\ngraph = torch.export.load("{first}.pt2").module()\noutputs = graph(*inputs)  # in the order below'
        return f"## Use\n\n```python\n{code}\n```\n\n{table}\n\n{units}"
    packages = [
        "onnxruntime",
        "numpy",
        *["tokenizers"] * ("text" in kinds),
        *["pillow"] * ("image" in kinds),
        *["soundfile"] * ("audio" in kinds),
    ]
    argument = example if example.startswith('"') else f"'{example}'"
    code = f"pip install {' '.join(packages)}\npython infer_onnx.py {argument}"
    return (
        f"## Use\n\n```bash\n{code}\n```\n\n`infer_onnx.py` prepares inputs as spec.json says, without torch and mla-train, and "
        f"prints the records of `mla_train.load(...).predict`.\n\n{table}\n\n{units}"
    )


def _example(artifact: Artifact) -> str:
    """One example as it is written in JSON."""
    inputs = artifact.model.spec.inputs
    items = [item for each in inputs.values() for item in getattr(each.spec, "catalogue", ()) if item.isalnum()][:2]
    history = json.dumps(items or ["an item"], ensure_ascii=False)
    kinds = {"text": '"a text"', "image": '"image.png"', "audio": '"word.wav"', "items": history}
    values = {
        name: kinds.get(each.kind, "[[0.1, 0.2]]") if each.kind != "series" or not each.spec.horizon else '"table.csv"'
        for name, each in inputs.items()
    }
    if len(values) == 1:
        return next(iter(values.values()))
    return "{" + ", ".join(f'"{name}": {value}' for name, value in values.items()) + "}"


def _signature(graph: Graph) -> list[str]:
    lines = []
    for name, each in graph.inputs.items():
        shape = [each.dynamic.get(axis, str(size)) for axis, size in enumerate(each.example.shape)]
        lines.append(f"`{name}` {str(each.example.dtype).removeprefix('torch.')} ({', '.join(shape)})")
    return lines


def _data(artifact: Artifact, results: Mapping[str, Any]) -> str:
    name, counts = artifact.config.data.name, results.get("examples", {})
    sizes = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    license_name = LICENSES.get(name)
    text = (
        f"`{printable(' '.join(str(name).replace('`', ' ').split()))}`"
        + (f" ({sizes})" if sizes else "")
        + (f"; license {license_name}" if license_name else "")
    )
    command = results.get("environment", {}).get("command")
    return f"## Data\n\n{text}." + (
        f" Trained with:\n\n```bash\n{printable(' '.join(str(command).split()))}\n```" if command else ""
    )


def _metrics(
    metrics: Mapping[str, float], intervals: Mapping[str, Mapping[str, float]], results: Mapping[str, Any]
) -> str:
    if not metrics:
        return ""
    baselines: Mapping[str, Mapping[str, float]] = results.get("baselines", {})
    rows = []
    for name, value in metrics.items():
        bounds = intervals.get(name)
        interval = f" [{bounds['low']:.4f}, {bounds['high']:.4f}]" if bounds else ""
        others = [f"{each[name]:.4f}" if name in each else "" for each in baselines.values()]
        rows.append([name, f"{value:.4f}{interval}", *others])
    note = "In brackets: 95 % bootstrap intervals. " if intervals else ""
    return (
        "## Metrics\n\n"
        + _table(["test split", "this model", *baselines], rows)
        + f"\n\n{note}Columns behind the model are baselines on the same examples."
    )


def _quantized(quantized: Quantized) -> str:
    before, after = quantized.bytes
    lines = [
        f"## {quantized.bits}\n\nMatrix products and tables have {quantized.bits} weights: {after / 1e6:.2f} MB, from "
        f"{before / 1e6:.2f} MB."
    ]
    if quantized.metrics:
        rows = [[name, f"{old:.4f}", f"{new:.4f}"] for name, (old, new) in quantized.metrics.items()]
        lines.append(_table([f"{quantized.examples:,} test examples", "float32", quantized.bits], rows))
    if quantized.milliseconds:
        times = ", ".join(f"{name} {value:.2f} ms" for name, value in quantized.milliseconds.items())
        lines.append(f"Median time of one example on a CPU, without preprocessing: {times}.")
    return "\n\n".join(lines)


def _limits(artifact: Artifact, format_name: str) -> str:
    spec = artifact.model.spec
    lines = [
        "It knows the data above; on other data it may be wrong with high probability. Evaluate it on your own first."
    ]
    classes = getattr(spec.target, "classes", None)
    if classes and len(classes) <= 50:
        lines.append(f"It answers with one of: {', '.join(map(markdown_cell, classes))}.")
    threshold = getattr(artifact.model.head, "threshold", None)
    if threshold:
        lines.append(
            f"{markdown_cell(threshold['class'])} is predicted from a probability of {threshold['probability']:.4g} on."
        )
    lines += [
        f"{name}: {LONG_TEXTS[each.spec.long_texts].format(each.spec.max_length)}."
        for name, each in spec.inputs.items()
        if each.kind == "text"
    ]
    if spec.head.kind == "generation" and format_name != "safetensors":
        lines.append("The graphs write texts greedily; `mla_train.load` searches with beams.")
    if spec.head.kind == "forecast" and format_name == "onnx":
        lines.append(
            "`infer_onnx.py` reads csv tables whose rows are in order, seconds to weeks apart, with ISO times."
        )
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines)


def _table(header: Sequence[str], rows: Rows) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(markdown_cell, line))} |" for line in lines)
