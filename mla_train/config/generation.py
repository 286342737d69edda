"""Options of generated texts: the network that writes them, how it decodes, how texts are read."""

from dataclasses import dataclass, field, replace
from enum import Enum

from mla_train.config.checks import number
from mla_train.config.data import DataOptions
from mla_train.config.inputs import TokenizerKind, TokenizerOptions
from mla_train.config.network import AttentionConfig, AttentionKind, Latent
from mla_train.config.run import TrainConfig
from mla_train.config.task import HeadOptions
from mla_train.errors import require

MOST_TOKENS = 10_000  # that are written of a text, whatever a stored model says


class Architecture(Enum):
    """transformer: encoder and decoder of attention blocks; seq2seq: GRUs with additive attention (Bahdanau 2014)."""

    transformer = "transformer"
    seq2seq = "seq2seq"


class TooLong(Enum):
    """Handling of texts over data.max_length."""

    cut = "cut"
    drop = "drop"


@dataclass
class DecoderConfig:
    """The decoder; its width, heads, norm and activation are the encoder's.

    Attributes:
        depth: Number of blocks; null is the encoder's.
        self: Attention among target tokens; null is `attention.kind`.
        cross: Attention over the encoded inputs; null is `attention.kind`.
    """

    depth: int | None = number(None, least=1, below=10_000)
    self: AttentionKind | None = None
    cross: AttentionKind | None = None


@dataclass
class GenerationOptions(HeadOptions):
    """The network that writes texts, and how it decodes.

    Attributes:
        model: Kind of network.
        decoder: Decoder of the transformer.
        beams: Number of beams when the test split is generated; 1 is greedy.
        length_penalty: Exponent of the length; 0 prefers short texts, 1 compares means of log probabilities.
        coverage_penalty: Weight of what a text copies a second time, in the score of beams; 0 is none.
        min_tokens: Fewest tokens of a generated text.
        max_tokens: Most tokens of a generated text; null is what is usual for texts and inputs of that length.
        val_sample: Number of validation texts that are generated, greedily, after each epoch; null is all.
        copy: Whether tokens of the text input can be copied (See et al. 2017), which shares its vocabulary then.
    """

    model: Architecture = Architecture.transformer
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    beams: int = number(5, least=1, below=1_000)
    length_penalty: float = number(1.0, least=0)
    coverage_penalty: float = number(0.0, least=0)
    min_tokens: int = number(0, least=0, below=MOST_TOKENS)
    max_tokens: int | None = number(None, least=1, below=MOST_TOKENS + 1)
    val_sample: int | None = number(500, least=1)
    copy: bool = False

    def check(self) -> None:
        """Raises UserError where options exclude each other."""
        require(
            self.model is Architecture.transformer or self.decoder == DecoderConfig(),
            "task.decoder belongs to task.model=transformer; a seq2seq decoder is one GRU",
        )
        require(
            self.copy or not self.coverage_penalty,
            f"task.coverage_penalty={self.coverage_penalty:g} counts copies: add task.copy=true",
        )
        require(
            self.max_tokens is None or self.min_tokens <= self.max_tokens,
            f"task.min_tokens={self.min_tokens} is more than task.max_tokens={self.max_tokens}: lower the first",
        )

    def architecture_name(self, attention: AttentionConfig) -> str:
        """The kinds of attention of encoder, decoder and between them, or that the network is recurrent."""
        if self.model is Architecture.seq2seq:
            return "seq2seq"
        kinds = (attention.kind, self.decoder.self, self.decoder.cross)
        return "+".join(dict.fromkeys(kind.value for kind in kinds if kind is not None))

    def check_run(self, run: TrainConfig) -> None:
        """Raises UserError where options of the run do not fit the network."""
        if self.copy:
            require(
                run.data.joint,
                "task.copy=true writes tokens of the source, which data.joint=false gives a vocabulary "
                "of its own: use data.joint=true, or task.copy=false",
            )
            require(
                run.encoder.latent is not Latent.array,
                "task.copy=true copies tokens, and encoder.latent=array keeps none: use encoder.latent=plain, or task.copy=false",
            )
        if self.model is Architecture.seq2seq:
            require(
                not run.encoder.masked_modeling,
                "encoder.masked_modeling=true: task.model=seq2seq has no attention encoder; choose task.model=transformer",
            )
            return
        other = [score.value for score in run.attention.head_scores(run.encoder.num_heads) if not score.is_product]
        kinds = [attention_of(kind, run.attention).kind for kind in (self.decoder.self, self.decoder.cross)]
        require(
            not other or AttentionKind.mla not in kinds,
            f"attention.score={(other or [''])[0]} is not a dot product, which the decoder's MLA needs; add "
            "task.decoder.self=mha task.decoder.cross=mha, or use attention.score=temperature",
        )


