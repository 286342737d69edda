"""The numbers of a comparison, equal to those of scipy, its conclusion and its report."""

import csv
from statistics import mean, stdev

import numpy as np
import pytest
from scipy import stats

from mla_train.errors import UserError
from mla_train.studies.comparison import Comparison, VariantResults, conclusion, half_interval, holm, paired
from mla_train.studies.comparison_page import Circumstances, check_results, failures, summary, write_page

MLA = [0.912, 0.924, 0.918]
CLOSE = [0.915, 0.919, 0.921]
FAR = [0.951, 0.966, 0.957]


def results(score, seed=0, speed=100.0, mode="max", baseline=0.9):
    return {
        "task": "image_classification",
        "data": "digits",
        "attention": "mla",
        "seed": seed,
        "metrics": {"test": {"loss": 1.0, "accuracy": score, "macro_f1": score / 2}},
        "directions": {"loss": "min", "accuracy": mode, "macro_f1": "max"},
        "monitor": {"name": "val/accuracy", "mode": mode, "best": score, "epoch": 2},
        "comparison": {
            "baseline": "linear",
            "metric": "accuracy",
            "difference": score - (baseline or 0),
            "low": score - (baseline or 0) - 0.02,
            "high": score - (baseline or 0) + 0.02,
        },
        "baselines": {} if baseline is None else {"majority": {"accuracy": 0.1}, "linear": {"accuracy": baseline}},
        "model": {"parameters": 1234, "cache_bytes_per_token": 64},
        "speed": {"seconds": 12.3, "examples_per_second": speed},
        "environment": {"command": f"python train.py seed={seed}"},
    }


def variant(name, scores, failed=None, **more):
    runs = {seed: results(score, seed, **more) for seed, score in enumerate(scores) if score is not None}
    return VariantResults(name, 1234, runs, failed or {}, 250.0)


def comparison(**variants):
    seeds = max(len(scores) for scores in variants.values())
    return Comparison("attention", seeds, [variant(name, scores) for name, scores in variants.items()])


def test_differences_are_scipys():
    result = comparison(mla=MLA, mha=CLOSE).differences["mha"]
    pairs = np.array(CLOSE) - np.array(MLA)
    test = stats.ttest_rel(CLOSE, MLA)
    low, high = test.confidence_interval(0.95)
    assert result.mean == pytest.approx(pairs.mean())
    assert result.p == pytest.approx(test.pvalue)
    assert (result.mean - result.margin, result.mean + result.margin) == pytest.approx((low, high))
    assert not result.significant


def test_pairs_are_of_the_same_seed():
    first, other = variant("a", [0.1, None, 0.3]).scores, variant("b", [0.2, 0.9, 0.35]).scores
    assert paired(first, other).pairs == pytest.approx((0.1, 0.05))
    assert paired(first, variant("c", [None, 0.5]).scores) is None


def test_several_tests_are_corrected():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []
    differences = comparison(mla=MLA, mha=CLOSE, mqa=FAR).differences
    alone = [float(stats.ttest_rel(scores, MLA).pvalue) for scores in (CLOSE, FAR)]
    assert [differences["mha"].p, differences["mqa"].p] == pytest.approx([alone[0], 2 * alone[1]])


def test_the_conclusion_in_sentences():
    text = conclusion(comparison(mla=MLA, mha=CLOSE, mqa=FAR))
    assert "mqa is better than mla by 0.0400 (p" in text
    assert "mha (p = 0.91): not significantly different from mla (3 seeds)." in text
    assert "mqa is ahead of the best baseline, linear (0.9000)." in text
    assert "mla and mha are level with the best baseline" in text
    worse = Comparison("attention", 3, [variant("mla", MLA, mode="min"), variant("mqa", FAR, mode="min")])
    assert "mqa is worse than mla by 0.0400 (p" in conclusion(worse)


@pytest.mark.parametrize(
    ("variants", "expected"),
    [
        ({"mla": MLA[:1], "mha": CLOSE[:1]}, "seeds=3"),
        (
            {"mla": [0.5, 0.6], "mha": [0.5, 0.6]},
            "mha and mla have the same score with each seed. mla and mha are level with the",
        ),
        ({"mla": [0.5, 0.6], "mha": [0.7, 0.8]}, "mha differs from mla by +0.2000 with every seed"),
        (
            {"mla": MLA, "mha": [0.5, None, None]},
            "mha has too few finished runs for a test. mla is level with the best",
        ),
        ({"mla": [None] * 3, "mha": MLA}, "mla, which the others are compared to, has no finished run."),
        ({"mla": [None] * 3, "mha": [None]}, "No run finished"),
    ],
)
def test_what_cannot_be_tested_is_not_tested(variants, expected):
    result = comparison(**variants)
    assert expected in conclusion(result)
    assert all(difference.p is None for difference in result.differences.values())
    assert len(summary(result).rows) == 2


