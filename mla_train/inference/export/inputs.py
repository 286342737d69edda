"""What a graph reads: each input of a model as named tensors, in the units of the data."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mla_train.data.batch import Batch, pad_stack
from mla_train.errors import UserError
from mla_train.modalities.audio import AudioTensors
from mla_train.modalities.base import Modality
from mla_train.modalities.features import FeatureTensors
from mla_train.modalities.image import ImageTensors
from mla_train.modalities.items import ItemTensors
from mla_train.modalities.series import SeriesTensors
from mla_train.modalities.series.transforms import restored, transformed
from mla_train.modalities.text import TextTensors
from mla_train.model import Model, ModelSpec

TENSORS: Mapping[str, Any] = {
    "text": TextTensors,
    "image": ImageTensors,
    "audio": AudioTensors,
    "series": SeriesTensors,
    "features": FeatureTensors,
    "items": ItemTensors,
}
BATCH = "batch"


@dataclass
class GraphInput:
    """A tensor that a graph reads.

    Attributes:
        example: Tensor that the graph is traced with.
        dynamic: Name of each dimension whose size is free.
        multiple: Number that divides the size of its last free dimension, such as the length of a patch.
    """

    example: Tensor
    dynamic: dict[int, str]
    multiple: int = 1


def graph_inputs(model: Model) -> dict[str, GraphInput]:
    """The tensors that a graph reads, by names such as `text.tokens`.

    Raises:
        UserError: There is a kind of input that is not exported.
    """
    return {
        f"{name}.{field}": each
        for name, modality in model.spec.inputs.items()
        for field, each in _graph_fields(name, modality, getattr(model.embeddings[name], "patch", 1)).items()
    }


def _graph_fields(name: str, modality: Modality, patch: int) -> dict[str, GraphInput]:
    """Fields of the tensors of one input that its embedding reads."""
    spec: Any = modality.spec
    length, free = 7, {0: BATCH, 1: f"{name}_length"}
    padding = GraphInput(torch.zeros(2, length, dtype=torch.bool), free)
    if modality.kind == "text":
        if spec.long_texts == "windows":
            raise UserError(
                f"{name} is read in windows (data.long_texts=windows), which have no graph: use --format safetensors, or "
                "train with data.long_texts=head_tail"
            )
        inputs = {"tokens": GraphInput(torch.ones(2, length, dtype=torch.long), free), "padding": padding}
        if spec.tfidf_size:
            free = {0: BATCH, 1: f"{name}_features"}
            inputs["features"] = GraphInput(torch.zeros(2, 9, dtype=torch.long), free)
            inputs["weights"] = GraphInput(torch.ones(2, 9), free)
        return inputs
    if modality.kind == "image":
        images = torch.zeros(2, *spec.shape, dtype=torch.uint8)
        is_missing = torch.zeros(2, 1, dtype=torch.bool)
        return {"images": GraphInput(images, {0: BATCH}), "padding": GraphInput(is_missing, {0: BATCH})}
    if modality.kind == "audio":
        frames = 3 * patch
        spectrograms = torch.zeros(2, frames, spec.mel_bands)
        is_padding = torch.zeros(2, frames, dtype=torch.bool)
        return {"spectrograms": GraphInput(spectrograms, free, patch), "padding": GraphInput(is_padding, free, patch)}
    if modality.kind == "features":
        return {"values": GraphInput(torch.zeros(2, length, len(spec.mean)), free), "padding": padding}
    if modality.kind == "items":
        numbers = torch.ones(2, length, dtype=torch.long)
        inputs = {"items": GraphInput(numbers, free), "padding": padding}
        inputs["seen"] = GraphInput(torch.ones(2, 9, dtype=torch.long), {0: BATCH, 1: f"{name}_seen"})
        return inputs | ({"gaps": GraphInput(numbers.clone(), free)} if spec.gaps else {})
    if modality.kind == "series":
        return _window_fields(spec) if spec.horizon else _series_fields(name, spec, patch)
    raise UserError(f"{name} is an input of kind {modality.kind}, which has no graph: use --format safetensors")


def _series_fields(name: str, spec: Any, patch: int) -> dict[str, GraphInput]:
    """Whole series, filled up to whole patches."""
    shape, length = (2, len(spec.names), 3 * patch), f"{name}_length"
    return {
        "past": GraphInput(torch.randn(shape, dtype=torch.double), {0: BATCH, 2: length}, patch),
        "real": GraphInput(torch.ones(shape, dtype=torch.bool), {0: BATCH, 2: length}, patch),
        "padding": GraphInput(torch.zeros(2, shape[-1], dtype=torch.bool), {0: BATCH, 1: length}, patch),
    }


def _window_fields(spec: Any) -> dict[str, GraphInput]:
    """Windows of a table, all of one length."""
    past = torch.randn(2, len(spec.names), spec.look_back, dtype=torch.double)
    channels = len(spec.names) if spec.own else 1
    known = torch.zeros(2, channels, spec.look_back + spec.horizon, spec.num_known, dtype=torch.double)
    inputs = {"past": past, "known": known, "phase": torch.zeros(2, dtype=torch.long)}
    if spec.gaps:
        inputs["real"] = torch.ones(past.shape, dtype=torch.bool)
    if spec.observed:
        inputs["observed"] = torch.zeros(2, channels, spec.look_back, len(spec.observed), dtype=torch.double)
    return {field: GraphInput(example, {0: BATCH}) for field, example in inputs.items()}


def series_scales(spec: Any) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and standard deviation of the fields of a series, such that `(values - mean) / std` is what embeddings read.

    `past` is transformed before.
    """
    known, calendar = len(spec.known), spec.num_known - len(spec.known)
    mean, std = (torch.tensor(values, dtype=torch.double).view(-1, 1) for values in (spec.mean, spec.std))
    means, stds = (torch.tensor(v, dtype=torch.double) for v in (spec.covariate_mean, spec.covariate_std))
    none, one = means.new_zeros(calendar), means.new_ones(calendar)  # the calendar has no scale
    return {
        "past": (mean, std),
        "known": (torch.cat([none, means[:known]]), torch.cat([one, stds[:known]])),
        "observed": (means[known:], stds[known:]),
    }


