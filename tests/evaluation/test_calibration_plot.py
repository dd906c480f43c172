"""The image of a calibration says what the search found."""

from pathlib import Path

import numpy as np
import pytest
from helpers.factories import make_sample
from helpers.run_folders import make_run
from PIL import Image

from riveg.evaluation.calibration import Calibration, calibrate
from riveg.evaluation.calibration_plot import band, draw, plane, step_curve
from riveg.evaluation.calibration_run import ENTAIL
from riveg.evaluation.cases import AnnotatedEntity
from riveg.evaluation.gold import GoldSample, gold_set
from riveg.types import Box, Entailment, Entity, Region, Span

SQUARE = Box(0, 0, 100, 100)


def calibration(folder: Path) -> Calibration:
    """Samples whose entity is shown where both the probability and the score are high."""
    samples, gold = [], {}
    for number in range(16):
        probability, score = (number % 4) / 4 + 0.1, (number // 4) / 4 + 0.1
        shown = probability > 0.5 and score > 0.3
        entity = Entity(
            "e0",
            "a",
            "PER",
            Span(0, 1),
            entailment=Entailment(probability, groundable=True),
            regions=(Region(SQUARE, score),),
        )
        samples.append(make_sample("a", id=f"s{number}", entities=(entity,)))
        boxes = (SQUARE,) if shown else ()
        gold[f"s{number}"] = GoldSample((AnnotatedEntity("a", "PER", Span(0, 1), boxes=boxes),))
    run = make_run(folder, samples, overrides=["entail.threshold=0"])
    return calibrate(run, gold_set("dev", gold))


def test_the_curves_pass_through_what_was_found(tmp_path: Path) -> None:
    found = calibration(tmp_path)
    entail, ground = found.chosen
    for key, value, other in ((ENTAIL, entail, ground), ("ground.threshold", ground, entail)):
        axis, f1 = step_curve(found, key, other)
        assert f1[axis.cell_of(value)] == f1.max() == found.after.count.f1 == 100
        around = band(found, key)
        assert len(around.thresholds) == len(around.low) == len(around.high)
        assert (around.low <= around.high).all()
    axis, f1 = step_curve(found, ENTAIL, 0.0)
    assert f1[0] == found.before.count.f1


def test_the_plane_is_every_pair(tmp_path: Path) -> None:
    found = calibration(tmp_path)
    entail, ground, f1 = plane(found)
    assert f1.shape == (len(ground) - 1, len(entail) - 1)
    samples = len(found.outcomes.samples)
    for row, column in ((0, 0), (100, 30), (60, 239), (239, 239)):
        middle = [(grid[at] + grid[at + 1]) / 2 for grid, at in ((entail, column), (ground, row))]
        hits = found.outcomes.surface.hits_by_sample(middle[0], middle[1], samples).sum()
        assert f1[row, column] == pytest.approx(100 * hits / samples)


@pytest.mark.parametrize("panels", [1, 2])
def test_the_plot_is_drawn(tmp_path: Path, panels: int) -> None:
    pytest.importorskip("matplotlib", reason="the extra plot is not installed")
    found = calibration(tmp_path / "run") if panels == 2 else one_threshold(tmp_path)
    path = tmp_path / "curve.png"
    draw(path, found, "a system with $math and <b> in its name")
    with Image.open(path) as pixels:
        assert pixels.format == "PNG"
        assert pixels.width == 768 * panels
        assert np.asarray(pixels.convert("L")).std() > 10  # something is on it


def one_threshold(folder: Path) -> Calibration:
    entity = Entity(
        "e0",
        "a",
        "PER",
        Span(0, 1),
        entailment=Entailment(None, groundable=True),
        regions=(Region(SQUARE, 0.4),),
    )
    sample = make_sample("a", id="s", entities=(entity,))
    run = make_run(folder / "run", [sample], overrides=["entail.backend=always"])
    gold = GoldSample((AnnotatedEntity("a", "PER", Span(0, 1), boxes=(SQUARE,)),))
    return calibrate(run, gold_set("dev", {"s": gold}))
