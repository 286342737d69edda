"""Repeated examples: those that are left out, and what is said of them, beside a plain count."""

from collections import defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mla_train.repeats import leave_out_repeats, numbered

EXAMPLES = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("xy")), min_size=3, max_size=30)


@given(EXAMPLES, st.integers(1, 20))
def test_repeats_are_those_of_a_plain_count(examples, border):
    border = min(border, len(examples) - 1)
    inputs, labels = zip(*examples, strict=True)
    rows = {"train": np.arange(border), "test": np.arange(border, len(examples))}
    equal, notes = numbered(inputs), []
    leave_out_repeats(rows, equal, equal, list(labels), False, notes)

    kept = [place for place in range(border) if examples[place] not in examples[:place]]
    assert rows["train"].tolist() == kept
    expected = []
    for split, places in (("train", range(border)), ("test", range(border, len(examples)))):
        labels_of = defaultdict(set)
        for place in places:
            labels_of[inputs[place]].add(labels[place])
        if several := sum(len(each) > 1 for each in labels_of.values()):
            expected.append(f"{several} examples of {split} occur with more than one label; all are kept")
    if lost := border - len(kept):
        expected.append(f"left out {lost} repeated examples of train")
    if shared := sum(each in inputs[:border] for each in inputs[border:]):
        expected.append(f"{shared} examples of test are in train too; they stay, so that scores can be compared")
    assert notes == expected


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 5)))
def test_numbers_of_an_array_are_those_of_a_list(values):
    assert numbered(np.array(values, np.uint64)).tolist() == numbered(values).tolist()