def to_graph(model: Model, batch: Batch) -> dict[str, Tensor]:
    """The tensors of a batch as a graph reads them."""
    tensors: dict[str, Tensor] = {}
    for name, modality in model.spec.inputs.items():
        values: dict[str, Any] = {f.name: getattr(batch.inputs[name], f.name) for f in fields(TENSORS[modality.kind])}
        if modality.kind == "text" and values["offsets"] is not None:
            sizes = values["offsets"].diff(append=torch.tensor([len(values["features"])])).tolist()
            values |= {field: pad_stack(values[field].split(sizes))[0] for field in ("features", "weights")}
        if modality.kind == "series":
            patch: Any = 1 if modality.spec.horizon else model.embeddings[name].patch
            lacking = 0, -values["padding"].size(1) % patch
            values |= {field: F.pad(values[field], lacking) for field in ("past", "real")}
            values["padding"] = F.pad(values["padding"], lacking, value=True)
            for field, (mean, std) in series_scales(modality.spec).items():
                values[field] = values[field].double() * std + mean if values[field].numel() else None
            values["past"] = restored(values["past"], modality.spec.transform)
        tensors |= {f"{name}.{field}": value for field, value in values.items()}
    return {name: tensors[name] for name in graph_inputs(model)}


def from_graph(spec: ModelSpec, tensors: Mapping[str, Tensor], scales: Mapping[str, tuple[Tensor, Tensor]]) -> Batch:
    """The batch of the tensors that a graph reads; `scales` are those of `series_scales` by names of tensors."""
    inputs = {}
    for name, modality in spec.inputs.items():
        values: dict[str, Tensor | None] = {}
        for field in fields(TENSORS[modality.kind]):
            key = f"{name}.{field.name}"
            value = tensors.get(key)
            if value is not None and key in scales:
                mean, std = scales[key]
                value = transformed(value, modality.spec.transform) if field.name == "past" else value
                value = ((value - mean) / std).float()
            values[field.name] = value
        inputs[name] = TENSORS[modality.kind](**values)
    index = torch.zeros(1, dtype=torch.long)
    return Batch(index, inputs, None, index)
