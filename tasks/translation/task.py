"""The task: sentences in, their translation out."""

from typing import Any

import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from mla_train.data.tokenizers import END_ID, PAD_ID, START_ID
from mla_train.nn import beam_search
from mla_train.training.task import Predictions, Task
from tasks.translation.config import TranslationTaskConfig
from tasks.translation.data import PairData, TranslationBatch, TranslationFacts
from tasks.translation.network import Translator, greedy_limit


class TranslationTask(Task):
    """What does a sentence mean in another language?"""

    facts_class = TranslationFacts
    directions = {"bleu": "max", "chrf": "max", "exact_match": "max"}
    monitor = "bleu"

    def build(self, facts: TranslationFacts) -> None:
        """Makes the network for these vocabularies."""
        self.facts = facts
        self.network = Translator(self.config, facts)
        self.written = Tokenizer.from_str(facts.target_tokenizer or facts.source_tokenizer)

    def forward(self, batch: TranslationBatch) -> Tensor:
        """Scores of the next target tokens, `(batch, target_length, target_vocab)`."""
        return self.network(batch.source, batch.read)

    def loss(self, outputs: Tensor, batch: TranslationBatch) -> tuple[Tensor, Tensor]:
        """Cross-entropy, smoothed in training only, and the number of target tokens."""
        smoothing = self.config.regularization.label_smoothing if self.training else 0.0
        following = batch.target[:, 1:]
        loss = F.cross_entropy(
            outputs.flatten(0, 1), following.flatten(), ignore_index=PAD_ID, label_smoothing=smoothing, reduction="sum"
        )
        return loss, (following != PAD_ID).sum()

    def predict(self, outputs: Tensor, batch: TranslationBatch) -> Predictions:
        """The translations, by beam search at the end and greedily between epochs."""
        options = self.config.task
        assert isinstance(options, TranslationTaskConfig)
        beams = options.beams if self.trainer.testing else 1
        found = beam_search(
            self.network.stepper(batch.source),
            greedy_limit(batch.source),
            start=START_ID,
            end=END_ID,
            beams=beams,
            length_penalty=options.length_penalty,
            device=batch.source.device,
        )
        return {
            "output": self.written.decode_batch([list(best[0].tokens) for best in found]),
            "reference": self.written.decode_batch(batch.target.tolist()),
        }

    def metrics(self, predictions: Predictions) -> dict[str, float]:
        """BLEU and chrF by sacrebleu, and the share of translations that are the reference to the letter."""
        import sacrebleu

        output, reference = predictions["output"], predictions["reference"]
        return {
            "bleu": sacrebleu.corpus_bleu(output, [reference]).score,
            "chrf": sacrebleu.corpus_chrf(output, [reference]).score,
            "exact_match": sum(o == r for o, r in zip(output, reference, strict=True)) / len(output),
        }

    def records(self, predictions: Predictions, data: PairData) -> list[dict[str, Any]]:
        """Each source with its reference and output."""
        return [
            {"index": int(i), "source": data.test.sources[i], "reference": reference, "output": output}
            for i, reference, output in zip(
                predictions["index"], predictions["reference"], predictions["output"], strict=True
            )
        ]

    def tokens(self, batch: TranslationBatch) -> int:
        """Target tokens that are not padding."""
        return int((batch.target[:, 1:] != PAD_ID).sum())
