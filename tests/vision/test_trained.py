"""What a model's folder says of how it is asked, where the system does not say it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from riveg.errors import UserError
from riveg.stages.entailers.itm import ItmEntailerConfig
from riveg.stages.entailers.siglip import SiglipEntailerConfig
from riveg.stages.grounders.grounding_dino import GroundingDinoConfig
from riveg.stages.grounders.itm_gradcam import ItmGradcamConfig
from riveg.vision.detectors.phrase_settings import PhraseSettings
from riveg.vision.matchers.trained import MatcherSettings
from riveg.vision.trained import AskedAsTrained, TrainedSettings

Config = Callable[..., AskedAsTrained[Any]]

MATCHER = MatcherSettings(query="{mention}", threshold=0.3, temperature=2.0)
PHRASE = PhraseSettings(query="{mention}", shortest_edge=64, longest_edge=128)

CASES = pytest.mark.parametrize(
    ("config", "own", "usual"),
    [
        (ItmEntailerConfig, MATCHER, {"query": "{expression}", "threshold": 0.5}),
        (SiglipEntailerConfig, MATCHER, {"query": "{expression}", "threshold": 0.1}),
        (ItmGradcamConfig, MATCHER, {"query": "{expression}"}),
        (
            GroundingDinoConfig,
            PHRASE,
            {"query": "{expression}", "shortest_edge": 800, "longest_edge": 1333},
        ),
    ],
    ids=["itm", "siglip", "itm-gradcam", "grounding-dino"],
)


@CASES
def test_what_a_system_leaves_out_is_as_trained_else_as_usual(
    config: Config, own: TrainedSettings, usual: dict[str, Any], tmp_path: Path
) -> None:
    plain = config(model=str(tmp_path))
    assert plain.settled(tmp_path) == config(model=str(tmp_path), **usual)
    assert plain.notes(tmp_path) == ()
    own.write(tmp_path)
    trained = own.model_dump(include={*usual})
    assert plain.settled(tmp_path) == config(model=str(tmp_path), **trained)
    assert plain.settled(tmp_path).settled(tmp_path) == plain.settled(tmp_path)
    assert plain.asked(tmp_path) == own


@CASES
def test_what_a_system_says_counts_and_another_query_is_noted(
    config: Config, own: TrainedSettings, usual: dict[str, Any], tmp_path: Path
) -> None:
    own.write(tmp_path)
    asked = config(model=str(tmp_path), query="{label}")
    assert asked.settled(tmp_path) == config(
        model=str(tmp_path), **own.model_dump(include={*usual} - {"query"}), query="{label}"
    )
    told = f"{tmp_path} was trained with query '{{mention}}' and is asked with '{{label}}': "
    assert asked.notes(tmp_path)[-1].startswith(told)
    same = config(model=str(tmp_path), query="{mention}")
    assert not any("was trained with" in note for note in same.notes(tmp_path))


def test_other_sides_of_pictures_are_noted(tmp_path: Path) -> None:
    PHRASE.write(tmp_path)
    (note,) = GroundingDinoConfig(model=str(tmp_path), shortest_edge=32).notes(tmp_path)
    assert "was trained with shortest_edge 64 and is asked with 32" in note


def test_a_side_that_does_not_fit_the_other_is_told(tmp_path: Path) -> None:
    PHRASE.write(tmp_path)
    config = GroundingDinoConfig(model=str(tmp_path), shortest_edge=256)
    message = (
        r"shortest_edge must not be above longest_edge; what the system leaves out is "
        r"query '\{mention\}', longest_edge 128$"
    )
    with pytest.raises(UserError, match=message):
        config.settled(tmp_path)


@pytest.mark.parametrize("text", ['{"query": 7}', '{"query": "{name}"}', "{", "[]"])
@CASES
def test_a_file_that_says_something_else_is_refused(
    config: Config, own: TrainedSettings, usual: dict[str, Any], text: str, tmp_path: Path
) -> None:
    (tmp_path / own.file).write_text(text)
    with pytest.raises(UserError, match=f"{own.file}: is not of riveg train {own.trainee}") as told:
        config(model=str(tmp_path)).settled(tmp_path)
    assert "\n" not in str(told.value)
