"""Examples in JSON: their types, made of a model's spec, and the way from JSON to raw values.

A server opens no file that a request names: images and tables are inside the request.
"""

import base64
import binascii
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import ConfigDict, Field, ValidationError, create_model
from pydantic_core import from_json

from mla_train.errors import UserError
from mla_train.inference.serve.limits import Budget, Limits, RequestError
from mla_train.modalities import Modality
from mla_train.modalities.image.decode import UNREADABLE, open_image
from mla_train.modalities.series.spec import table_columns
from mla_train.model import ModelSpec

Number = Annotated[float, Field(allow_inf_nan=False)]
Gap = Number | None
OTHER_COLUMNS = 16  # that a table may have beside those that a model reads, times among them
SEPARATORS = ",;\t| "
SHOWN = 3  # unknown inputs that are named


@dataclass
class Examples:
    """What a body asks for.

    Attributes:
        examples: Raw values of each example by the names of inputs, or what is wrong with it.
        several: Whether a list was given.
    """

    examples: list[dict[str, Any] | UserError]
    several: bool


class ExampleReader:
    """Reads the bodies of requests.

    Args:
        spec: Spec of the model.
        limits: The most that is accepted.

    Attributes:
        example: Type of an example: each input by name. Where there are several inputs, some may be left out.
        is_slow: Whether files are decoded, which takes long.
    """

    def __init__(self, spec: ModelSpec, limits: Limits) -> None:
        self.spec, self.limits = spec, limits
        self.is_slow = any(modality.kind not in ("text", "items") for modality in spec.inputs.values())
        fields: dict[str, Any] = {}
        for number, (name, modality) in enumerate(spec.inputs.items()):  # a name need not be one of Python
            kind = input_type(modality, limits)
            is_only = len(spec.inputs) == 1
            fields[f"input_{number}"] = (kind, Field(alias=name)) if is_only else (kind | None, Field(None, alias=name))
        self.example = create_model("Example", __config__=ConfigDict(extra="forbid", strict=True), **fields)

    def read(self, body: bytes) -> Examples:
        """The examples of a body.

        Raises:
            RequestError: The body is no JSON object, or has too many examples or lists.
        """
        if body.count(b"[") + body.count(b"{") > self.limits.lists:  # an empty one has 20 times its bytes in memory
            raise RequestError(
                413, f"the body has more than {self.limits.lists:,} lists and objects (lists): send fewer examples"
            )
        try:
            json.loads(body, object_pairs_hook=_refuse_repeated)  # of which the next one takes the last
            content = from_json(body, allow_inf_nan=False)
        except (ValueError, RecursionError) as error:
            raise RequestError(400, f"the body is not JSON: {error}") from error
        if not isinstance(content, dict):
            raise RequestError(422, f'write {{"{next(iter(self.spec.inputs))}": ...}} or {{"examples": [...]}}')
        budget = Budget(self.limits.request_pixels)
        if content.keys() != {"examples"}:
            return Examples([self._read_one(content, budget)], several=False)
        examples = content["examples"]
        if not isinstance(examples, list) or not examples:
            raise RequestError(422, "examples: a list of at least one example is needed")
        if len(examples) > self.limits.examples:
            raise RequestError(413, f"{len(examples):,} examples: a request has at most {self.limits.examples:,}")
        return Examples([self._read_one(example, budget) for example in examples], several=True)

    def schema(self) -> dict[str, Any]:
        """JSON schema of a body: an example, or several."""
        example = self.example.model_json_schema()
        several = {"type": "array", "items": example, "minItems": 1, "maxItems": self.limits.examples}
        examples = {
            "type": "object",
            "title": "Examples",
            "properties": {"examples": several},
            "required": ["examples"],
        }
        return {"anyOf": [example, examples]}

    def _read_one(self, content: Any, budget: Budget) -> dict[str, Any] | UserError:
        try:
            self._check(content)
            values = self.example.model_validate(content).model_dump(by_alias=True, exclude_none=True)
            values = {name: value for name, value in values.items() if not isinstance(value, str) or value.strip()}
            if not values:
                return UserError(f"no {' or '.join(self.spec.inputs)}")
            return {
                name: raw_value(self.spec.inputs[name], value, self.limits, budget) for name, value in values.items()
            }
        except ValidationError as error:
            return UserError(one_line(error, list(self.spec.inputs)))
        except UserError as error:
            return error

    def _check(self, content: Any) -> None:
        """Refuses what would take long to be validated, or to be said of in full."""
        if not isinstance(content, dict):
            return
        unknown = [name for name in content if name not in self.spec.inputs]
        if unknown:
            shown = ", ".join(name[:100] for name in unknown[:SHOWN]) + (", ..." if len(unknown) > SHOWN else "")
            raise UserError(f"unknown input {shown}: this model reads {', '.join(self.spec.inputs)}")
        for name, value in content.items():
            modality = self.spec.inputs[name]
            if modality.kind == "series" and modality.spec.horizon:
                check_table(value, modality.spec, self.limits)