@dataclass
class SamplingOptions:
    """How a language model continues a text.

    Attributes:
        max_new_tokens: Largest number of tokens that are written.
        temperature: Divisor of log probabilities; below 1 favours probable tokens, 0 takes the most probable.
        top_k: Number of the most probable tokens to sample from; None is all.
        top_p: Total probability of the most probable tokens to sample from (Holtzman et al. 2019).
        min_p: Least probability of a token, as a share of the most probable one's (Nguyen et al. 2024).
        repetition_penalty: Factor that makes tokens that occurred less probable (Keskar et al. 2019); 1 is none.
        stop: Texts at which a continuation ends; they are not part of it.
        lookup: Number of tokens that a single text is read ahead, on the guess that what followed its last tokens before follows
            again: the same text sooner where texts repeat themselves, as source code does; 0 reads one at a time.
        seed: Seed of the samples: the same text and seed give the same continuation, whatever else is continued.
    """

    max_new_tokens: int = number(100, least=1)
    temperature: float = number(0.8, least=0)
    top_k: int | None = number(None, least=1)
    top_p: float = number(1.0, above=0)
    min_p: float = number(0.0, least=0)
    repetition_penalty: float = number(1.0, least=1)
    stop: list[str] = field(default_factory=list)
    lookup: int = number(0, least=0)
    seed: int = number(0, least=0)

    def check(self) -> None:
        """Raises UserError where a value cannot be meant."""
        require(self.top_p <= 1, f"top_p={self.top_p}: a share of 1, such as 0.9")
        require(self.min_p <= 1, f"min_p={self.min_p}: a share of 1, such as 0.05")
        require(all(self.stop), "stop: a text at which to stop is empty")


def attention_of(kind: AttentionKind | None, attention: AttentionConfig) -> AttentionConfig:
    """The attention of one place of the decoder: that of the run, but for its kind, if one is given."""
    return attention if kind is None else replace(attention, kind=kind)


@dataclass
class GeneratedTextOptions(DataOptions, TokenizerOptions):
    """How generated texts, and texts that they are made from, are read.

    Attributes:
        tokens: Kind of token.
        vocab_size: Largest number of tokens, learned on the training split.
        joint: Whether input and output share one vocabulary and its embeddings.
        lowercase: Whether to lower-case texts.
        max_length: Longest text in tokens.
        too_long: Handling of longer texts; in test they are always cut.
        target_language: Language of the generated texts, such as de, zh-CN or Chinese; decides how BLEU finds words. null
            takes it from the name of the target's column or file, else en; targets of another script count as theirs.
    """

    tokens: TokenizerKind = TokenizerKind.bpe
    vocab_size: int = number(8000, least=2, usual="8000")
    joint: bool = True
    lowercase: bool = False
    max_length: int = number(128, least=2)
    too_long: TooLong = TooLong.cut
    target_language: str | None = None

    def check(self) -> None:
        """Raises UserError where a value cannot be meant."""
        require(
            self.tokens in (TokenizerKind.bpe, TokenizerKind.char),
            f"data.tokens={self.tokens.value}: a text cannot be written in whole words; choose bpe or char",
        )
