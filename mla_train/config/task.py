"""Options that tasks share: how inputs become tokens, how they are fused, how tokens become an answer."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar, TypeGuard

from mla_train.config.checks import number
from mla_train.errors import require


class Pooling(Enum):
    """From the tokens of an input to one vector: their mean, a class token, or a mean with learned weights."""

    mean = "mean"
    cls = "cls"
    attention = "attention"


class ImageTokenizer(Enum):
    """From an image to tokens: overlapping convolutions, the same with batch normalization, or square patches."""

    conv = "conv"
    conv_norm = "conv_norm"
    patch = "patch"


class Positions(Enum):
    """Positions of image tokens: rotary in two dimensions, inside attention; or learned, added to the tokens."""

    rotary = "rotary"
    learned = "learned"


class Fusion(Enum):
    """How several inputs meet.

    concat: In the answer alone. weighted: There, by learned gates. cross_attention: Each attends to all others. bottleneck:
    All see each other through a few latent tokens.
    """

    concat = "concat"
    weighted = "weighted"
    cross_attention = "cross_attention"
    bottleneck = "bottleneck"


class HeadKind(Enum):
    """Kind of answer; `auto` takes it from the labels: decimals are a regression, lists are several labels."""

    auto = "auto"
    classification = "classification"
    multilabel = "multilabel"
    regression = "regression"


class Channels(Enum):
    """Whether series see each other: each is read alone by the same network, or tokens of all series attend to each other."""

    independent = "independent"
    mixing = "mixing"


class PointLoss(Enum):
    """Loss of a point forecast, in scaled units."""

    mse = "mse"
    mae = "mae"
    huber = "huber"


class Transform(Enum):
    """What is done to series before they are scaled, and undone in forecasts: nothing, log(value), log(1 + value), or asinh(value)."""

    none = "none"
    log = "log"
    log1p = "log1p"
    asinh = "asinh"


@dataclass
class HeadOptions:
    """Options of every head.

    Attributes:
        monitor: Metric of the validation split that selects the checkpoint and is optimized by sweeps; null is that of the head,
            or macro_f1 where the rarest class has less than a tenth of the examples of the largest.
    """

    monitor: str | None = None


class Start(Enum):
    """Where training begins: at the simple model that is best on val, as far as side paths can hold one, or at nothing."""

    best = "best"
    none = "none"


@dataclass
class TaskOptions(HeadOptions):
    """Options of every task with an encoder and side paths.

    Attributes:
        use_encoder: Whether the network has the encoder; false keeps only the side paths.
        side_paths: Whether to add side paths, which feed the head beside the encoder: TF-IDF, convolutions, visual words,
            flattened image tokens, statistics of series, ridge and cycle.
        start: Where training begins: `best` is the simple model that is best on val, which is kept unless training betters it
            by more than one standard error; `none` is random weights.
    """

    use_encoder: bool = True
    side_paths: bool = True
    start: Start = Start.best

    def check(self) -> None:
        """Raises UserError where options exclude each other."""
        require(
            self.use_encoder or self.side_paths,
            "task.use_encoder=false and task.side_paths=false leave nothing of the network: set one of them to true",
        )


@dataclass
class TextNetworkOptions:
    """How the tokens of a text are embedded.

    Attributes:
        tfidf_dim: Width of the embeddings of TF-IDF features, summed beside the encoder; 0 is none.
        convolutions: Widths of the convolutions over tokens in front of the encoder, such as [3, 4, 5]; [] is none.
    """

    tfidf_dim: int = number(64, least=0)
    convolutions: list[int] = field(default_factory=list)

    def check(self) -> None:
        """Raises UserError where a value cannot be meant."""
        require(all(width >= 1 for width in self.convolutions), "task.convolutions: each width must be 1 or more")


@dataclass
class ImageNetworkOptions:
    """How images become tokens.

    Attributes:
        tokenizer: How images become tokens: by convolutions, without or with batch normalization, or as patches.
        downsample_log2: Downsampling before the encoder by 2**N per side; null gives about 8 x 8 tokens.
        positions: Positions of image tokens.
        flatten_dim: Width of a layer that reads all image tokens at their places, as a plain convolutional network does; 0 is
            off.
        visual_words: Number of visual words (k-means clusters of image patches, counted as a bag of words); 0 is off.
        visual_words_dim: Width of the vector that the counts are mapped to.
    """

    tokenizer: ImageTokenizer = ImageTokenizer.conv
    downsample_log2: int | None = None
    positions: Positions = Positions.rotary
    flatten_dim: int = number(0, least=0)
    visual_words: int = number(0, least=0)
    visual_words_dim: int = number(64, least=1)


@dataclass
class SeriesNetworkOptions:
    """How a series becomes tokens.

    Attributes:
        patch: Number of steps in a token.
    """

    patch: int = number(24, least=1)


@dataclass
class WindowNetworkOptions(SeriesNetworkOptions):
    """How a window of a table of series becomes tokens.

    Attributes:
        calendar: Whether the encoder sees hour, weekday, season and other covariates that are known ahead.
        channels: Whether series see each other.
        transform: What is done to series before they are scaled; log1p suits counts and sales that differ widely, log what is
            always above zero, such as variances; null is that of the data set, none unless its README says otherwise.
    """

    calendar: bool = True
    channels: Channels = Channels.independent
    transform: Transform | None = None


@dataclass
class ForecastOptions(WindowNetworkOptions):
    """A forecast as a sum of parts, each of which can be left out so that its worth is measured.

    Attributes:
        ridge: Whether a linear path beside the encoder starts as the ridge regression of the training windows.
        cycle: Whether a learned profile of the daily or weekly cycle is subtracted first and added again.
        loss: Loss of the point forecast, in scaled units.
        quantiles: Levels of the quantiles that are forecast beside the point; [] is none.
        nonnegative: Whether forecasts and quantiles are not below zero; null binds the quantiles of those series alone that
            are never below zero in train.
    """

    ridge: bool = True
    cycle: bool = True
    loss: PointLoss = PointLoss.huber
    quantiles: list[float] = field(default_factory=lambda: [0.1, 0.5, 0.9])
    nonnegative: bool | None = None

    def check(self) -> None:
        """Raises UserError where a value cannot be meant."""
        require(
            getattr(self, "use_encoder", True) or self.ridge or self.cycle,
            "task.ridge, task.cycle and task.use_encoder are all false: set one of them to true",
        )
        rising = all(0 < q < 1 for q in self.quantiles) and self.quantiles == sorted(set(self.quantiles))
        require(rising, f"task.quantiles={self.quantiles}: must rise and lie between 0 and 1, such as [0.1,0.5,0.9]")


@dataclass
class MaskedPatchOptions(HeadOptions):
    """Patches of an image or a series are hidden, and a light decoder says what stood there.

    Attributes:
        mask_rate: Share of the patches that are hidden.
        decoder_depth: Number of blocks of the decoder, which only pretraining needs.
    """

    side_paths: ClassVar = False  # they skip the encoder

    mask_rate: float = number(0.5, above=0, below=1, usual="0.4 to 0.75")
    decoder_depth: int = number(1, least=1)

    def check_run(self, run: Any) -> None:
        """Raises UserError where an option of the network hides patches a second time, or leaves their places unknown."""
        require(
            not run.encoder.masked_modeling,
            "encoder.masked_modeling=true: patches are hidden from the encoder here already; leave it out",
        )
        require(
            run.attention.qk_rope_head_dim != 0,
            "attention.qk_rope_head_dim=0: the encoder would not know where the patches that it reads are; leave it out",
        )


@dataclass
class FusionOptions:
    """How several inputs meet.

    Attributes:
        fusion: How inputs meet.
        bottlenecks: Number of latent tokens with fusion=bottleneck.
        unimodal_loss_weight: Weight of the loss of each input's answer without the others, in training; 0 is none.
        modality_dropout: Probability that training leaves out an input of an example, as long as another is present.
    """

    fusion: Fusion = Fusion.cross_attention
    bottlenecks: int = number(4, least=1)
    unimodal_loss_weight: float = number(0.5, least=0)
    modality_dropout: float = number(0.2, least=0, below=1)


@dataclass
class PooledHeadOptions:
    """How one answer is made of all tokens.

    Attributes:
        head: Output head.
        pooling: How token outputs are pooled into one vector.
        feature_dropout: Dropout on the inputs of the encoder and of the head; inactive if regularization.dropout=0. null:
            only on the encoder input, at rate regularization.dropout.
        class_weight: Weights of the classes in the training loss: none, balanced (by the inverse of their frequency), or a
            list in the order of the classes. Their mean over training examples is made 1.
        focal_gamma: Exponent of the focal loss (Lin et al. 2017), which counts easy examples less; 0 is cross-entropy.
        threshold: Probability from which the rarer of two classes is predicted: a number, or tune, which chooses it on val by
            the F1 of that class; null tunes it where that class has less than a tenth of
            the examples of the other, else it is 0.5.
    """

    head: HeadKind = HeadKind.auto
    pooling: Pooling = Pooling.attention
    feature_dropout: float | None = number(None, least=0, below=1)
    class_weight: Any = "none"
    focal_gamma: float = number(0.0, least=0)
    threshold: Any = None

    def check(self) -> None:
        """Raises UserError where a value cannot be meant."""
        weights = self.class_weight
        good = isinstance(weights, list) and all(_is_number(weight) and weight > 0 for weight in weights)
        require(
            good or weights in ("none", "balanced"),
            f"task.class_weight={weights}: none, balanced, or a positive number for each class, such as [1,20]",
        )
        threshold = self.threshold
        require(
            threshold in (None, "tune") or (_is_number(threshold) and 0 < threshold < 1),
            f"task.threshold={threshold}: tune, or a number between 0 and 1",
        )


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
