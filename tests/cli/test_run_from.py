"""``riveg run masks --from PREDICTIONS`` as a person gives it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.command_line import riveg

from riveg.cli.taken_predictions import TakenPredictions
from riveg.runs.reading import read_records

pytestmark = pytest.mark.slow

ROWS = (
    "Imageid:qs01-astronaut.jpg#00a1###Eileen Collins(PER)###Eileen Collins(PER)-a woman###2\n"
    "Imageid:qs01-astronaut.jpg#00a2###NASA(ORG)###NASA(ORG)-an agency###0\n"
    "Imageid:gone.jpg#00a3###NASA(ORG)###NASA(ORG)-an agency###0\n"
)


def test_masks_are_made_kept_and_made_anew(tmp_path: Path) -> None:
    rows, boxes, out = tmp_path / "rows.txt", tmp_path / "boxes.json", tmp_path / "run"
    rows.write_text(ROWS)
    box = {"uniq_id": "qs01-astronaut.jpg#00a1", "box": [-20, 20, 300, 460]}
    boxes.write_text(json.dumps([box]))
    given = ("run", "masks", "--from", rows, "--boxes", boxes, "--out", out)
    done = riveg(*given)
    assert done.returncode == 0, done.stderr
    words = " ".join(done.stdout.split())
    assert "note 1 predicted post is not in the data, for example 'gone'" in words
    assert "note 1 box reaching over the edge of the image" in words
    first = next(read_records(out))
    masks = [one.mask for entity in first.entities or () for one in entity.regions or ()]
    assert [mask is not None for mask in masks] == [True]
    assert _made(riveg(*given).stdout) == {"extract": 0, "segment": 0}
    boxes.write_text(json.dumps([{**box, "box": [20, 20, 300, 460]}]))
    assert _made(riveg(*given).stdout) == {"extract": 12, "segment": 1}


def test_folders_with_a_point_in_their_names_stay_apart(tmp_path: Path) -> None:
    for name in ("seed-0.1", "seed-0.2"):
        (tmp_path / name).mkdir()
    (tmp_path / "p.v1.jsonl").touch()
    names = {one.name: _taken(one).name for one in tmp_path.iterdir()}
    assert names == {"seed-0.1": "seed-0.1", "seed-0.2": "seed-0.2", "p.v1.jsonl": "p.v1"}


def _taken(file: Path) -> TakenPredictions:
    return TakenPredictions(file, "auto", None, None)


def _made(stdout: str) -> dict[str, int]:
    rows = (line.split() for line in stdout.splitlines())
    return {row[0]: int(row[2]) for row in rows if row[:1] in (["extract"], ["segment"])}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("quickstart", "--from", "{rows}"), "quickstart takes no predictions; use the system"),
        (("masks",), "extract.file: no predictions are named; say which with --from FILE"),
        (("masks", "--boxes", "{rows}"), "--boxes: says how predictions are read; name these"),
        (("masks", "--from", "{rows}"), "rows.txt: says what is shown, but not where; give its"),
        (("quickstart", "--lock", "{rows}"), "rows.txt: cannot be read as JSON"),
        (("masks", "--from", "nowhere.txt"), "nowhere.txt: no such file or folder"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "rows.txt").write_text(ROWS)
    filled = [one.format(rows=tmp_path / "rows.txt") for one in arguments]
    done = riveg("run", *filled, "--out", tmp_path / "out")
    assert done.returncode == 2
    (line,) = [one for one in done.stderr.splitlines() if one.startswith("riveg: ")]
    assert message in line
