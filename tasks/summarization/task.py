"""Texts to their summaries."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from mla_train.baselines import Baseline, Baselines, Limit
from mla_train.baselines.texts import nearest_targets, text_predictions
from mla_train.dataset import Dataset
from mla_train.heads import Generation, Predictions
from mla_train.modalities import Text
from mla_train.model import Model, ModelSpec
from mla_train.task import Task

MOST_SENTENCES = 3  # of the lead


class Summary(Generation):
    """A generated text that is measured by ROUGE."""

    directions = dict.fromkeys(("rouge1", "rouge2", "rougeL"), "max")
    monitor = "rougeL"


class Summarization(Task):
    """Texts to their summaries."""

    inputs = {"text": Text}
    head = Summary

    def raw_inputs(self, spec: ModelSpec) -> list[str]:
        """The text; and a target, whose probability is explained in place of the model's own summary."""
        return ["text", "target"]

    def baselines(self, data: Dataset) -> Baselines:
        """The first sentences of the text, their number chosen on val; the summary of the most similar training text."""
        from mla_train.heads.text_metrics import TextMetrics

        def lead(limit: Limit) -> Baseline:
            texts = [split.columns["text"].texts for split in (data.val, data.test)]
            metrics = TextMetrics(data.spec.target.language, data.spec.target.lowercase, ["rougeL"])
            labels = [target.text for target in data.val.targets]
            counts = range(1, MOST_SENTENCES + 1)
            count = max(counts, key=lambda count: metrics(first_sentences(texts[0], count), labels)["rougeL"])
            val, test = (
                text_predictions(split, first_sentences(each, count))
                for split, each in zip((data.val, data.test), texts, strict=True)
            )
            return Baseline(val, test, {"sentences": count})

        def nearest(limit: Limit) -> Baseline:
            val, test = nearest_targets(data, "text", "words")
            return Baseline(text_predictions(data.val, val), text_predictions(data.test, test))

        return {"lead": lead, "nearest": nearest}

    def figures(self, model: Model, predictions: Predictions, data: Dataset, folder: Path) -> None:
        """ROUGE-L by length of the text, and what is copied from where, or attended to."""
        from mla_train.heads.generation_figures import draw_by_length, draw_copies, draw_cross_attention

        texts, metrics = data.test.columns["text"].texts, cast(Summary, model.head).text_metrics
        draw_by_length(
            predictions, texts, lambda *pairs: metrics(*pairs)["rougeL"], "ROUGE-L", folder / "rouge_by_length.png"
        )
        if self.config.task.copy:
            draw_copies(model, "text", predictions, data.test, folder / "copies.png")
        else:
            draw_cross_attention(model, "text", predictions, data.test, folder / "cross_attention.png")


def first_sentences(texts: Sequence[str], count: int) -> list[str]:
    """So many sentences from the beginning of each text."""
    return [" ".join(re.split(r"(?<=[.!?])\s+", text, maxsplit=count)[:count]) for text in texts]
