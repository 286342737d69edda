"""Options of the task and of its data sets; no torch here."""

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from mla_train.config import AttentionConfig, AttentionKind, OnError, TokenizerKind, TrainConfig, check_shares
from mla_train.config.checks import at_least
from mla_train.errors import require


class Model(Enum):
    """transformer: encoder and decoder of attention blocks; seq2seq: GRUs with additive attention (Bahdanau 2014)."""

    transformer = "transformer"
    seq2seq = "seq2seq"


class TooLong(Enum):
    """What to do with sentences over data.max_length."""

    cut = "cut"
    drop = "drop"


@dataclass
class DecoderConfig:
    """The decoder; its width, heads, norm and activation are the encoder's.

    Attributes:
        depth: Number of blocks; null is the encoder's.
        self: Attention among target tokens; null is `attention.kind`.
        cross: Attention over the source; null is `attention.kind`.
    """

    depth: int | None = None
    self: AttentionKind | None = None
    cross: AttentionKind | None = None


@dataclass
class TranslationTaskConfig:
    """The network and how it decodes.

    Attributes:
        model: Which network.
        decoder: Of the transformer.
        beams: Sequences followed at a time when the test split is translated; 1 is greedy.
        length_penalty: 0 prefers short translations, 1 compares means of log probabilities.
        val_sample: Validation sentences that are translated, greedily, after each epoch; null is all.
    """

    _target_: str = "tasks.translation.TranslationTask"
    name: str = "translation"
    model: Model = Model.transformer
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    beams: int = 5
    length_penalty: float = 1.0
    val_sample: int | None = 500

    def check(self) -> None:
        """Refuses values without a meaning, and options that exclude each other."""
        at_least(1, self, "task", "beams", "val_sample")
        at_least(0, self, "task", "length_penalty")
        at_least(1, self.decoder, "task.decoder", "depth")
        require(
            self.model is Model.transformer or self.decoder == DecoderConfig(),
            "task.decoder belongs to task.model=transformer; a seq2seq decoder is one GRU",
        )

    def check_run(self, run: TrainConfig) -> None:
        """Refuses options of the run that this task does not support."""
        written = [score.value for score in run.attention.head_scores(run.encoder.num_heads) if not score.is_product]
        kinds = [attention_of(kind, run.attention).kind for kind in (self.decoder.self, self.decoder.cross)]
        require(
            self.model is Model.seq2seq or not written or AttentionKind.mla not in kinds,
            f"attention.score={(written or [''])[0]} is not a dot product, which the decoder's MLA needs; add "
            "task.decoder.self=mha task.decoder.cross=mha, or use attention.score=temperature",
        )


def attention_of(kind: AttentionKind | None, attention: AttentionConfig) -> AttentionConfig:
    """The attention of one place of the decoder: as everywhere, but for its kind."""
    return attention if kind is None else replace(attention, kind=kind)


@dataclass
class PairConfig:
    """What all sets of sentence pairs have in common.

    Attributes:
        tokens: What a token is: pieces of words or characters.
        vocab_size: Most tokens, learnt on the training split.
        joint: One vocabulary for both languages, whose embeddings are shared.
        lowercase: Fold upper case.
        max_length: Longest sentence in tokens.
        too_long: Cut longer sentences off or drop the pair; in test they are always cut.
        target_language: Of the translations, such as de; how words are cut for `bleu_tokenized`.
        split_seed: Chooses which pairs go into which part, where parts are cut.
    """

    tokens: TokenizerKind = TokenizerKind.bpe
    vocab_size: int = 8000
    joint: bool = True
    lowercase: bool = False
    max_length: int = 128
    too_long: TooLong = TooLong.cut
    target_language: str = "en"
    split_seed: int = 0

    def check(self) -> None:
        """Refuses values without a meaning, and options that exclude each other."""
        require(self.vocab_size >= 2, f"data.vocab_size={self.vocab_size}: must be 2 or more, 8000 is usual")
        require(self.max_length >= 2, f"data.max_length={self.max_length}: must be 2 or more")
        require(
            self.tokens is not TokenizerKind.word,
            "data.tokens=word: a translation cannot be written in whole words; choose bpe or char",
        )


@dataclass
class CldrPhrasesDataConfig(PairConfig):
    """Phrases of CLDR from the package Babel.

    Attributes:
        target_language: Any CLDR language, such as de, fr or pt_BR; the source is English.
        train_size: Training phrases, names of territories, languages and scripts among them.
        val_size: Validation phrases.
        test_size: Test phrases.
    """

    _target_: str = "tasks.translation.CldrPhrasesData"
    name: str = "cldr_phrases"
    vocab_size: int = 2000
    target_language: str = "de"
    train_size: int = 60000
    val_size: int = 1000
    test_size: int = 2000

    def check(self) -> None:
        """Refuses values without a meaning, and options that exclude each other."""
        super().check()
        for part in ("train", "val", "test"):
            size = getattr(self, f"{part}_size")
            require(1 <= size <= 1_000_000, f"data.{part}_size={size}: must lie between 1 and 1,000,000")


@dataclass
class PairFilesDataConfig(PairConfig):
    """Sentence pairs in jsonl, csv, tsv or parquet files, in two aligned text files, or in a set on the hub.

    Attributes:
        root: Folder with train, val and test files; the files may be pairs, such as train.en and train.de, whose endings
            are the names of the columns.
        train: The training file, instead of root; a list of two text files is aligned line by line.
        val: The validation file or files; null cuts a part from train.
        test: The test file or files; null cuts a part from train.
        hub: Name of a set on the hub, where no files are named.
        revision: Commit of the hub set.
        source_column: Where the source stands.
        target_column: Where the target stands.
        on_error: Stop at a broken row or leave it out.
        val_share: Cut from train where there is no val.
        test_share: Cut from train where there is no test.
    """

    _target_: str = "tasks.translation.PairFilesData"
    name: str = "pair_files"
    root: str | None = None
    train: Any = None
    val: Any = None
    test: Any = None
    hub: str | None = None
    revision: str | None = None
    source_column: str = "source"
    target_column: str = "target"
    on_error: OnError = OnError.stop
    val_share: float = 0.05
    test_share: float = 0.05

    def check(self) -> None:
        """Refuses values without a meaning, and options that exclude each other."""
        super().check()
        check_shares(self.val_share, self.test_share)
        require(
            self.source_column != self.target_column,
            f"data.source_column and data.target_column are both {self.source_column}",
        )
        for part in ("train", "val", "test"):
            files = getattr(self, part)
            aligned = isinstance(files, list) and len(files) == 2 and all(isinstance(file, str) for file in files)
            require(
                files is None or isinstance(files, str) or aligned,
                f"data.{part}={files}: must be a file, or two aligned text files: data.{part}=[FILE,FILE]",
            )
