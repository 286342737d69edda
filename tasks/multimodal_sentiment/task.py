"""The task: examples of several modalities in, a class or a number out; what each modality is worth."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import f1_score
from torch import Tensor

from mla_train.data.baselines import majority
from mla_train.data.cache import cached
from mla_train.data.texts import TextReader
from mla_train.data.visual_words import learn_words
from mla_train.explain.explanation import Explanation
from mla_train.nn import ReconstructionInput
from mla_train.training.classification import Classification
from mla_train.training.task import Predictions, Raw
from tasks.multimodal_sentiment import regression
from tasks.multimodal_sentiment.baselines import linear_models
from tasks.multimodal_sentiment.columns import Texts
from tasks.multimodal_sentiment.data import MultimodalBatch, MultimodalData, MultimodalFacts
from tasks.multimodal_sentiment.figures import draw_ablation, draw_words_over_pictures
from tasks.multimodal_sentiment.network import MultimodalClassifier
from tasks.multimodal_sentiment.raw import raw_example, read_examples
from tasks.multimodal_sentiment.view import view_example

PICTURES = 2000  # from which visual words are learnt, at most


class MultimodalSentimentTask(Classification):
    """What do a text, a picture and what goes with them feel like?"""

    facts_class = MultimodalFacts

    def build(self, facts: MultimodalFacts) -> None:
        """Makes the network for these modalities."""
        self.facts = facts
        self.network = MultimodalClassifier(self.config, facts)
        self.ablating = False
        if facts.classes:
            self.directions = {"accuracy": "max", "weighted_f1": "max", "macro_f1": "max"}
        else:
            scores = ("pearson", "acc_2", "acc_2_nonzero", "f1_nonzero", "acc_7")
            self.directions = {"mae": "min"} | dict.fromkeys(scores, "max")
            self.monitor = "mae"

    def begin(self, data: MultimodalData) -> bool:
        """Learns the visual words of the training pictures."""
        for name in self.network.words:
            words: Any = self.network.words[name]
            column: Any = data.train.columns[name]
            images = column.images[torch.from_numpy(~column.missing)]
            images = images[:: -(-len(images) // PICTURES)]
            words.init_from_data(*cached(learn_words)(images.numpy(), words.count, words.side), images)
        return False

    def forward(self, batch: MultimodalBatch) -> Tensor:
        """Class scores `(batch, classes)`, or scaled numbers `(batch, 1)`; in training also of each modality alone."""
        return self.network(batch)

    def loss(self, outputs: Tensor, batch: MultimodalBatch) -> tuple[Tensor, int]:
        """Cross-entropy, or the absolute error of scaled numbers, and the number of examples.

        What a modality says alone counts where the example has it: else the one that is learnt from fastest would leave
        nothing to learn for the others (Wang et al. 2020, arXiv 1905.12681).
        """
        if outputs.dim() == 2:
            return self._error(outputs, batch).sum(), len(batch)
        there = torch.stack([~batch.missing(name) for name in self.facts.modalities])
        alone = torch.stack([self._error(scores, batch) for scores in outputs[1:]])
        return self._error(outputs[0], batch).sum() + self.network.alone * (alone * there).sum(), len(batch)

    def _error(self, outputs: Tensor, batch: MultimodalBatch) -> Tensor:
        """Of each example, `(batch,)`."""
        if not self.facts.classes:
            return F.l1_loss(outputs.squeeze(-1), batch.labels, reduction="none")
        smoothing = self.config.regularization.label_smoothing if self.training else 0.0
        return F.cross_entropy(outputs, batch.labels, label_smoothing=smoothing, reduction="none")

    def encoder_inputs(self) -> list[ReconstructionInput]:
        """Tokens, pixels of cells and features, one modality after the other."""
        facts = self.facts
        sizes = {name: text.vocab_size for name, text in facts.texts.items()}
        sizes |= {name: len(feature.mean) for name, feature in facts.features.items()}
        for name, image in facts.images.items():
            embedding: Any = self.network.embeddings[name]
            sizes[name] = image.channels * embedding.tokenizer.side**2
        return [ReconstructionInput(sizes[name], partial(self.network.told, name)) for name in facts.modalities]

    def divergence(self, first: Tensor, second: Tensor, batch: MultimodalBatch) -> Tensor:
        """Of class scores; of numbers, as if each were the mean of a normal distribution of spread 1."""
        if self.facts.classes:
            return super().divergence(first, second, batch)
        return ((first - second) ** 2).sum() / 4

    def on_test_epoch_start(self) -> None:
        """Looks at each modality alone and at each left out, too."""
        super().on_test_epoch_start()
        self.ablating = len(self.facts.modalities) > 1

    def on_test_epoch_end(self) -> None:
        """Scores the test split."""
        self.ablating = False
        super().on_test_epoch_end()

    def predict(self, outputs: Tensor, batch: MultimodalBatch) -> Predictions:
        """True and predicted class with probabilities, or numbers; in the test also without and with each modality alone."""
        found = self._answers(outputs, batch)
        if self.ablating:
            encoded = self.network.encode(batch)
            for name in self.facts.modalities:
                found[f"only {name}"] = self._answers(self.network.judge(encoded.only(name)), batch)["predicted"]
                without = self._answers(self.network.judge(encoded.without([name])), batch)
                found[f"without {name}"] = without["predicted"]
                found[f"support {name}"] = self._support(found, without)
        return found

    def _answers(self, outputs: Tensor, batch: MultimodalBatch) -> Predictions:
        if self.facts.classes:
            return super().predict(outputs, batch)
        numbers = {"label": batch.labels, "predicted": outputs.squeeze(-1)}
        return {
            name: value.detach().float().cpu().numpy() * self.facts.std + self.facts.mean
            for name, value in numbers.items()
        }

    def _support(self, whole: Predictions, without: Predictions) -> np.ndarray:
        """By how much a modality raises the probability of the predicted class, or moves the number."""
        if not self.facts.classes:
            return whole["predicted"] - without["predicted"]
        rows = np.arange(len(whole["predicted"]))
        return whole["probability"].max(-1) - without["probability"][rows, whole["predicted"]]

    def metrics(self, predictions: Predictions) -> dict[str, float]:
        """Those of classification with the F1 of classes weighted by their size, or those of regression."""
        label, predicted = predictions["label"], predictions["predicted"]
        if not self.facts.classes:
            return regression.scores(label, predicted)
        weighted = float(f1_score(label, predicted, average="weighted", zero_division=0))
        return super().metrics(predictions) | {"weighted_f1": weighted}

    def details(self, predictions: Predictions) -> dict[str, Any]:
        """Scores of each class, and with each modality alone and left out."""
        found = super().details(predictions) if self.facts.classes else {}
        ablation = self._ablation(predictions)
        return found | ({"ablation": ablation} if ablation else {})

    def _ablation(self, predictions: Predictions) -> dict[str, dict[str, float]]:
        return {
            key: self.metrics({"label": predictions["label"], "predicted": predictions[key]})
            for name in self.facts.modalities
            for key in (f"only {name}", f"without {name}")
            if key in predictions
        }

    def records(self, predictions: Predictions, data: MultimodalData) -> list[dict[str, Any]]:
        """Each example with its true and predicted class or number, and what each modality contributed."""
        if self.facts.classes:
            rows = super().records(predictions, data)
        else:
            columns = zip(*(predictions[name] for name in ("index", "label", "predicted")), strict=True)
            rows = [
                {"index": int(i), **self.describe(int(i), data), "label": round(float(label), 4),
                 "predicted": round(float(predicted), 4)}
                for i, label, predicted in columns
            ]  # fmt: skip
        for name in self.facts.modalities:
            for row, support in zip(rows, predictions.get(f"support {name}", ()), strict=False):
                row.setdefault("contribution", {})[name] = round(float(support), 4)
        return rows

    def error(self, record: Mapping[str, Any]) -> float:
        """How certain the model was of a wrong class, or how far off its number is."""
        return super().error(record) if self.facts.classes else abs(record["label"] - record["predicted"])

    def describe(self, index: int, data: MultimodalData) -> dict[str, Any]:
        """Where the example comes from, and its texts."""
        columns = data.test.columns.items()
        texts = {name: column.texts[index] for name, column in columns if isinstance(column, Texts)}
        return {"source": data.test.names[index], **texts}

    @property
    def inputs(self) -> Sequence[str]:
        """The modalities."""
        return self.facts.modalities

    @cached_property
    def readers(self) -> dict[str, TextReader]:
        """Tokens and terms of each modality of texts."""
        longest = self.config.data.max_length if self.facts.texts else 0
        return {name: TextReader(text.tokenizer, text.terms, longest) for name, text in self.facts.texts.items()}

    def read(self, raws: Sequence[Raw]) -> MultimodalBatch:
        """Examples as a batch, each a sequence of its own; a modality that is not given is missing.

        Raises:
            UserError: A picture cannot be read, or features are given as a text.
        """
        data = MultimodalData(self.config)
        data.facts = self.facts
        split = read_examples(raws, self.facts, self.readers)
        return data.collate([split[i] for i in range(len(split))], training=False)

    def raw(self, data: MultimodalData, index: int) -> Raw:
        """What the data set holds of the example."""
        return raw_example(data.test, index)

    def explain(self, raw: Raw) -> Explanation:
        """Each modality over itself, words over the others; words, cells and steps as units."""
        return view_example(self, raw)

    @torch.no_grad()
    def explained(self, batch: MultimodalBatch) -> tuple[Callable[[Tensor], Tensor], str, str]:
        """Log odds of the predicted class, or the predicted number."""
        if self.facts.classes:
            return super().explained(batch)
        std, mean = self.facts.std, self.facts.mean
        return lambda outputs: outputs[:, 0] * std + mean, "the number", f"{float(self(batch)) * std + mean:.3f}"

    def figures(self, predictions: Predictions, data: MultimodalData, folder: Path) -> None:
        """Confusion matrix or scatter, the ablation, and words over pictures."""
        if self.facts.classes:
            super().figures(predictions, data, folder)
        else:
            regression.draw_scatter(predictions["label"], predictions["predicted"], folder / "scatter.png")
        ablation = self._ablation(predictions)
        if ablation:
            whole = self.metrics(predictions)
            draw_ablation(whole, ablation, self.monitor, self.facts.modalities, folder / "ablation.png")
        draw_words_over_pictures(self, data, folder / "words_over_pictures.png")

    def baselines(self, data: MultimodalData) -> dict[str, Predictions]:
        """The most frequent class or the mean, and linear models of each kind of modality and of all."""
        parts = {part: getattr(data, part) for part in ("train", "val", "test")}
        train, test = data.train.labels, data.test.labels
        found = linear_models(parts, regression=not self.facts.classes)
        if self.facts.classes:
            found = {"majority": majority(train, len(test))} | found
        else:
            found = {"mean": np.full(len(test), train.mean())} | found
        return {name: {"label": test, "predicted": np.asarray(predicted)} for name, predicted in found.items()}

    def tokens(self, batch: MultimodalBatch) -> int:
        """Tokens, steps and cells of the pictures that are there."""
        found = 0
        for name, padding in batch.padding.items():
            cells: Any = self.network.embeddings[name].positions if name in self.facts.images else [1]
            found += int((~padding).sum()) * len(cells)
        return found
