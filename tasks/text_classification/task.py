"""The task: texts in, classes out; mistakes for people and baselines."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from mla_train.data.baselines import majority
from mla_train.data.cache import cached
from mla_train.data.texts import TextReader, clean
from mla_train.data.tokenizers import UNK_ID
from mla_train.errors import UserError
from mla_train.explain.explanation import Explanation
from mla_train.nn import ReconstructionInput, ReconstructionTarget
from mla_train.training.classification import Classification, worst_mistakes
from mla_train.training.task import Predictions, Raw
from tasks.text_classification.baselines import tfidf_logistic_regression
from tasks.text_classification.data import TextBatch, TextData, TextFacts, TextSplit
from tasks.text_classification.network import TextClassifier
from tasks.text_classification.view import view_text


class TextClassificationTask(Classification):
    """Which class does a text belong to?"""

    facts_class = TextFacts

    def build(self, facts: TextFacts) -> None:
        """Makes the network for this vocabulary and these classes."""
        self.facts = facts
        self.network = TextClassifier(self.config, facts)

    def forward(self, batch: TextBatch) -> Tensor:
        """Class scores, `(batch, classes)`."""
        return self.network(batch)

    def encoder_inputs(self) -> list[ReconstructionInput]:
        """The tokens."""
        size = self.facts.vocab_size
        return [ReconstructionInput(size, lambda batch: ReconstructionTarget(batch.tokens, batch.tokens > UNK_ID))]

    @property
    def inputs(self) -> Sequence[str]:
        """The text."""
        return ("text",)

    @cached_property
    def reader(self) -> TextReader:
        """Tokens and terms."""
        return TextReader(self.facts.tokenizer, self.facts.terms, self.facts.max_length)

    def read(self, raws: Sequence[Raw]) -> TextBatch:
        """Texts as a batch; one that is empty is a single unknown token.

        Raises:
            UserError: A text is missing.
        """
        if not all(isinstance(raw.get("text"), str) for raw in raws):
            raise UserError("there is no text")
        texts = [clean(raw["text"]) for raw in raws]
        split = TextSplit(texts, np.zeros(len(texts), dtype=int), *self.reader(texts))
        return TextData(self.config).collate([split[i] for i in range(len(texts))], training=False)

    def raw(self, data: TextData, index: int) -> Raw:
        """The text."""
        return {"text": data.test.texts[index]}

    def explain(self, raw: Raw) -> Explanation:
        """Words over words; words as units."""
        return view_text(self, raw)

    def describe(self, index: int, data: TextData) -> dict[str, Any]:
        """The text."""
        return {"text": data.test.texts[index]}

    def figures(self, predictions: Predictions, data: TextData, folder: Path) -> None:
        """Confusion matrix, and the worst mistakes as a list to read."""
        super().figures(predictions, data, folder)
        classes = self.facts.classes
        lines = ["| confidence | predicted | true | text |", "|---|---|---|---|"]
        for row in worst_mistakes(predictions, 50):
            text = data.test.texts[int(predictions["index"][row])][:300].replace("|", "\\|")
            said, true = classes[predictions["predicted"][row]], classes[predictions["label"][row]]
            lines.append(f"| {predictions['probability'][row].max():.2f} | {said} | {true} | {text} |")
        (folder / "mistakes.md").write_text("\n".join(lines) + "\n")

    def baselines(self, data: TextData) -> dict[str, Predictions]:
        """The most frequent class, and logistic regression on TF-IDF of word or character n-grams."""
        test = data.test.labels
        linear = cached(tfidf_logistic_regression)(
            data.train.texts, data.train.labels, data.val.texts, data.val.labels, data.test.texts
        )
        return {
            "majority": {"label": test, "predicted": majority(data.train.labels, len(test))},
            "linear": {"label": test, "predicted": np.asarray(linear)},
        }

    def tokens(self, batch: TextBatch) -> int:
        """Tokens that are not padding."""
        return int((~batch.key_padding_mask).sum())
