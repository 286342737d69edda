"""Texts without labels, as all language models read them."""

from mla_train.data.corpus import read_corpus as read_corpus
