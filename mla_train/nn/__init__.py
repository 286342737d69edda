"""The network: attention, positions, encoder, embeddings. Needs torch and nothing else."""

from mla_train.nn.attention import Attention, build_attention
from mla_train.nn.cache import Cache, KeyValueCache, LatentCache
from mla_train.nn.decoder import Decoder, DecoderCache
from mla_train.nn.decoding import Hypothesis, beam_search, sample
from mla_train.nn.deepseek import from_deepseek_v3, to_deepseek_v3
from mla_train.nn.encoder import Encoder, EncoderBlock
from mla_train.nn.latent_attention import MultiheadLatentAttention
from mla_train.nn.multihead_attention import GroupedQueryAttention
from mla_train.nn.ngrams import HashedNgrams
from mla_train.nn.parts import FeedForward, ResidualDropout, build_norm
from mla_train.nn.pictures import ConvTokenizer, PatchEmbedding, default_halvings
from mla_train.nn.pooling import AttentionPooling, ClassToken, MeanPooling
from mla_train.nn.reconstruction import Input, Reconstruction, Target, picture_target
from mla_train.nn.rotary import RotaryEmbedding, Rotation, grid_positions, rotate
from mla_train.nn.visual_words import VisualWords

__all__ = [
    "Attention",
    "AttentionPooling",
    "Cache",
    "ClassToken",
    "ConvTokenizer",
    "Decoder",
    "DecoderCache",
    "Encoder",
    "EncoderBlock",
    "FeedForward",
    "GroupedQueryAttention",
    "HashedNgrams",
    "Hypothesis",
    "Input",
    "KeyValueCache",
    "LatentCache",
    "MeanPooling",
    "MultiheadLatentAttention",
    "PatchEmbedding",
    "Reconstruction",
    "ResidualDropout",
    "RotaryEmbedding",
    "Rotation",
    "Target",
    "VisualWords",
    "beam_search",
    "build_attention",
    "build_norm",
    "default_halvings",
    "from_deepseek_v3",
    "grid_positions",
    "picture_target",
    "rotate",
    "sample",
    "to_deepseek_v3",
]
