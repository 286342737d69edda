"""From a table of series to a row for each of its windows."""

from mla_train.errors import counted, require
from mla_train.inference.evaluate import predict_split, read_measured
from mla_train.inference.files import Writer
from mla_train.inference.predictor import Predictor


def predict_windows(predictor: Predictor, file: str, output: str, kind: str) -> str:
    """Predicts all windows of a table and writes a row for each: its first and last time, and its prediction.

    Args:
        predictor: Trained model that reads windows and makes no forecasts.
        file: Csv or parquet table.
        output: File that is written, or "-".
        kind: Format of it.

    Returns:
        What was written.

    Raises:
        UserError: The table does not fit the model.
    """
    require(file != "-", "a table of series is read from a file: --input FILE")
    windows = read_measured(predictor, file)
    (column,) = windows.split.columns.values()
    times = column.series.table.times
    records = predictor.network.head.decode(predict_split(predictor, windows.split))
    rows = [
        {"from": str(times[now - column.look_back]), "to": str(times[now - 1]), **record}
        for now, record in zip(column.now, records, strict=True)
    ]
    with Writer(output, kind, list(rows[0])) as writer:
        writer.write(rows)
    return "; ".join([*windows.notes, counted(len(rows), "row") + (f" to {output}" if output != "-" else "")])
