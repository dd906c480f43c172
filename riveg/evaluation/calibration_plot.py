"""The plot of a calibration: F1 against the thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from riveg.errors import MissingExtra
from riveg.evaluation.bootstrap import ENDS
from riveg.evaluation.calibration import Calibration
from riveg.evaluation.calibration_run import ENTAIL, RECHECK
from riveg.evaluation.tag_calibration import TagCalibration
from riveg.evaluation.threshold_search import Axis
from riveg.files import write_atomically
from riveg.geometry.arrays import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_POINTS = 60
_SIDE = 240
_RESAMPLES = 500
_NAMES = {ENTAIL: "entailment threshold", RECHECK: "threshold of the re-check"}
_DETECTOR = "detector threshold"
_LINE, _CHOSEN, _OWN = "#1f5fa8", "#c8381e", "#555555"


def require_plot() -> None:
    """Makes sure that the curve can be drawn.

    Raises:
        MissingExtra: If matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingExtra("the curve of F1 against the thresholds", "matplotlib", "plot")


@dataclass(frozen=True, slots=True)
class Band:
    """The 95 % interval of F1 at some thresholds, over resampled samples."""

    thresholds: Floats
    low: Floats
    high: Floats


def step_curve(calibration: Calibration, key: str, other: float) -> tuple[Axis, Floats]:
    """F1 in percent in every cell of one threshold, the other threshold at a value.

    *Shape:* ``(cells,)``.
    """
    surface = calibration.outcomes.surface
    if key == ENTAIL:
        axis, hits = surface.entail, surface.along_entail(surface.ground.cell_of(other))
    else:
        axis, hits = surface.ground, surface.along_ground(surface.entail.cell_of(other))
    return axis, _f1(calibration, hits)


def band(calibration: Calibration, key: str) -> Band:
    """The interval along one threshold, the other threshold as it was chosen."""
    outcomes = calibration.outcomes
    axis = outcomes.surface.entail if key == ENTAIL else outcomes.surface.ground
    thresholds = np.linspace(axis.floor, 1.0, _POINTS + 1)
    thresholds[0] = np.nextafter(axis.floor, 1.0)
    entail, ground = calibration.chosen
    pairs = [(one, ground) if key == ENTAIL else (entail, one) for one in thresholds]
    f1 = outcomes.resampled_f1([outcomes.hits(*pair) for pair in pairs], _RESAMPLES)
    low, high = np.quantile(f1, ENDS, axis=0)
    return Band(thresholds, low, high)


def plane(calibration: Calibration) -> tuple[Floats, Floats, Floats]:
    """F1 in [0, 100] on a regular grid of both thresholds; the search was over every cell.

    Returns:
        Edges of the grid along the entailment threshold and along the detector threshold, and F1,
        *shape* ``(detector, entailment)``.
    """
    surface = calibration.outcomes.surface
    axes = surface.entail, surface.ground
    entail, ground = (np.linspace(axis.floor, 1.0, _SIDE + 1) for axis in axes)
    middles = [(grid[1:] + grid[:-1]) / 2 for grid in (entail, ground)]
    rows, columns = (
        np.array([axis.cell_of(one) for one in middle])
        for axis, middle in zip(axes, middles, strict=True)
    )
    wanted = set(rows.tolist())
    sampled = {row: hits[columns] for row, hits in enumerate(surface.rows()) if row in wanted}
    hits = np.stack([sampled[row] for row in rows.tolist()], axis=1)
    return entail, ground, _f1(calibration, hits)


def _f1(calibration: Calibration, hits: NDArray[np.int64]) -> Floats:
    count = calibration.before.count
    return 200.0 * hits / max(1, count.predicted + count.gold)


