"""Figures of answers: confusion matrix, scatter of numbers, scores of labels, the most certain mistakes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from mla_train.escaping import markdown_cell
from mla_train.figures import save_figure
from mla_train.heads.base import Predictions
from mla_train.heads.calibration import calibration_error, confidence_of, reliability
from mla_train.heads.class_metrics import once
from mla_train.safe_files import write_atomically

MAX_TICK_LABELS = 30
LONGEST_NAME = 28  # fits over an image


def worst_mistakes(predictions: Predictions, count: int) -> np.ndarray:
    """Rows of wrong classes, at most so many, the most probable first."""
    wrong = np.flatnonzero(predictions["label"] != predictions["predicted"])
    return wrong[np.argsort(-confidence_of(predictions)[wrong])][:count]


def draw_confusion(label: np.ndarray, predicted: np.ndarray, classes: list[str], file: Path) -> None:
    """True class number by row, predicted one by column; colours show the share of the row."""
    counts = np.zeros((len(classes), len(classes)), dtype=int)
    np.add.at(counts, (label, predicted), 1)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = min(4 + 0.4 * len(classes), 14)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(classes) <= MAX_TICK_LABELS:
        turn = 90 if max(map(len, classes)) > 2 else 0
        axes.set_xticks(range(len(classes)), classes, rotation=turn)
        axes.set_yticks(range(len(classes)), classes)
        for row, column in np.argwhere(counts):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, counts[row, column], ha="center", va="center", color=colour, fontsize=8)
    axes.set(xlabel="predicted", ylabel="true", title=f"accuracy {np.trace(counts) / counts.sum():.4f}")
    figure.colorbar(image, label="share of the true class", shrink=0.8)
    save_figure(figure, file, 120)


def draw_calibration(predictions: Predictions, file: Path) -> None:
    """How often predictions of a probability are correct."""
    confidences, is_right = confidence_of(predictions), predictions["predicted"] == predictions["label"]
    confidence, accuracy, sizes = reliability(confidences, is_right)
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle=":", label="calibrated")
    label = "ten ranges of probability, area by share of examples"
    axes.scatter(confidence, accuracy, s=20 + 400 * sizes, color="tab:blue", label=label)
    axes.set(xlabel="probability of the prediction", ylabel="accuracy", xlim=(0, 1.02), ylim=(-0.02, 1.05))
    axes.set_title(
        f"expected calibration error {float(calibration_error(confidences, is_right, once(is_right))[0]):.3f}"
    )
    axes.legend(fontsize=8)
    save_figure(figure, file, 110)


def draw_scatter(label: np.ndarray, predicted: np.ndarray, metrics: dict[str, float], file: Path) -> None:
    """Predicted over true numbers, `(examples,)`, with two of their metrics; on the diagonal they are equal."""
    figure = Figure(figsize=(5.5, 5.5), layout="constrained")
    axes = figure.subplots()
    axes.scatter(label, predicted, s=10, alpha=0.5, linewidths=0)
    middle = float(label.mean())
    axes.axline((middle, middle), slope=1, color="grey", linewidth=1)
    axes.set_aspect("equal", adjustable="datalim")
    title = f"mean absolute error {metrics['mae']:.4g}, Pearson {metrics['pearson']:.3f}"
    axes.set(xlabel="true", ylabel="predicted", title=title)
    save_figure(figure, file, 120)


def draw_label_scores(scores: dict[str, float], file: Path, count: int = 40) -> None:
    """F1 of labels as bars, at most so many, the worst first."""
    shown = sorted(scores.items(), key=lambda item: item[1])[:count]
    figure = Figure(figsize=(7, 1 + 0.28 * len(shown)), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(range(len(shown)), [score for _, score in shown], color="tab:blue")
    axes.bar_label(bars, fmt="%.2f", padding=2, fontsize=8)
    axes.set_yticks(range(len(shown)), [name for name, _ in shown])
    title = "F1 of each label" + (" (the worst)" if len(shown) < len(scores) else "")
    axes.set(xlabel="F1", xlim=(0, 1.1), title=title)
    axes.invert_yaxis()
    save_figure(figure, file, 120)


def draw_mistakes(
    predictions: Predictions,
    images: Tensor,
    classes: list[str],
    file: Path,
    names: Sequence[str] = (),
    count: int = 24,
) -> None:
    """The most certain mistakes, at most so many, as images, `(examples, channels, height, width)`, with their names."""
    confidence = confidence_of(predictions)
    wrong = worst_mistakes(predictions, count)
    columns = min(6, max(1, len(wrong)))
    rows = max(1, -(-len(wrong) // columns))
    # One plot in inches: a plot for each image would take seconds.
    width, height, above, top = 2.0, 2.5, 0.65, 0.4 * bool(len(wrong))
    figure = Figure(figsize=(width * columns, height * rows + top))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width * columns), ylim=(height * rows + top, 0))
    axes.set_axis_off()
    if not len(wrong):
        axes.text(width / 2, height / 2, "no mistakes", ha="center", va="center")
    for place, i in enumerate(wrong):
        left, upper = place % columns * width, place // columns * height + top
        image = images[int(predictions["index"][i])].permute(1, 2, 0).numpy()
        scale = min((width - 0.15) / image.shape[1], (height - above - 0.1) / image.shape[0])
        middle, half, bottom = left + width / 2, image.shape[1] * scale / 2, upper + above + image.shape[0] * scale
        pixels = image.squeeze(-1) if image.shape[-1] == 1 else image
        extent = (middle - half, middle + half, bottom, upper + above)
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=extent, aspect="auto")
        true, predicted = classes[predictions["label"][i]], classes[predictions["predicted"][i]]
        name = f"\n{short_name(names[int(predictions['index'][i])])}" if len(names) else ""
        words = f"{predicted}, {confidence[i]:.0%}\ntrue: {true}{name}"
        axes.text(middle, upper + above - 0.05, words, ha="center", va="bottom", fontsize=9)
    axes.set(xlim=(0, width * columns), ylim=(height * rows + top, 0))
    if len(wrong):
        axes.text(width * columns / 2, top / 2, "most certain mistakes", ha="center", va="center", fontsize=12)
    save_figure(figure, file, 120)


def short_name(name: str) -> str:
    """The identifier of an example, or the end of its name."""
    return getattr(name, "id", "") or (name if len(name) <= LONGEST_NAME else f"…{name[1 - LONGEST_NAME :]}")


def write_mistakes(
    predictions: Predictions, texts: Sequence[str], classes: list[str], file: Path, names: Sequence[str] = ()
) -> None:
    """The most certain mistakes among texts of a split, with their names if there are any, as a Markdown table."""
    confidence = confidence_of(predictions)
    columns = ["probability", "prediction", "true", "text", *["source"] * bool(len(names))]
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for row in worst_mistakes(predictions, 50):
        place = int(predictions["index"][row])
        name: Any = names[place] if len(names) else ""
        source = f"{name} ({name.id})" if getattr(name, "id", "") else name
        predicted, true = classes[predictions["predicted"][row]], classes[predictions["label"][row]]
        cells = [f"{confidence[row]:.2f}", predicted, true, texts[place][:300], source]
        lines.append(f"| {' | '.join(map(markdown_cell, cells[: len(columns)]))} |")
    write_atomically(file, "\n".join(lines) + "\n")
