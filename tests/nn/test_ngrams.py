"""Hashed n-grams: the same n-gram has the same embedding wherever it stands."""

import torch

from mla_train.nn import HashedNgrams


def test_an_ngram_is_known_by_its_tokens_alone():
    torch.manual_seed(0)
    layer = HashedNgrams(4, [3], 10_000)
    tokens = torch.tensor([[5, 6, 7, 9, 5, 6, 7, 2]])
    out = layer(tokens)[0]
    torch.testing.assert_close(out[2], out[6])
    assert not torch.allclose(out[2], out[3])
    shifted = layer(torch.tensor([[8, 5, 6, 7]]))[0]
    torch.testing.assert_close(out[2], shifted[3])


def test_orders_add_up_and_order_matters():
    torch.manual_seed(0)
    layer = HashedNgrams(4, [2, 3], 10_000)
    forward, backward = layer(torch.tensor([[3, 4, 5]]))[0, 2], layer(torch.tensor([[5, 4, 3]]))[0, 2]
    assert not torch.allclose(forward, backward)


def test_few_ngrams_share_a_row():
    layer = HashedNgrams(1, [2], 65_536)
    with torch.no_grad():
        layer.table.weight.copy_(torch.arange(65_536).float().unsqueeze(1))
    pairs = torch.cartesian_prod(torch.arange(2, 102), torch.arange(2, 102))
    rows = layer(pairs)[:, 1, 0].unique()
    # 10,000 balls in 65,536 urns fill 9,276 of them on average.
    assert 9_100 < len(rows) < 9_450
