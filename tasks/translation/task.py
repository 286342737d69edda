"""Sentences to their translations."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mla_train.baselines import Baseline, Baselines, Limit
from mla_train.config import Architecture
from mla_train.data.cache import cached
from mla_train.data.languages import bleu_tokenizer
from mla_train.dataset import Dataset, Split
from mla_train.heads import Generation, Predictions
from mla_train.modalities import Text
from mla_train.model import Model, ModelSpec
from mla_train.task import Task

MAX_CELLS = 20_000_000  # similarities that are held at a time


class Translation(Task):
    """Sentences to their translations."""

    inputs = {"source": Text}
    head = Generation

    @property
    def architecture(self) -> str:
        """The kinds of attention of encoder, decoder and between them, or that the network is recurrent."""
        options = self.config.task
        if options.model is Architecture.seq2seq:
            return "seq2seq"
        kinds = (self.config.attention.kind, options.decoder.self, options.decoder.cross)
        return "+".join(dict.fromkeys(kind.value for kind in kinds if kind is not None))

    def raw_inputs(self, spec: ModelSpec) -> list[str]:
        """The source; and a target, whose probability is explained in place of the model's own translation."""
        return ["source", "target"]

    def baselines(self, data: Dataset) -> Baselines:
        """The source as it is; the translation of the most similar training source."""

        def predictions(split: Split, texts: Sequence[str]) -> Predictions:
            labels = {"label": [target.text for target in split.targets]}
            return labels | {"other_labels": [target.others for target in split.targets], "predicted": texts}

        def copy(limit: Limit) -> Baseline:
            val, test = (predictions(split, split.columns["source"].texts) for split in (data.val, data.test))
            return Baseline(val, test)

        def nearest(limit: Limit) -> Baseline:
            known, find = data.train.columns["source"].texts, cached(nearest_texts)
            places = [find(split.columns["source"].texts, known) for split in (data.val, data.test)]
            texts = [[data.train.targets[place].text for place in each] for each in places]
            return Baseline(predictions(data.val, texts[0]), predictions(data.test, texts[1]))

        return {"copy": copy, "nearest": nearest}

    def figures(self, model: Model, predictions: Predictions, data: Dataset, folder: Path) -> None:
        """BLEU by length of the source, and where the decoder attends."""
        from mla_train.heads.generation_figures import draw_bleu_by_length, draw_cross_attention

        sources = data.test.columns["source"].texts
        spec = data.spec.target
        tokenizer = bleu_tokenizer(spec.language)
        draw_bleu_by_length(predictions, sources, spec.lowercase, tokenizer, folder / "bleu_by_length.png")
        draw_cross_attention(model, "source", predictions, data.test, folder / "cross_attention.png")


def nearest_texts(texts: list[str], known: list[str]) -> np.ndarray:
    """Place of the known text that is most similar to each text, by TF-IDF of pieces of words."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # a model that translates does not need it

    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), min_df=2, sublinear_tf=True, dtype=np.float32)
    try:
        table = vectorizer.fit_transform(known)
    except ValueError:  # nothing occurs twice
        table = vectorizer.set_params(min_df=1).fit_transform(known)
    asked = vectorizer.transform(texts)
    rows = max(1, MAX_CELLS // table.shape[0])
    nearest = [(asked[row : row + rows] @ table.T).toarray().argmax(1) for row in range(0, asked.shape[0], rows)]
    return np.concatenate(nearest)
