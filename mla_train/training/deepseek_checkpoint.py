"""Encoder weights of a DeepSeek-V2/V3 checkpoint in safetensors, as transformers writes it: config.json and its weights."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from mla_train.config.stored import read_json
from mla_train.errors import UserError, require
from mla_train.model_files import WEIGHTS
from mla_train.nn.deepseek import from_deepseek_v3

INDEX = f"{WEIGHTS}.index.json"
SIZES = (
    "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
    "kv_lora_rank", "q_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim",
)  # fmt: skip
"""Sizes in the config, those of attention last."""
MOST_SIZE, MOST_THETA = 2**31, 2**63
LAYER = {
    "input_layernorm.weight": "attention_norm.weight",
    "post_attention_layernorm.weight": "feed_forward_norm.weight",
}


def deepseek_sizes(folder: Path) -> dict[str, Any]:
    """Options of encoder and attention of a network of the sizes of a checkpoint, such as `encoder.dim`.

    Raises:
        UserError: The config lacks a size, or says of positions, biases or feed-forward layers what this project does not have.
    """
    file = folder / "config.json"
    config = read_json(file)
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    require(isinstance(rope, dict), f"{file}: rope_parameters are no object")
    kind = rope.get("rope_type", rope.get("type", "default"))
    require(kind == "default", f"{file}: positions are scaled by {kind}, which attention=mla does not do")
    theta = rope.get("rope_theta", config.get("rope_theta", 10_000.0))
    require(type(theta) in (int, float) and 0 < theta < MOST_THETA, f"{file}: rope_theta must be a positive number")
    require(not config.get("attention_bias"), f"{file}: attention has biases, which attention=mla has not")
    activation = config.get("hidden_act", "silu")
    require(activation == "silu", f"{file}: hidden_act is {activation}, and blocks have silu here")
    for name in SIZES:
        size = config.get(name)
        is_size = type(size) is int and 0 < size < MOST_SIZE
        require(
            is_size or (size is None and name == "q_lora_rank"),
            f"{file} lacks a size of the network: {name}, a whole number above 0",
        )
    dim = config["hidden_size"]
    return {
        "encoder.dim": dim,
        "encoder.depth": config["num_hidden_layers"],
        "encoder.num_heads": config["num_attention_heads"],
        "encoder.mlp_ratio": 1.5 * config["intermediate_size"] / dim,
        "encoder.norm": "rmsnorm",
        "encoder.activation": "swiglu",
        "attention.kind": "mla",
        **{f"attention.{name}": config.get(name) for name in SIZES[4:]},
        "attention.rope_theta": float(theta),
    }


def read_deepseek(folder: Path) -> dict[str, Tensor]:
    """Weights of blocks and of the last norm under this project's names; those of experts are left out.

    Raises:
        UserError: The files cannot be read, or hold weights of 8 bits.
    """
    sizes = deepseek_sizes(folder)
    heads = {key.removeprefix("attention."): sizes[key] for key in sizes if key.endswith("head_dim")}
    interleaved = read_json(folder / "config.json").get("rope_interleave", True)
    layers: dict[int, dict[str, Tensor]] = {}
    weights = {}
    for name, weight in _tensors(folder):
        if name == "model.norm.weight":
            weights["encoder.norm.weight"] = weight
        elif name.startswith("model.layers."):
            number, _, rest = name.removeprefix("model.layers.").partition(".")
            if number.isdecimal() and int(number) < sizes["encoder.depth"]:
                layers.setdefault(int(number), {})[rest] = weight
    for place, layer in layers.items():
        attention = {n.removeprefix("self_attn."): w for n, w in layer.items() if n.startswith("self_attn.")}
        try:
            mla = from_deepseek_v3(attention, sizes["encoder.num_heads"], rope_interleave=interleaved, **heads)
        except (KeyError, ValueError, RuntimeError) as error:
            raise UserError(f"{folder}: attention of layer {place} cannot be read: {error}") from error
        block = {f"attention.{name}": weight for name, weight in mla.state_dict().items()}
        block |= {ours: layer[theirs] for theirs, ours in LAYER.items() if theirs in layer}
        if "mlp.gate_proj.weight" in layer and "mlp.up_proj.weight" in layer:
            block["feed_forward.up.weight"] = torch.cat([layer["mlp.gate_proj.weight"], layer["mlp.up_proj.weight"]])
        if "mlp.down_proj.weight" in layer:
            block["feed_forward.down.weight"] = layer["mlp.down_proj.weight"]
        weights |= {f"encoder.blocks.{place}.{name}": weight for name, weight in block.items()}
    return weights


def _tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """Name and weight, of all but the experts, from one file or from several."""
    names = [WEIGHTS]
    if (folder / INDEX).is_file():
        stored = read_json(folder / INDEX).get("weight_map")
        require(isinstance(stored, dict), f"{folder / INDEX} names no files")
        names = sorted(set(map(str, stored.values())))
    with ExitStack() as stack:
        for name in names:
            file = folder / name
            require(file.parent == folder and file.is_file(), f"{file} is missing")
            try:
                opened = stack.enter_context(safe_open(file, "pt"))
            except Exception as error:  # of safetensors, which are no OSError
                raise UserError(f"{file} cannot be read: {error}") from error
            for key in opened.keys():  # noqa: SIM118 - no dictionary
                if ".experts." not in key and ".shared_experts." not in key:
                    weight = opened.get_tensor(key)
                    require(weight.element_size() > 1, f"{file}: {key} has 8 bits: convert the checkpoint to bfloat16")
                    is_real = weight.is_floating_point() and bool(weight.isfinite().all())
                    require(is_real, f"{file}: {key} has weights that are no finite real numbers")
                    yield key, weight
