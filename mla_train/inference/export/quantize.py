"""Weights of ONNX graphs in 8 bits, for CPUs (dynamic quantization of onnxruntime)."""

import logging
from pathlib import Path

from mla_train.safe_files import keep_checksum

KINDS = ["MatMul", "Gather"]  # products and tables; convolutions in 8 bits are slower than in 32


def quantize(folder: Path) -> None:
    """Replaces the graphs of a folder by ones with 8-bit weights; activations are quantized while they run."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.getLogger().disabled = True  # it advises a step that graphs of torch.export do not need
    try:
        for file in folder.glob("*.onnx"):
            quantize_dynamic(file, file, op_types_to_quantize=KINDS, per_channel=True, weight_type=QuantType.QInt8)
            keep_checksum(file)
    finally:
        logging.getLogger().disabled = False