def _refuse_repeated(pairs: list[tuple[str, Any]]) -> None:
    """Raises ValueError where a name occurs twice in an object."""
    names = set[str]()
    for name, _ in pairs:
        if name in names:
            raise ValueError(f"{name[:100]} occurs twice in an object, which is ambiguous: send it once")
        names.add(name)


def input_type(modality: Modality, limits: Limits) -> Any:
    """Type of an input in JSON.

    Raises:
        UserError: This kind of input has no form in JSON.
    """
    spec: Any = modality.spec
    if modality.kind == "text":
        text: Any = Annotated[str, Field(description="A text.", max_length=limits.text_characters)]
        if not spec.columns:
            return text
        count = len(spec.columns)
        description = f"A list of the {count} texts {', '.join(spec.columns)}, of which null is missing; or one text."
        several = Annotated[list[text | None], Field(min_length=count, max_length=count)]
        return Annotated[text | several, Field(description=description)]
    if modality.kind == "image":
        text = (
            "An image file (PNG, JPEG, ...) as base64. Sizes other than "
            f"{spec.width} x {spec.height} pixels are cropped to their middle and resized."
        )
        return Annotated[str, Field(description=text, json_schema_extra={"contentEncoding": "base64"})]
    if modality.kind == "audio":
        text = f"A recording (WAV, FLAC, OGG, MP3) as base64, of which {spec.max_seconds:g} seconds are read."
        return Annotated[str, Field(description=text, json_schema_extra={"contentEncoding": "base64"})]
    if modality.kind == "series" and spec.horizon:
        covariates = table_columns([*spec.known, *spec.observed], spec.categories)
        text = (
            f"A table as CSV text or as a list of rows, with a column of times and {', '.join(spec.names)}"
            f"{''.join(f', {name}' for name in covariates)}. The last {spec.look_back} steps up to the "
            f"last row with a value are read; a forecast is of the {spec.horizon} steps behind them."
        )
        return Annotated[
            str | Annotated[list[dict[str, Number | str | None]], Field(fail_fast=True)], Field(description=text)
        ]
    if modality.kind == "series":
        text = (
            f"A list of steps, each a list of {len(spec.names)} numbers, or the number where it is one; null is a gap."
        )
        steps: Any = Field(max_length=limits.series_steps)
        rows = Annotated[list[Annotated[list[Gap], Field(fail_fast=True)]], steps]
        return Annotated[rows | Annotated[list[Gap], steps], Field(description=text)]
    if modality.kind == "items":
        text = "A list of items, the oldest first"
        text += "; each a pair of its name and its time in seconds." if spec.gaps else ", by name; [] is a new user."
        item: Any = Annotated[str, Field(max_length=limits.text_characters)] | int
        if spec.gaps:
            item = Annotated[list[item | Number], Field(min_length=2, max_length=2)]
        return Annotated[list[item], Field(description=text, max_length=limits.series_steps, fail_fast=True)]
    if modality.kind == "features":
        text = f"A list of {len(spec.mean)} numbers, or of steps, each such a list."
        numbers = Annotated[list[Number], Field(fail_fast=True)]
        steps = Annotated[list[numbers], Field(max_length=limits.series_steps, fail_fast=True)]
        return Annotated[steps | numbers, Field(description=text)]
    raise UserError(
        f"inputs of kind {modality.kind} are not served: serve/{Path(__file__).name} has no form of them in JSON"
    )


