"""`mla_train.load(run)`: a trained model that predicts from raw examples."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from mla_train.dataset import check_given, raw_batch
from mla_train.errors import UserError
from mla_train.inference.artifact import Artifact, load_model


class Predictor:
    """A trained model.

    Attributes:
        network: The network, in evaluation mode.
        spec: Inputs with their preprocessing, and the targets.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.config, self.task, self.network = artifact.config, artifact.task, artifact.model
        self.spec = self.network.spec

    def predict(self, examples: Sequence[Any], batch_size: int = 64) -> list[dict[str, Any]]:
        """Predicts from raw examples.

        Args:
            examples: Mappings from the name of an input to its raw value: a text, an image as file, bytes or array,
                rows of numbers. A model with one input takes the values themselves too.
            batch_size: Number of examples that are predicted at a time.

        Returns:
            A record for each example, in order: `prediction`, and what belongs to the kind of answer.

        Raises:
            UserError: An example lacks its inputs, or one cannot be read.
        """
        return list(self.predict_batches(examples, batch_size))

    @torch.inference_mode()
    def predict_batches(self, examples: Iterable[Any], batch_size: int = 64) -> Iterator[dict[str, Any]]:
        """Predicts from any iterable of raw examples, in constant memory; see `predict`."""
        rows = iter(examples)
        device = next(self.network.parameters()).device
        while batch := [self._named(example) for example in islice(rows, batch_size)]:
            check_given(self.spec, batch)
            yield from self.network.head.decode(self.network.predict(raw_batch(self.spec, batch).to(device)))

    def _named(self, example: Any) -> Mapping[str, Any]:
        if isinstance(example, Mapping):
            unknown = example.keys() - self.spec.inputs.keys()
            if unknown:
                raise UserError(
                    f"unknown input {', '.join(sorted(map(str, unknown)))}: this model reads {', '.join(self.spec.inputs)}"
                )
            return example
        if len(self.spec.inputs) > 1:
            raise UserError(f"name the inputs of each example: a mapping with {', '.join(self.spec.inputs)}")
        return {next(iter(self.spec.inputs)): example}


def load(path: str | Path) -> Predictor:
    """Loads a trained model from a run folder, or the folder `model` in it; see `load_model`."""
    return Predictor(load_model(path))
