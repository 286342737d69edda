"""The task: sentences in, their translation out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mla_train.data.tokenizers import END_ID, PAD_ID, START_ID, UNK_ID, read_tokenizer
from mla_train.errors import UserError
from mla_train.explain.explanation import Explanation
from mla_train.nn import ReconstructionInput, ReconstructionTarget, beam_search
from mla_train.training.task import Predictions, Raw, Task
from tasks.translation.baselines import copied, nearest
from tasks.translation.config import Model, TranslationTaskConfig
from tasks.translation.data import PairData, PairSplit, TranslationBatch, TranslationFacts, clean
from tasks.translation.figures import draw_bleu_by_length, draw_maps
from tasks.translation.network import Translator, longest_output
from tasks.translation.scores import Scores
from tasks.translation.seq2seq import Seq2Seq
from tasks.translation.view import view_pair


class TranslationTask(Task):
    """What does a sentence mean in another language?"""

    facts_class = TranslationFacts
    directions = {"bleu": "max", "bleu_tokenized": "max", "chrf": "max", "exact_match": "max"}
    monitor = "bleu"

    def build(self, facts: TranslationFacts) -> None:
        """Makes the network for these vocabularies."""
        options = self.config.task
        assert isinstance(options, TranslationTaskConfig)
        self.options = options
        self.facts = facts
        self.network: Translator | Seq2Seq
        if options.model is Model.seq2seq:
            self.network = Seq2Seq(self.config, facts)
        else:
            self.network = Translator(self.config, facts)
        self.reading = read_tokenizer(facts.source_tokenizer)
        self.written = read_tokenizer(facts.target_tokenizer or facts.source_tokenizer)
        self.scores = Scores(facts.target_language, facts.lowercase)

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

    def encoder_inputs(self) -> list[ReconstructionInput]:
        """The source tokens.

        Raises:
            UserError: The network has no encoder.
        """
        if isinstance(self.network, Seq2Seq):
            raise UserError(
                "encoder.masked_modeling=true: task.model=seq2seq has no encoder; choose task.model=transformer"
            )
        return [
            ReconstructionInput(
                self.facts.source_vocab_size, lambda batch: ReconstructionTarget(batch.source, batch.source > UNK_ID)
            )
        ]

    def divergence(self, first: Tensor, second: Tensor, batch: TranslationBatch) -> Tensor:
        """How far two passes are apart, summed over target tokens."""
        real = batch.target[:, 1:] != PAD_ID
        return super().divergence(first[real], second[real], batch)

    def predict(self, outputs: Tensor, batch: TranslationBatch) -> Predictions:
        """The translations: by beam search at the end; greedily, and of some sentences only, between epochs."""
        chosen = torch.arange(len(batch), device=batch.source.device)
        fitting = self._trainer is not None and self.trainer.state.fn == "fit"
        if fitting and self.options.val_sample is not None:
            # Spread over the whole part: files may be in an order.
            size = len(self.trainer.val_dataloaders.dataset)  # type: ignore[union-attr]
            chosen = (batch.index % -(-size // self.options.val_sample) == 0).nonzero().flatten()
        translated: list[str | None] = [None] * len(batch)
        if len(chosen):
            texts = self.translate(batch.source[chosen], beams=1 if fitting else self.options.beams)
            for row, text in zip(chosen.tolist(), texts, strict=True):
                translated[row] = text
        return {"output": translated, "reference": batch.references}

    @property
    def inputs(self) -> Sequence[str]:
        """The source, and a translation of it."""
        return ("source", "target")

    def read(self, raws: Sequence[Raw]) -> TranslationBatch:
        """Sentences as a batch; without a target its translation is empty.

        Raises:
            UserError: A source is missing.
        """
        if not all(isinstance(raw.get("source"), str) for raw in raws):
            raise UserError("there is no source")
        sources, targets = ([clean(raw.get(name, "")) for raw in raws] for name in self.inputs)
        numbers = (
            [np.array(found.ids[: self.facts.max_length], dtype=np.int32) for found in tokenizer.encode_batch(side)]
            for tokenizer, side in ((self.reading, sources), (self.written, targets))
        )
        split = PairSplit(sources, targets, *numbers)
        return PairData(self.config).collate([split[i] for i in range(len(raws))], training=False)

    def raw(self, data: PairData, index: int) -> Raw:
        """The source alone: what is looked at is what the model writes."""
        return {"source": data.test.sources[index]}

    def explain(self, raw: Raw) -> Explanation:
        """Source over source and target over source; source words as units."""
        return view_pair(self, raw)

    def translate(self, source: Tensor, beams: int) -> list[str]:
        """The best translation of each source.

        Args:
            source: Tokens, padded, `(batch, length)`.
            beams: Sequences followed at a time.
        """
        found = beam_search(
            self.network.stepper(source),
            longest_output(source, self.facts.growth),
            start=START_ID,
            end=END_ID,
            beams=beams,
            length_penalty=self.options.length_penalty,
            device=source.device,
        )
        return self.written.decode_batch([list(best[0].tokens) for best in found])

    def metrics(self, predictions: Predictions) -> dict[str, float]:
        """BLEU and chrF of those that are translated, and the share that is the reference to the letter."""
        pairs = zip(predictions["output"], predictions["reference"], strict=True)
        translated = [(output, reference) for output, reference in pairs if output is not None]
        return (
            self.scores(*map(list, zip(*translated, strict=True)))
            if translated
            else dict.fromkeys(self.directions, 0.0)
        )

    def details(self, predictions: Predictions) -> dict[str, Any]:
        """What exactly the scores mean, in sacrebleu's words."""
        return {"signatures": self.scores.signatures}

    def records(self, predictions: Predictions, data: PairData) -> list[dict[str, Any]]:
        """Each source with its reference and output."""
        rows = zip(*(predictions[name] for name in ("index", "reference", "output")), strict=True)
        return [
            {"index": int(i), "source": data.test.sources[i], "reference": reference, "output": output}
            for i, reference, output in rows
        ]

    def error(self, record: Mapping[str, Any]) -> float:
        """What the sentence lacks to a chrF of 100."""
        return 100 - self.scores.chrf.sentence_score(record["output"], [record["reference"]]).score

    def baselines(self, data: PairData) -> dict[str, Predictions]:
        """The source as it is; the translation of the most similar training source."""
        return {
            "copy": {"output": copied(data), "reference": data.test.targets},
            "nearest": {"output": nearest(data), "reference": data.test.targets},
        }

    def figures(self, predictions: Predictions, data: PairData, folder: Path) -> None:
        """BLEU by length of the source, and where decoders look."""
        draw_bleu_by_length(predictions, data.test.sources, self.scores, folder / "bleu_by_length.png")
        title = "where each output token looks in the source"
        if not isinstance(self.network, Seq2Seq):
            title += " (mean over heads, last block)"
        draw_maps(self.network, predictions, data, title, folder / "cross_attention.png")

    @property
    def architecture(self) -> str:
        """The kinds of attention of encoder, decoder and between them, or that it is recurrent."""
        if isinstance(self.network, Seq2Seq):
            return "seq2seq"
        kinds = [self.config.attention.kind, self.options.decoder.self, self.options.decoder.cross]
        return "+".join(dict.fromkeys(kind.value for kind in kinds if kind is not None))

    @property
    def cache_width(self) -> int:
        """Numbers that decoding keeps for each target token; a recurrent network keeps one state for all."""
        return self.network.decoder.cache_width if isinstance(self.network, Translator) else 0

    def tokens(self, batch: TranslationBatch) -> int:
        """Target tokens that are not padding."""
        return int((batch.target[:, 1:] != PAD_ID).sum())