def raw_value(modality: Modality, value: Any, limits: Limits, budget: Budget) -> Any:
    """The raw value of an input, decoded and checked as far as it can be without the network.

    Raises:
        UserError: The value cannot be read.
    """
    if modality.kind == "image":
        return modality.preprocess([image_bytes(value, limits, budget)])[0]
    if modality.kind == "audio":
        return modality.preprocess([file_bytes(value, "a recording (WAV, FLAC, OGG, MP3)")])[0]
    if modality.kind == "series" and modality.spec.horizon:
        return read_window(value, modality.spec)
    if modality.kind in ("series", "features"):
        array = modality.preprocess([value])[0]
        if array is None or np.isnan(array).all():
            raise UserError(f"the {modality.kind} have no value")
        return array
    return value


def image_bytes(value: str, limits: Limits, budget: Budget) -> bytes:
    """An image file from base64; a UserError where it is none, or its image is too large to be decoded."""
    content = file_bytes(value, "an image file (PNG, JPEG, ...)")
    try:
        with open_image(content) as image:
            pixels = image.width * image.height
    except UNREADABLE:
        raise UserError("the image cannot be read: send an image file (PNG, JPEG, ...) as base64") from None
    if pixels > limits.image_pixels:
        raise UserError(f"an image of {pixels:,} pixels: at most {limits.image_pixels:,} (image_pixels)")
    budget.spend(pixels)
    return content


def file_bytes(value: str, what: str) -> bytes:
    """A file from base64; a UserError where it is none."""
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        raise UserError(f"the value is not base64: send {what} as base64") from None


def check_table(table: Any, spec: Any, limits: Limits) -> None:
    """Refuses a table of more rows or columns than a model can need, before any of it is read.

    Raises:
        UserError: It has too many.
    """
    series = len(spec.names) if spec.series_column else 1
    most = series * (limits.series_steps + spec.look_back + spec.horizon)
    width = len(spec.names) + len(spec.known) + len(spec.observed) + OTHER_COLUMNS
    if isinstance(table, str):
        lines = table.splitlines()
        rows, columns = len(lines), max((line.count(sign) for line in lines for sign in SEPARATORS), default=0)
        width *= 2  # numbers may be written with a comma
    elif isinstance(table, list):
        rows, columns = len(table), 0
        names: set[Any] = set()
        for row in table[:most]:
            names |= row.keys() if isinstance(row, dict) else set()
            columns = len(names)
            if columns > width:
                break
    else:
        return
    if rows > most:
        raise UserError(f"the table has {rows:,} rows: at most {most:,} (series_steps)")
    if columns > width:
        raise UserError(
            f"the table has more than {width:,} columns: send those that the model reads, a column of times and "
            f"{', '.join(spec.names[:5])}{', ...' if len(spec.names) > 5 else ''}"
        )


def read_window(table: str | Sequence[dict[str, Any]], spec: Any) -> Any:
    """Where the forecast of a table begins, CSV text or rows; a UserError where it does not fit the model."""
    from mla_train.modalities.series.future import read_windows

    is_text = isinstance(table, str)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "table.csv" if is_text else "table.json")
        file.write_text(str(table) if is_text else json.dumps(table), "utf-8", "replace")
        try:
            return read_windows(file, spec)[0]
        except UserError as error:
            raise UserError(str(error).replace(str(file), "the table")) from error


def one_line(error: ValidationError, inputs: Sequence[str]) -> str:
    """What is wrong with an example, and where; of several readings of a value the one that went furthest."""
    details = max(
        error.errors(include_url=False), key=lambda each: (each["type"] == "extra_forbidden", len(each["loc"]))
    )
    if details["type"] == "extra_forbidden":
        return f"unknown input {details['loc'][0]}: this model reads {', '.join(inputs)}"
    if details["type"] == "missing":
        return f"no {details['loc'][0]}: this model reads {', '.join(inputs)}"
    place = "".join(f"[{part}]" for part in details["loc"] if isinstance(part, int))
    message = details["msg"][0].lower() + details["msg"][1:]
    return f"{details['loc'][0] if details['loc'] else 'example'}{place}: {message}"
