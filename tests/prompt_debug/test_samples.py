"""Which samples are looked at, and how far they have come."""

from __future__ import annotations

from pathlib import Path

import pytest

from riveg.datasets.opening import open_dataset
from riveg.errors import UserError
from riveg.prompt_debug.samples import sample_of_text, samples_of_data, samples_of_run
from riveg.runs.system import load_system

QUICKSTART = open_dataset("quickstart")


def ids(chosen: object) -> list[str]:
    return [sample.id for sample in chosen.samples]  # type: ignore[attr-defined]


def test_a_few_samples_of_a_dataset() -> None:
    known = [sample.id for sample in QUICKSTART.samples()]
    assert ids(samples_of_data(QUICKSTART)) == known[:5]
    assert ids(samples_of_data(QUICKSTART, ids=[known[3], known[1]])) == [known[3], known[1]]
    drawn = ids(samples_of_data(QUICKSTART, sample=4))
    assert drawn == ids(samples_of_data(QUICKSTART, sample=4)), "the same each time"
    assert drawn == [one for one in known if one in drawn], "in the data's order"
    assert len(drawn) == 4
    assert len(ids(samples_of_data(QUICKSTART, sample=99))) == len(known)


@pytest.mark.parametrize(
    ("wanted", "advice"),
    [
        ("qs01-astronuat", "did you mean 'qs01-astronaut'"),
        ("qs01", "did you mean 'qs01-astronaut'"),
        ("zzz", "it has 'qs01-astronaut', 'qs02-rocket'"),
    ],
)
def test_an_id_that_is_not_there(wanted: str, advice: str) -> None:
    with pytest.raises(UserError, match=f"--ids {wanted}: quickstart has no such sample; {advice}"):
        samples_of_data(QUICKSTART, ids=[wanted])


def test_a_sample_typed_by_hand(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--image .*ada.jpg: there is no such file"):
        sample_of_text("Ada in Paris", tmp_path / "ada.jpg", "a woman")
    (tmp_path / "ada.jpg").touch()
    chosen = sample_of_text("Ada in Paris", tmp_path / "ada.jpg", "a woman")
    assert chosen.samples[0].image is not None
    assert (chosen.samples[0].image.path, chosen.image_roots) == ("ada.jpg", (tmp_path,))
    with pytest.raises(UserError, match="--text: there is no text"):
        sample_of_text(" ")


def test_samples_of_a_run_are_taken_from_the_stage_before(tmp_path: Path) -> None:
    load_system("quickstart").run("quickstart", out=tmp_path / "run", limit=2, until="rewrite")
    chosen = samples_of_run(tmp_path / "run", ["tag"])
    assert chosen.answered == ("tag",)
    assert all(one.entities for one in chosen.samples)
    assert all(entity.expression is None for one in chosen.samples for entity in one.entities or ())
    assert chosen.read_gold is not None
    assert "qs01-astronaut" in chosen.read_gold().samples
    before = samples_of_run(tmp_path / "run", [])
    assert before.answered == ()
    assert before.samples[0].entities is None
    with pytest.raises(UserError, match="is it a run folder"):
        samples_of_run(tmp_path, ["tag"])
