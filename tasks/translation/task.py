"""Sentences to their translations."""

from pathlib import Path

from mla_train.baselines import Baseline, Baselines, Limit
from mla_train.baselines.texts import nearest_targets, text_predictions
from mla_train.data.languages import bleu_tokenizer
from mla_train.dataset import Dataset
from mla_train.heads import Generation, Predictions
from mla_train.modalities import Text
from mla_train.model import Model, ModelSpec
from mla_train.task import Task


class Translation(Task):
    """Sentences to their translations."""

    inputs = {"source": Text}
    head = Generation

    def raw_inputs(self, spec: ModelSpec) -> list[str]:
        """The source; and a target, whose probability is explained in place of the model's own translation."""
        return ["source", "target"]

    def baselines(self, data: Dataset) -> Baselines:
        """The source as it is; the translation of the most similar training source."""

        def copy(limit: Limit) -> Baseline:
            val, test = (text_predictions(split, split.columns["source"].texts) for split in (data.val, data.test))
            return Baseline(val, test)

        def nearest(limit: Limit) -> Baseline:
            val, test = nearest_targets(data, "source", "pieces")
            return Baseline(text_predictions(data.val, val), text_predictions(data.test, test))

        return {"copy": copy, "nearest": nearest}

    def figures(self, model: Model, predictions: Predictions, data: Dataset, folder: Path) -> None:
        """BLEU by length of the source, and where the decoder attends."""
        from mla_train.heads.generation_figures import bleu_of, draw_by_length, draw_cross_attention

        sources = data.test.columns["source"].texts
        spec = data.spec.target
        bleu = bleu_of(spec.lowercase, bleu_tokenizer(spec.language))
        draw_by_length(predictions, sources, bleu, "BLEU", folder / "bleu_by_length.png")
        draw_cross_attention(model, "source", predictions, data.test, folder / "cross_attention.png")