def draw(path: Path, calibration: Calibration | TagCalibration, title: str) -> None:
    """Writes the curve as PNG; for two thresholds, also their plane.

    Raises:
        UserError: If the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    keys = list(calibration.thresholds)
    figure: Figure = Figure(figsize=(6.4 * len(keys), 4.6), dpi=120, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(keys), squeeze=False)[0]
    if isinstance(calibration, TagCalibration):
        _draw_tag_curve(panels[0], calibration)
    else:
        _draw_curve(panels[0], calibration, keys[0])
        if len(keys) == 2:
            _draw_plane(figure, panels[1], calibration)
    # A title is text, not a formula.
    figure.suptitle(title, fontsize=12, parse_math=False)
    content = BytesIO()
    canvas.print_figure(content, format="png")
    write_atomically(path, [content.getvalue()])


def _draw_curve(panel: Axes, calibration: Calibration, key: str) -> None:
    tuned = calibration.thresholds[key]
    place = 0 if key == ENTAIL else 1
    own, chosen = (pair[1 - place] for pair in (calibration.outcomes.own, calibration.chosen))
    axis, f1 = step_curve(calibration, key, chosen)
    around = band(calibration, key)
    panel.fill_between(
        around.thresholds, around.low, around.high, color=_LINE, alpha=0.18, lw=0, label="95 %"
    )
    others = [_NAMES.get(name, _DETECTOR) for name in calibration.thresholds if name != key]
    edges = np.maximum(axis.edges, axis.floor)
    label = f"{others[0]} {chosen:.6g}" if others else None
    panel.stairs(f1, edges, baseline=None, color=_LINE, lw=1.6, label=label)
    before = step_curve(calibration, key, own)[1]
    if others and own != chosen:
        label = f"{others[0]} {own:.6g}"
        panel.stairs(before, edges, baseline=None, color=_OWN, lw=0.9, label=label)
    if tuned.floor > 0:
        _shade(panel, tuned.floor)
    _mark(panel, tuned.own, before[axis.cell_of(tuned.own)], _OWN, "s", f"run's {tuned.own:.6g}")
    value = tuned.chosen.value
    _mark(panel, value, f1[axis.cell_of(value)], _CHOSEN, "o", f"chosen {value:.6g}")
    _finish_curve(panel, _NAMES.get(key, _DETECTOR), "GMNER F1")


def _draw_tag_curve(panel: Axes, calibration: TagCalibration) -> None:
    outcomes, tuned = calibration.outcomes, calibration.tuned
    axis, f1 = outcomes.axis, outcomes.f1()
    thresholds = np.linspace(axis.floor, 1.0, _POINTS + 1)
    resampled = outcomes.resampled_f1([outcomes.at(one) for one in thresholds], _RESAMPLES)
    low, high = np.quantile(resampled, ENDS, axis=0)
    panel.fill_between(thresholds, low, high, color=_LINE, alpha=0.18, lw=0, label="95 %")
    panel.stairs(f1, np.maximum(axis.edges, axis.floor), baseline=None, color=_LINE, lw=1.6)
    if tuned.floor > 0:
        _shade(panel, tuned.floor)
    own, value = tuned.own, tuned.chosen.value
    _mark(panel, own, f1[axis.cell_of(own)], _OWN, "s", f"run's {own:.6g}")
    _mark(panel, value, f1[axis.cell_of(value)], _CHOSEN, "o", f"chosen {value:.6g}")
    _finish_curve(panel, "threshold of the tagger", "MNER F1")


def _finish_curve(panel: Axes, along: str, up: str) -> None:
    panel.set(xlim=(0, 1), xlabel=along, ylabel=up)
    panel.grid(alpha=0.25)
    panel.legend(fontsize=8, frameon=True)


def _shade(panel: Axes, until: float) -> None:
    panel.axvspan(0, until, color="#dddddd", lw=0)
    panel.text(
        until / 2,
        0.5,
        "not in\nthe records",
        ha="center",
        va="center",
        transform=panel.get_xaxis_transform(),
        color=_OWN,
        fontsize=9,
    )


def _mark(panel: Axes, x: float, y: float, color: str, marker: str, label: str) -> None:
    # Without clipping, so that a point at the edge is whole.
    panel.plot([x], [y], marker, color=color, ms=8, label=label, clip_on=False, zorder=5)
    panel.axvline(x, color=color, lw=0.9, ls=":")


def _draw_plane(figure: Figure, panel: Axes, calibration: Calibration) -> None:
    entail, ground, f1 = plane(calibration)
    mesh = panel.pcolormesh(entail, ground, f1, cmap="viridis", rasterized=True)
    figure.colorbar(mesh, ax=panel, label="GMNER F1")
    for (x, y), marker, color, name in (
        (calibration.outcomes.own, "s", "white", "run's"),
        (calibration.chosen, "o", _CHOSEN, "chosen"),
    ):
        label = f"{name} {x:.6g}, {y:.6g}"
        panel.plot(
            [x], [y], marker, color=color, ms=8, mec="black", label=label, clip_on=False, zorder=5
        )
    across, up = (_NAMES.get(key, _DETECTOR) for key in calibration.thresholds)
    panel.set(xlim=(0, 1), ylim=(0, 1), xlabel=across, ylabel=up)
    panel.set_facecolor("#dddddd")
    panel.legend(fontsize=8, loc="upper left")
