"""Network parts: attention, encoder, decoder, tokenizers of images, pooling. Needs torch and nothing else."""

# ruff: noqa: F401 - names that other rooms use
from mla_train.nn.attention import (
    Attention,
    Cache,
    GroupedQueryAttention,
    MultiheadLatentAttention,
    RotaryEmbedding,
    Rotation,
    build_attention,
    grid_positions,
    observe,
    rotate,
)
from mla_train.nn.copying import CopyAttention
from mla_train.nn.decoder import Decoder, DecoderCache
from mla_train.nn.deepseek import from_deepseek_v3, to_deepseek_v3
from mla_train.nn.dropout import Dropout, dropout
from mla_train.nn.encoder import Encoder, EncoderBlock
from mla_train.nn.generation import Hypothesis, beam_search, sample
from mla_train.nn.image_tokenizers import ConvTokenizer, FlattenedCells, PatchEmbedding, cells, default_downsample_log2
from mla_train.nn.layers import FeedForward, ResidualDropout, build_norm
from mla_train.nn.masked_modeling import Reconstruction, ReconstructionInput, ReconstructionTarget, image_target
from mla_train.nn.pooling import AttentionPooling, ClassToken, MeanPooling
from mla_train.nn.visual_words import VisualWords
