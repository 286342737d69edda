"""Numbers of a forecast as they are written."""

import numpy as np

from mla_train.heads.forecast_metrics import rounded
from mla_train.inference.export.runtime.infer_onnx import by_name


def test_as_many_digits_as_the_spread_needs():
    assert rounded(np.array([123456789.4, 0.0, np.nan, 3.14159265]), std=25.0) == [123456789.4, 0, None, 3.14159]
    assert rounded(np.array([123456789.4]), std=2.5e6) == [123456790]
    assert rounded(np.array([5123.456789]), std=1980.0) == [5123.46]
    assert rounded(np.array([123456789.4])) == [123457000]


def test_an_exported_model_writes_the_same_digits():
    values = np.array([[123456789.4, 0.0], [3.14159265, -51.23456789]])
    expected = {"a": rounded(values[0], 25.0), "b": rounded(values[1], 2.0)}
    assert by_name(values, {"names": ["a", "b"], "std": [25.0, 2.0]}) == expected