def test_intervals_over_folds_allow_for_overlapping_training_splits():
    scores, others = [0.80, 0.84, 0.82, 0.86, 0.83], [0.81, 0.86, 0.82, 0.89, 0.85]
    pair = [variant("mla", scores), variant("mha", others)]
    seeds, folds = Comparison("attention", 5, pair), Comparison("attention", 5, pair, folds=5)
    factor = np.sqrt(1 + 5 / 4)
    assert half_interval(scores, folds=5) == pytest.approx(factor * half_interval(scores))
    plain, corrected = seeds.differences["mha"], folds.differences["mha"]
    assert corrected.margin == pytest.approx(factor * plain.margin)
    difference = np.subtract(others, scores)
    statistic = difference.mean() / (difference.std(ddof=1) * np.sqrt(1 / 5 + 1 / 4))
    assert corrected.p == pytest.approx(2 * stats.t.sf(statistic, 4))
    assert plain.p < corrected.p


def test_repeated_folds_count_as_the_overlapping_splits_that_they_are():
    scores = [0.80, 0.84, 0.82, 0.86, 0.83, 0.81, 0.85, 0.82, 0.84, 0.83]
    corrected = np.sqrt(1 / 10 + 1 / 4) * np.std(scores, ddof=1)  # 10 runs of 5 folds: test has a quarter of train
    assert half_interval(scores, folds=5) == pytest.approx(stats.t.ppf(0.975, 9) * corrected)


def test_one_variant_over_folds_has_a_mean_and_its_interval(tmp_path):
    runs = {fold: results(score, fold, baseline=0.5 + fold / 20) for fold, score in enumerate((0.7, 0.8, 0.9))}
    result = Comparison("variant", 3, [VariantResults("model", 1234, runs)], folds=3)
    margin = half_interval([0.7, 0.8, 0.9], folds=3)
    interval = f"{0.8 - margin:.4f} to {0.8 + margin:.4f}"
    assert f"accuracy 0.8000 ± 0.1000 over 3 folds, 95 % interval {interval}." in conclusion(result)
    assert "model is ahead of the best baseline, linear (0.5500)" in conclusion(result)
    table = summary(result)
    assert table.columns[2] == "95 % interval"
    assert table.rows[0][2].text == interval
    write_page(result, how(tmp_path, "model"), tmp_path)
    assert "folds 0, 1 and 2" in (tmp_path / "comparison.md").read_text()
    assert (tmp_path / "comparison.csv").read_text().startswith("variant,fold,state")


def how(tmp_path, *names, changes=()):
    folders = {name: {seed: tmp_path / name / str(seed) for seed in range(3)} for name in names}
    return Circumstances("python scripts/compare.py attention=mla,mha", folders, changes, 1, 1)


def test_scores_over_the_number_of_examples_are_drawn(tmp_path):
    variants = [variant(f"{count}, {kind}", MLA) for count in (50, 400) for kind in ("mla", "mha")]
    for each in variants:
        for run in each.runs.values():
            run["examples"] = {"train": int(each.name.split(",")[0])}
    keys = "data.train_examples, attention"
    result = Comparison(keys, 3, variants)
    curves = result.curves
    assert {name: [each.name for each in curve] for name, curve in curves.items()} == {
        kind: [f"50, {kind}", f"400, {kind}"] for kind in ("mla", "mha")
    }
    assert not comparison(mla=MLA, mha=CLOSE).curves
    assert [result.reference(each).name for each in variants] == ["50, mla", "50, mla", "400, mla", "400, mla"]
    assert list(result.differences) == ["50, mha", "400, mha"]
    said = conclusion(result)
    assert "50, mha and 50, mla have the same score" in said
    assert "400, mha and 400, mla have the same score" in said
    assert "400, mha and 50, mla" not in said
    assert "linear (0" not in said
    assert [row[2].text for row in summary(result).rows] == ["", "+0.0000", "", "+0.0000"]
    write_page(result, how(tmp_path, *(each.name for each in variants)), tmp_path)
    assert (tmp_path / "learning_curves.png").stat().st_size > 5000
    assert "(learning_curves.png)" in (tmp_path / "comparison.md").read_text()
    assert (tmp_path / "comparison.html").read_text().count("data:image/png;base64,") == 3


