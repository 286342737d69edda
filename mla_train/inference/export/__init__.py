"""Trained models as graphs that run without this package: torch.export and ONNX."""

from importlib.util import find_spec

from mla_train.errors import require

FORMATS = ("safetensors", "torch_export", "onnx")


def check_format(name: str, quantize: str | None) -> None:
    """Raises UserError where a format cannot be quantized, or needs packages that are not installed."""
    require(
        quantize is None or name == "onnx",
        f"--quantize {quantize} needs --format onnx: in the format {name} weights are read as they were trained",
    )
    lacking = [package for package in ("onnx", "onnxruntime", "onnxscript") if find_spec(package) is None]
    require(name != "onnx" or not lacking, f"{', '.join(lacking)} is missing: pip install 'mla-train[export]'")
