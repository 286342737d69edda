"""`mla_train.load(run)`: a trained model that predicts from raw examples."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from mla_train.data.tables.cells import is_empty
from mla_train.dataset import check_given, raw_batch
from mla_train.errors import UserError
from mla_train.inference.artifact import Artifact, load_model

WINDOW = 16  # batches whose examples are sorted by length


class Predictor:
    """A trained model.

    Attributes:
        artifact: The model as it was loaded.
        network: The network, in evaluation mode.
        spec: Inputs with their preprocessing, and the targets.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.config, self.task, self.network = artifact.config, artifact.task, artifact.model
        self.spec = self.network.spec

    @property
    def reads_windows(self) -> bool:
        """Whether examples are windows of a table of series."""
        return any(each.kind == "series" and each.spec.horizon for each in self.spec.inputs.values())

    def predict(self, examples: Sequence[Any], batch_size: int = 64) -> list[dict[str, Any]]:
        """Predicts from raw examples.

        Args:
            examples: Mappings from the name of an input to its raw value: a text, an image as file, bytes or array,
                rows of numbers; or a data frame with a column for each input. A model with one input takes the values
                themselves too.
            batch_size: Number of examples that are predicted at a time.

        Returns:
            A record for each example, in order: `prediction`, and what belongs to the kind of answer.

        Raises:
            UserError: An example lacks its inputs, or one cannot be read.
        """
        return list(self.predict_batches(examples, batch_size))

    def predict_batches(
        self, examples: Iterable[Any], batch_size: int = 64, keep_errors: bool = False
    ) -> Iterator[dict[str, Any]]:
        """Predicts from any iterable of raw examples, in constant memory; those of similar length share a batch.

        Args:
            examples: Raw examples, see `predict`.
            batch_size: Number of examples that are predicted at a time.
            keep_errors: Whether an example that cannot be read gets a record with `error`, instead of stopping.
        """
        rest, count = iter(self._rows(examples)), 0
        while window := list(islice(rest, batch_size * WINDOW)):
            records: list[dict[str, Any]] = [{}] * len(window)
            named: dict[int, Mapping[str, Any]] = {}
            for place, example in enumerate(window):
                try:
                    named[place] = self._named(example)
                    check_given(self.spec, [named[place]], count + place)
                except UserError as error:
                    if not keep_errors:
                        raise
                    named.pop(place, None)
                    records[place] = {"error": str(error)}
            by_length = sorted(named, key=lambda place: _length(named[place]))
            for start in range(0, len(by_length), batch_size):
                places = by_length[start : start + batch_size]
                answers = self._answers([named[place] for place in places], keep_errors)
                for place, record in zip(places, answers, strict=True):
                    records[place] = record
            yield from records
            count += len(window)

    def _answers(self, examples: list[Mapping[str, Any]], keep_errors: bool) -> list[dict[str, Any]]:
        """Records of a batch; where one example is at fault the others are predicted in halves."""
        device = next(self.network.parameters()).device
        try:
            with torch.inference_mode():
                return self.network.head.decode(self.network.predict(raw_batch(self.spec, examples).to(device)))
        except UserError as error:
            if not keep_errors:
                raise
            if len(examples) == 1:
                return [{"error": str(error)}]
            half = len(examples) // 2
            return self._answers(examples[:half], True) + self._answers(examples[half:], True)

    def _rows(self, examples: Any) -> Iterable[Any]:
        """Examples one by one; a data frame gives those of its columns that are inputs."""
        if isinstance(examples, str | bytes | Path | Mapping):
            raise UserError(f"examples are a list, not {type(examples).__name__}: write predict([example])")
        if not hasattr(examples, "to_dict"):
            return examples
        several = [column for columns in self._several_columns().values() for column in columns]
        names = [name for name in [*self.spec.inputs, *several] if name in examples.columns]
        if not names:
            raise UserError(
                f"the data frame has no column {' or '.join(self.spec.inputs)}: rename the one that is meant"
            )
        rows = examples[names].itertuples(index=False, name=None)
        return ({name: None if is_empty(cell) else cell for name, cell in zip(names, row, strict=True)} for row in rows)

    def _several_columns(self) -> dict[str, list[str]]:
        """Columns of each input that is read from several."""
        return {name: each.spec.columns for name, each in self.spec.inputs.items() if getattr(each.spec, "columns", [])}

    def _named(self, example: Any) -> Mapping[str, Any]:
        if isinstance(example, Mapping):
            for name, columns in self._several_columns().items():  # each column by its name, instead of the input
                if name not in example and example.keys() & set(columns):
                    texts = {name: [example.get(column) for column in columns]}
                    example = texts | {key: value for key, value in example.items() if key not in columns}
            unknown = example.keys() - self.spec.inputs.keys()
            if unknown:
                raise UserError(
                    f"unknown input {', '.join(sorted(map(str, unknown)))}: this model reads {', '.join(self.spec.inputs)}"
                )
            return example
        if len(self.spec.inputs) > 1:
            raise UserError(f"name the inputs of each example: a mapping with {', '.join(self.spec.inputs)}")
        return {next(iter(self.spec.inputs)): example}


def _length(example: Mapping[str, Any]) -> int:
    """Number of characters of the texts of an example."""
    return sum(len(str(value)) for value in example.values() if isinstance(value, str | list | tuple | dict))


def load(path: str | Path, trust: str | Path | None = None) -> Predictor:
    """Loads a trained model from a run folder, an exported one, or a repository `user/model` of the Hub; see `load_model`.

    Args:
        path: Folder or repository.
        trust: Folder of a task of your own, whose code may run.
    """
    return Predictor(load_model(path, trust))