def test_what_is_written_holds_the_numbers(tmp_path):
    for seed, best in enumerate((0.7, 0.8, 0.9)):
        folder = tmp_path / "mla" / str(seed)
        folder.mkdir(parents=True)
        (folder / "metrics.csv").write_text(f"step,epoch,val/accuracy\n10,0,0.5\n15,0,\n20,1,{best}\n")
    lost = variant("mqa", FAR[:2], {2: "error: no luck | <b>"})
    result = Comparison("attention", 3, [variant("mla", MLA), variant("mha", CLOSE, speed=200.0), lost])
    write_page(result, how(tmp_path, "mla", "mha", "mqa", changes=["mha: wider"]), tmp_path)
    table = (tmp_path / "comparison.md").read_text()
    spread = f"{mean(CLOSE):.4f} ± {stdev(CLOSE):.4f}"
    margin = stats.t.ppf(0.975, 2) * stats.sem(np.array(CLOSE) - np.array(MLA))
    to_baseline = f"+0.0183 ± {np.hypot(0.02, stats.t.ppf(0.975, 2) * stats.sem(CLOSE)):.4f}"
    assert (
        f"| mha | {spread} | +0.0003 ± {margin:.4f} | 0.91 | 0.91 | {to_baseline} | 1,234 | 200 | 250 | 64 |" in table
    )
    assert "(2 seeds)" in table
    assert "- mqa, seed 2 failed: error: no luck | &lt;b>" in table
    assert "- mha: wider" in table
    assert "p after correction (Holm 1979)" in table
    alone, corrected = stats.ttest_rel(FAR[:2], MLA[:2]).pvalue, result.differences["mqa"].p
    assert result.differences["mqa"].uncorrected_p == pytest.approx(alone)
    assert corrected == pytest.approx(2 * alone)
    page = (tmp_path / "comparison.html").read_text()
    assert "error: no luck | &lt;b&gt;" in page
    assert page.count("data:image/png;base64,") == 2
    assert spread in page
    assert '<a href="mla/0">' in page
    with (tmp_path / "comparison.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["attention"], row["seed"], row["state"]) for row in rows[-2:]] == [
        ("mqa", "1", "finished"),
        ("mqa", "2", "failed"),
    ]
    assert float(rows[0]["test/accuracy"]) == MLA[0]
    assert float(rows[0]["test/macro_f1"]) == MLA[0] / 2
    assert rows[0]["best_baseline"] == "linear"
    assert rows[-1]["test/accuracy"] == ""
    assert (tmp_path / "comparison.png").stat().st_size > 1000


def test_runs_that_kept_their_start_are_told(tmp_path):
    start = {"kept": True, "name": "linear"}
    runs = {seed: results(score) | {"start": start | {"kept": seed < 2}} for seed, score in enumerate(MLA)}
    result = Comparison("attention", 3, [VariantResults("mla", 1234, runs), variant("mha", CLOSE)])
    write_page(result, how(tmp_path, "mla", "mha"), tmp_path)
    said = (
        "2 of 6 runs kept the simple model as which they begin (linear), so that neither attention nor training had an effect "
        "in them; task.start=none compares the networks."
    )
    assert conclusion(result).endswith(said)  # which is what the terminal shows
    assert said in (tmp_path / "comparison.md").read_text()
    assert said in (tmp_path / "comparison.html").read_text()
    assert "task.start" not in conclusion(comparison(mla=MLA, mha=CLOSE))


def test_a_comparison_of_which_nothing_finished_has_a_page_too(tmp_path):
    result = Comparison("attention", 3, [variant("mla", [], {0: "error: x"}), variant("mha", [], {0: "error: x"})])
    write_page(result, how(tmp_path, "mla", "mha"), tmp_path)
    assert "No run finished" in (tmp_path / "comparison.html").read_text()
    assert not (tmp_path / "comparison.png").exists()
    assert len(failures(result)) == 2


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"speed": {"seconds": 1.0, "examples_per_second": "<b>"}}, "str"),
        ({"monitor": {"name": "val/nope", "mode": "max", "epoch": 1}}, "nope"),
        ({"monitor": {"name": "val/macro_f1", "mode": "max", "epoch": 1}}, "metrics are not those"),
        ({"metrics": {"test": {"accuracy": float("nan"), "macro_f1": 0.5}}}, "score is no number"),
        ({"metrics": {"test": {"accuracy": 0.5, "macro_f1": 10**400}}}, "score is no number"),
        ({"metrics": ["test"]}, ""),
        ({"environment": {"command": ["a"]}}, "command is no text"),
    ],
)
def test_results_that_cannot_be_compared_are_named(damage, said, tmp_path):
    check_results(results(0.5), tmp_path, results(0.6))
    with pytest.raises(UserError, match=rf"results\.json cannot be compared: .*{said}.* Remove {tmp_path} to run it"):
        check_results(results(0.5) | damage, tmp_path, results(0.6))


def test_texts_of_a_stranger_begin_nothing_in_a_comparison(tmp_path):
    odd = "<script>alert(1)</script> ![x](http://evil/x.png)\n# more \x1b[31m"
    runs = {
        seed: results(score) | {"data": odd, "baselines": {odd: {"accuracy": 0.1}}} for seed, score in enumerate(MLA)
    }
    each = [VariantResults(name, 1234, runs) for name in ("mla", "mha")]
    write_page(Comparison("attention", 3, each), how(tmp_path, "mla", "mha"), tmp_path)
    text = (tmp_path / "comparison.md").read_text()
    assert text.count("alert(1)") >= 3
    assert not any(sign in text for sign in ("<script>", "[x](http", "\n# more", "\x1b"))


def test_the_conclusion_without_baselines():
    result = Comparison("attention", 3, [variant("mla", MLA, baseline=None), variant("mha", CLOSE, baseline=None)])
    assert "baseline" not in conclusion(result)
