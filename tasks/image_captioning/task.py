"""Images to sentences that say what they show."""

from pathlib import Path

import torch

from mla_train.baselines import Baselines
from mla_train.config import TrainConfig
from mla_train.dataset import Dataset
from mla_train.heads import Generation, GenerationSpec, Predictions
from mla_train.heads.base import Embeddings
from mla_train.heads.decoding import Decoding, Memory
from mla_train.modalities import Image
from mla_train.model import Model, ModelSpec
from mla_train.nn import Hypothesis
from mla_train.task import Task
from tasks.image_captioning.keywords import DRAWS, agreed_words, draw_tokens, until_end


class Captions(Generation):
    """A generated text that is scored by its words, too: most captions are shorter than the four words that BLEU counts."""

    directions = {"word_f1": "max", "rougeL": "max", **Generation.directions}
    monitor = "word_f1"

    def __init__(
        self, config: TrainConfig, spec: GenerationSpec, embeddings: Embeddings, sequences: bool = False
    ) -> None:
        super().__init__(config, spec, embeddings, sequences)
        self.keywords = getattr(config.data, "keywords", False)

    def generate(
        self,
        memory: Memory,
        beams: int = 1,
        temperature: float | None = None,
        top_p: float = 1.0,
        n_best: int = 1,
    ) -> list[list[Hypothesis]]:
        """See `Generation.generate`; with `data.keywords` the words on which random texts agree come first.

        Their score is the F1 of words that is expected.
        """
        if not self.keywords or temperature is not None:
            return super().generate(memory, beams, temperature, top_p, n_best)
        count, device = len(memory.states), memory.states.device
        rows = memory.select(torch.arange(count, device=device).repeat_interleave(DRAWS))
        draws = draw_tokens(Decoding(self, rows), count, self.spec.max_length + 1, device)
        best = []
        for each in draws.tolist():
            captions = self.tokenizer.decode_batch([until_end(tokens) for tokens in each])
            words, score = agreed_words([caption.split() for caption in captions])
            best.append([Hypothesis(tuple(self.tokenizer.encode(" ".join(words)).ids), score)])
        if n_best == 1:
            return best
        others = super().generate(memory, beams, n_best=n_best - 1)
        return [[*first, *more] for first, more in zip(best, others, strict=True)]


class ImageCaptioning(Task):
    """Images to sentences that say what they show."""

    inputs = {"image": Image}
    head = Captions

    def raw_inputs(self, spec: ModelSpec) -> list[str]:
        """The image; and a target, whose probability is explained in place of the model's own caption."""
        return ["image", "target"]

    def baselines(self, data: Dataset) -> Baselines:
        """The caption of the most similar training image; the most frequent words."""
        from tasks.image_captioning.baselines import caption_baselines

        return caption_baselines(data)

    def figures(self, model: Model, predictions: Predictions, data: Dataset, folder: Path) -> None:
        """Those of every task, and where the words of captions attend on their images."""
        from mla_train.explain.words_over_images import draw_words_over_images

        super().figures(model, predictions, data, folder)
        draw_words_over_images(model, data, folder / "words_over_images.png")
