"""Inputs after public bug reports: each is read right, or refused by one line that names the way out."""

import pytest

from mla_train.errors import UserError
from tests.helpers import ROOT, load

CASES = ROOT.parent / "shared" / "cases"
pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not CASES.is_dir(), reason=f"the cases are not at {CASES}"),
]
TEXTS = ("task=text_classification", "data=text_files", "data.train=")
SERIES = ("task=forecasting", "data=series_csv", "data.look_back=24", "data.horizon=6", "data.path=")
IMAGES = ("task=image_classification", "data=image_folder", "data.root=")


def read(words, path, *more):
    *words, option = words
    return load("encoder=tiny", *words, f"{option}{CASES / path}", *more)


@pytest.mark.parametrize(
    ("path", "classes", "examples", "note"),
    [
        ("text_01_pandas_index_column/reviews.csv", ["bad", "good"], 60, ""),
        ("text_02_multi_label_list/tags.jsonl", ["bad", "film", "good"], 60, ""),
        ("text_03_half_emoji/tweets.jsonl", ["bad", "good"], 60, "1 texts hold halves of characters"),
        ("text_04_labels_with_blanks/reviews.csv", ["bad", "good"], 60, ""),
        ("text_06b_parquet_bytes/reviews.parquet", ["bad", "good"], 60, ""),
        ("text_07_stray_quotes/films.csv", ["bad", "good"], 1000, "in line 22: they are read as part of the text"),
        ("text_08_long_field/books.csv", ["bad", "good"], 60, "cut 2 texts off at 512 tokens"),
        ("text_09_no_blanks_between_words/zh.jsonl", ["bad", "good"], 600, "char"),
        ("text_13_blank_line/reviews.tsv", ["bad", "good"], 60, ""),
        ("text_14_singletons/tickets.csv", ["bad", "good", "rare1", "rare2"], 63, "data.rare=other"),
        ("text_15_dollar_in_label/prices.csv", ["$5_$10", "$50_$100"], 80, ""),
        ("text_17_json_list_with_BOM/reviews.json", ["bad", "good"], 60, ""),
        ("text_22_class_order/codes.csv", ["01", "1"], 600, ""),
        ("text_23_rare_class/rare.csv", ["danger", "normal"], 3030, ""),
    ],
)
def test_texts_are_read(path, classes, examples, note):
    data = read(TEXTS, path)
    assert data.spec.target.classes == classes
    assert sum(map(data.count, ("train", "val", "test"))) == examples
    assert note in "\n".join(data.notes)


@pytest.mark.parametrize(
    ("path", "names", "frequency", "period", "mean", "words"),
    [
        ("01_long_format/long.csv", ["A", "B", "C"], "h", 24, 100.2, ["data.series_column=unique_id"]),
        ("02_thousands_tab_separated/export.tsv", ["y"], "h", 24, 1002.1, []),
        ("04_tiny_or_offset/tiny.csv", ["btc"], "h", 24, 1.00207e-9, []),
        ("04_tiny_or_offset/offset.csv", ["meter"], "h", 24, 1700000000023.5, []),
        ("05_jittered_stamps/sensor.csv", ["y"], "min", 24, -0.046, ["data.resample=mean"]),
        ("06_month_end_or_quarter_with_a_gap/month_end.csv", ["y"], "ME", 12, 183.6, []),
        ("06_month_end_or_quarter_with_a_gap/quarters.csv", ["y"], "QS-JAN", 12, 183.6, []),
        ("07_unnamed_index/saved_by_pandas.csv", ["y"], "h", 24, 100.2, []),
        ("07_unnamed_index/ids.csv", ["y"], "h", 24, 100.2, []),
        (
            "09_date_and_time_apart/power.csv",
            ["power"],
            "h",
            24,
            100.2,
            ["data.time_column=[Date,Time]", "data.na_values=[-200]"],
        ),
        ("10_period_under_a_trend/rising.csv", ["y"], "MS", 12, 183.5, ["data.horizon=12"]),
        ("11_forecast_of_monthly_or_resampled_data/monthly.csv", ["y"], "MS", 12, 466.9, ["data.horizon=12"]),
        (
            "11_forecast_of_monthly_or_resampled_data/tenmin.csv",
            ["y"],
            "h",
            24,
            100.1,
            ["data.resample=mean", "data.frequency=1h"],
        ),
    ],
)
def test_series_are_read(path, names, frequency, period, mean, words):
    spec = read(SERIES, path, *words).spec.inputs["series"].spec
    assert (spec.names, spec.period) == (names, period)
    assert spec.frequency.removeprefix("1") == frequency
    assert spec.mean[0] == pytest.approx(mean, rel=0.05, abs=1e-12)


@pytest.mark.parametrize(
    ("words", "path", "classes", "train", "test"),
    [
        (IMAGES, "20_part_folders_in_capitals/pictures", ["glioma", "notumor"], 22, 12),
        (IMAGES, "21_hidden_folders_inside_a_class/pictures", ["cat", "dog"], 17, 5),
        (IMAGES, "23_more_than_8_bits/bit12", ["a", "b"], 17, 5),
        (IMAGES, "23_more_than_8_bits/hounsfield", ["a", "b"], 17, 5),
        (IMAGES, "23_more_than_8_bits/float", ["a", "b"], 17, 5),
        (
            ("task=image_classification", "data=image_table", "data.root="),
            "24_table_of_paths/labels.csv",
            ["cat", "dog"],
            17,
            5,
        ),
    ],
)
def test_images_are_read(words, path, classes, train, test):
    data = read(words, path)
    assert data.spec.target.classes == classes
    assert (data.count("train"), data.count("test")) == (train, test)
    assert len(data.train.columns["image"].images.unique()) >= 16


@pytest.mark.parametrize(
    ("words", "path", "message"),
    [
        (TEXTS, "text_05_label_NaN/reviews.jsonl", "5 rows without label, the first is line 4"),
        (TEXTS, "text_11_header_twice/reviews.csv", "several columns text"),
        (SERIES, "01_long_format/long.csv", "data.series_column=unique_id"),
        (SERIES, "05_jittered_stamps/sensor.csv", "data.frequency=min"),
        (SERIES, "09_date_and_time_apart/air.csv", r"data.time_column=\[Date,Time\]"),
        (IMAGES, "24_table_of_paths", "data=image_table data.root="),
        (IMAGES, "trust/image_folder_6b6c6f", "data.on_error=skip"),
        (("task=image_classification", "data=image_table", "data.root="), "trust/image_table_a301f9/t.parquet", "label_column"),
        (("task=translation", "data=pair_files", "data.train="), "trust/pair_files_27d542/train.csv.gz", "cannot be read"),
        (SERIES, "trust/series_csv_0042e0/train.parquet", "no time"),
        (SERIES, "trust/series_csv_6b8fea/train.csv.bz2", "cannot be read"),
        (SERIES, "trust/series_csv_e630ac/train.csv", "1678 to 2261"),
        (TEXTS, "trust/text_files_27d542/train.tsv.gz", "cannot be read"),
        (TEXTS, "trust/text_files_6bf3c0/train.parquet", "data.test|raise the share"),
        (TEXTS, "trust/text_files_c17225/train.jsonl.bz2", "data.on_error=skip"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(words, path, message):
    with pytest.raises(UserError, match=message):
        read(words, path)
