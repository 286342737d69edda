"""The first steps of each task are those that the golden files hold; see tests/golden/record.py."""

import json
import sys

import pytest

from tests.golden.record import CASES, FOLDER, differences, record

STEPS = 20
# Other processors and versions sum in another order, and after some steps of Adam that shows.
TOLERANCE = 2e-2


@pytest.mark.parametrize("case", CASES)
def test_the_first_steps_are_the_golden_ones(case, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py"])
    found = record(case, STEPS)
    assert len(found["losses"]) == STEPS
    assert differences(found, json.loads((FOLDER / f"{case}.json").read_text()), TOLERANCE) == []
