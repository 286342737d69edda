"""Series in tables; no torch here."""

from mla_train.modalities.series.tables import read_series_table

read_series_csv = read_series_table
