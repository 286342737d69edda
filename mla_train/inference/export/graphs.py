"""Networks as functions of named tensors, traced for any batch and any length.

A network that gives its answer at once is one graph, `model`. One that writes a text is two: `encoder` makes what the
decoder reads of the inputs, and `decoder_step` reads one token of each row and what it kept of those before.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from mla_train.config import Block, Pattern
from mla_train.errors import UserError, require
from mla_train.heads.generation import Memory
from mla_train.inference.export.inputs import BATCH, GraphInput, from_graph, graph_inputs, series_scales
from mla_train.modalities.series.transforms import restored
from mla_train.model import Model
from mla_train.nn.seq2seq import GruEncoder

EARLIER = "earlier"  # number of tokens that are decoded, from 0


@dataclass
class Graph:
    """A traced network.

    Attributes:
        program: Function of the inputs in order.
        inputs: Tensors that it reads.
        outputs: Names of the tensors that it returns.
    """

    program: ExportedProgram
    inputs: dict[str, GraphInput]
    outputs: list[str]


class InputsGraph(nn.Module):
    """Base of graphs that read the inputs of a model."""

    def __init__(self, model: Model, inputs: Mapping[str, GraphInput]) -> None:
        super().__init__()
        self.model, self.names = model, list(inputs)
        for name, modality in model.spec.inputs.items():
            for field, (mean, std) in series_scales(modality.spec).items() if modality.kind == "series" else ():
                self.register_buffer(_key("mean", f"{name}.{field}"), mean, persistent=False)
                self.register_buffer(_key("std", f"{name}.{field}"), std, persistent=False)

    def batch(self, tensors: Sequence[Tensor]) -> Any:
        """The batch of the tensors."""
        scales = {
            name: (getattr(self, _key("mean", name)), getattr(self, _key("std", name)))
            for name in self.names
            if hasattr(self, _key("mean", name))
        }
        return from_graph(self.model.spec, dict(zip(self.names, tensors, strict=True)), scales)


def _key(prefix: str, name: str) -> str:
    return f"{prefix}_{name}".replace(".", "_")


class AnswerGraph(InputsGraph):
    """From inputs to answers, in the units of the data; see `answer_names`."""

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Answers of each example."""
        batch = self.batch(tensors)
        outputs: Any = self.model(batch)
        head: Any = self.model.head
        if head.kind == "classification":
            return (outputs.softmax(-1),)
        if head.kind == "multilabel":
            return (outputs.sigmoid(),)
        spec = head.spec
        if head.kind == "ranking":
            return (head.unseen(outputs, batch.inputs[spec.history]).softmax(-1),)
        if head.kind == "regression":
            return (outputs.squeeze(-1) * spec.std + spec.mean,)
        mean, std, least = (
            torch.tensor(values, dtype=torch.double).view(-1, 1) for values in (spec.mean, spec.std, spec.least)
        )
        forecast, quantiles = outputs
        forecast = restored(forecast * std + mean, spec.transform)
        answers = (torch.maximum(forecast, least) if spec.nonnegative_point else forecast,)
        if not head.levels:
            return answers
        quantiles = quantiles.sort(-1).values * std.unsqueeze(-1) + mean.unsqueeze(-1)
        return *answers, torch.maximum(restored(quantiles, spec.transform), least.unsqueeze(-1))


def answer_names(head: Any) -> list[str]:
    """Names of the outputs of `AnswerGraph`.

    Raises:
        UserError: This kind of answer is not exported.
    """
    if head.kind in ("classification", "multilabel", "ranking"):
        return ["probability"]
    if head.kind == "regression":
        return ["prediction"]
    if head.kind == "forecast":
        return ["forecast", *(["quantiles"] if head.levels else [])]
    raise UserError(f"answers of kind {head.kind} have no graph: use --format safetensors")


