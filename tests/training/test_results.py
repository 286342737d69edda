"""The table at the end of a run."""

import pytest

from mla_train.training.results import show
from tests.helpers import example_results


@pytest.mark.parametrize(
    ("mode", "score", "said"),
    [
        ("max", 0.9, None),
        ("max", 0.7, "The baseline linear is better than this model: accuracy 0.8000 against 0.7000"),
        ("max", 0.8, "The baseline linear is as good as this model"),
        ("min", 0.9, "The baseline linear is better than this model: accuracy 0.8000 against 0.9000"),
    ],
)
def test_a_model_that_lost_to_a_baseline_is_said_to_have_lost(mode, score, said, tmp_path, capsys):
    baselines = {"linear": {"accuracy": 0.8}, "majority": {"accuracy": 0.5 if mode == "max" else 1.5}}
    show({**example_results(mode=mode, score=score, baselines=baselines), "debug": []}, tmp_path)
    printed = capsys.readouterr().out
    assert (said in printed) if said else ("The baseline" not in printed)
