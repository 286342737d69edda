"""A figure of spectrograms: the most certain right answers, and below them the most certain mistakes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mla_train.figures import save_figure
from mla_train.heads import Predictions
from mla_train.heads.calibration import confidence_of
from mla_train.heads.figures import short_name, worst_mistakes
from mla_train.modalities.audio import AudioColumn, AudioSpec
from mla_train.modalities.audio.log_mel import FLOOR, HOP

COLUMNS = 6


def draw_spectrograms(
    predictions: Predictions,
    column: AudioColumn,
    spec: AudioSpec,
    classes: Sequence[str],
    names: Sequence[str],
    file: Path,
) -> None:
    """Draws spectrograms of examples with their prediction, probability and true class, those of mistakes in red."""
    confidence = confidence_of(predictions)
    right = np.flatnonzero(predictions["label"] == predictions["predicted"])
    rows = [right[np.argsort(-confidence[right], kind="stable")][:COLUMNS], worst_mistakes(predictions, 2 * COLUMNS)]
    chosen = [part for row in rows for part in np.split(row, range(COLUMNS, len(row), COLUMNS)) if len(part)]
    figure = Figure(figsize=(2.3 * COLUMNS, 2.4 * max(1, len(chosen))), layout="constrained")
    grid = figure.subplots(max(1, len(chosen)), COLUMNS, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for line, part in zip(grid, chosen, strict=False):
        for axes, row in zip(line, part, strict=False):
            place = int(predictions["index"][row])
            spectrogram = column.values[place]
            extent = (0, HOP * len(spectrogram), 0, spec.mel_bands)
            axes.set_axis_on()
            axes.imshow(spectrogram.T, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=FLOOR, vmax=0)
            true, predicted = classes[predictions["label"][row]], classes[predictions["predicted"][row]]
            name = f"\n{short_name(names[place])}" if len(names) else ""
            colour = "black" if true == predicted else "tab:red"
            axes.set_title(f"{predicted}, {confidence[row]:.0%}\ntrue: {true}{name}", fontsize=8, color=colour)
            axes.tick_params(labelsize=6)
    grid[-1][0].set(xlabel="seconds", ylabel="mel band")
    save_figure(figure, file, 110)