class EncoderGraph(InputsGraph):
    """From inputs to the states that each block of the decoder attends to, and True at their padding first.

    Where tokens are copied, what is copied from stands between both: encoded tokens, and their numbers.
    """

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Padding `(batch, keys)`, and states `(batch, ..., keys, width)`."""
        head: Any = self.model.head
        memory, padding, ids = head.memory(self.model.encode(self.batch(tensors)))
        if padding is None:
            padding = torch.zeros(memory.shape[:2], dtype=torch.bool)
        states = [state for block in head.decoder.blocks for state in block.cross_attention.states(memory)]
        return padding, *(() if ids is None else (memory, ids)), *states


class StepCache:
    """States of earlier tokens as tensors of a graph, in the place of `Cache`."""

    def __init__(self, states: Sequence[Tensor]) -> None:
        self.states = tuple(states)

    def __len__(self) -> int:
        """Says that there are states; how many is free."""
        return 1

    def append(self, *states: Tensor) -> tuple[Tensor, ...]:
        """The states with those of a new token."""
        self.states = tuple(torch.cat(pair, -2) for pair in zip(self.states, states, strict=True))
        return self.states


class DecoderStep(nn.Module):
    """From the newest token of each row and the states of earlier ones to scores of the next.

    Args:
        head: Head that writes texts.
        cross: Number of states that each block attends to of the memory.
    """

    def __init__(self, head: Any, cross: int) -> None:
        super().__init__()
        self.head, self.cross = head, cross

    def forward(self, tokens: Tensor, padding: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """One step.

        Args:
            tokens: Newest tokens, `(batch,)`.
            padding: True at padding of the memory, `(batch, keys)`.
            states: What is copied from, see `EncoderGraph`; states of the memory block by block, then those of earlier tokens
                block by block.

        Returns:
            Log probabilities of the next token, `(batch, vocab_size)`, and the states of all tokens.
        """
        head, decoder = self.head, self.head.decoder
        copied, states = (states[:2], states[2:]) if head.copying is not None else ((), states)
        width = len(states) // len(decoder.blocks) - self.cross
        memory, earlier = states[: self.cross * len(decoder.blocks)], states[self.cross * len(decoder.blocks) :]
        x = head.embedding(tokens).unsqueeze(1) * head.scale
        length = earlier[0].size(-2)
        rotation = None if decoder.rotary is None else decoder.rotary(torch.arange(length, length + 1))
        kept: list[Tensor] = []
        for number, block in enumerate(decoder.blocks):
            own = StepCache(earlier[number * width : (number + 1) * width])
            cross = StepCache(memory[number * self.cross : (number + 1) * self.cross])
            x = block(x, memory[0], rotation, padding, own, cross)
            kept += own.states
        scores = head.score(decoder.norm(x), Memory(copied[0] if copied else memory[0], padding, *copied[1:]))
        return scores.squeeze(1).log_softmax(-1), *kept


def trace(module: nn.Module, inputs: dict[str, GraphInput], outputs: list[str]) -> Graph:
    """Traces a network for any size of its free dimensions.

    Raises:
        UserError: It has parts whose computation depends on the values or sizes of its inputs.
    """
    names = {name for each in inputs.values() for name in each.dynamic.values()}
    dims = {name: Dim(re.sub(r"\W", "_", name), min=0 if name == EARLIER else 1) for name in names}
    shapes = [
        {axis: each.multiple * dims[name] if axis else dims[name] for axis, name in each.dynamic.items()}
        for each in inputs.values()
    ]
    named = len([p for p in signature(module.forward).parameters.values() if p.kind is not Parameter.VAR_POSITIONAL])
    try:
        with torch.no_grad():
            program = torch.export.export(
                module.eval(),
                tuple(each.example for each in inputs.values()),
                dynamic_shapes=(*shapes[:named], tuple(shapes[named:])),
            )
    except Exception as error:  # torch has no class for them
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"this network has no graph ({reason:.200}): use --format safetensors") from error
    return Graph(program, inputs, outputs)


def check_parts(model: Model) -> None:
    """Raises UserError where a model has parts that compute with the numbers of their tensors, which no graph can."""
    config = model.config
    parts = {
        "task.model=seq2seq": isinstance(model.encoder, GruEncoder),
        "attention.pattern=strided": config.attention.pattern is Pattern.strided,
        "encoder.block=conv_attention, over images,": config.encoder.block is Block.conv_attention
        and any(modality.kind == "image" for modality in model.spec.inputs.values()),
    }
    for part, is_used in parts.items():
        require(not is_used, f"{part} has no graph: use --format safetensors")


def build_graphs(model: Model) -> dict[str, Graph]:
    """The graphs of a model by name: `model`, or `encoder` and `decoder_step`.

    Raises:
        UserError: The model has parts that cannot be exported.
    """
    check_parts(model)
    inputs, head = graph_inputs(model), model.head
    if head.kind != "generation":
        return {"model": trace(AnswerGraph(model, inputs), inputs, answer_names(head))}
    decoder: Any = head.decoder
    encoder = EncoderGraph(model, inputs)
    with torch.no_grad():
        padding, *read = encoder(*(each.example for each in inputs.values()))
        rotation = None if decoder.rotary is None else decoder.rotary(torch.arange(3))
        x = torch.zeros(2, 3, decoder.norm.weight.numel())
        copied, cross = (read[:2], read[2:]) if head.copying is not None else ([], read)
        own = [state for block in decoder.blocks for state in block.attention.states(x, rotation)]
    blocks = len(decoder.blocks)

    def named(prefix: str, states: Sequence[Tensor], length: str) -> dict[str, GraphInput]:
        return {
            f"{prefix}_{number}": GraphInput(state.clone(), {0: BATCH, state.dim() - 2: length})
            for number, state in enumerate(states)
        }

    memory = {
        name: GraphInput(state.clone(), {0: BATCH, 1: "keys"})
        for name, state in zip(("source", "source_tokens"), copied, strict=False)
    } | named("memory", cross, "keys")
    step = {
        "tokens": GraphInput(torch.ones(2, dtype=torch.long), {0: BATCH}),
        "padding": GraphInput(padding, {0: BATCH, 1: "keys"}),
        **memory,
        **named("states", own, EARLIER),
    }
    kept = [f"next_{name}" for name in step if name.startswith("states")]
    return {
        "encoder": trace(encoder, inputs, ["padding", *memory]),
        "decoder_step": trace(DecoderStep(head, len(cross) // blocks), step, ["log_probabilities", *kept]),
    }
