"""What a run says of samples and types that its tagger was not made for."""

import json
from pathlib import Path

import pytest

from riveg import load_system
from riveg.config.own_labels import label_notes
from riveg.config.reader import load_config
from riveg.files import asset
from riveg.runs.sources import Samples, make_sample

POSTS = ("Messi scored", "Президент России", "Путин и Медведев", "我爱北京天安门", "😀")
OWN = "labels=[VESSEL, PER, {name: LOC, description: a place}]"


def posts(*texts: str) -> Samples:
    samples = [make_sample(text, id=str(number)) for number, text in enumerate(texts)]
    return Samples("posts", (), lambda: samples)


@pytest.mark.parametrize("times", [1, 2])
def test_other_scripts_are_told_once_a_run(tmp_path: Path, times: int) -> None:
    system = load_system("quickstart")
    for _ in range(times):  # a run that is given again has made nothing, and says the same
        report = system.run(posts(*POSTS), out=tmp_path, until="tag")
    (note,) = report.notes
    assert note.startswith("tag: mini was trained on Latin script; of 5 posts 3 are mostly")
    assert "(Cyrillic 2, Han 1)" in note
    assert json.loads((tmp_path / "manifest.json").read_text())["notes"] == [note]


def test_posts_that_it_can_read_need_no_note(tmp_path: Path) -> None:
    assert (
        load_system("quickstart").run(posts("Messi scored"), out=tmp_path, until="tag").notes == ()
    )


def test_of_a_model_of_the_user_s_own_no_script_is_known(tmp_path: Path) -> None:
    system = load_system("quickstart", f"tag.model={asset('tagger')}")
    assert system.run(posts(*POSTS), out=tmp_path, until="tag").notes == ()


def test_types_that_the_tagger_does_not_know_are_told(tmp_path: Path) -> None:
    config = load_config("quickstart", [OWN])
    (note,) = label_notes(config, config.steps)
    assert note.startswith("tag: mini knows PER, LOC, ORG, OTHER only, not VESSEL of labels;")
    report = load_system("quickstart", OWN).run(posts("Messi scored"), out=tmp_path, until="tag")
    assert report.notes == (note,)


@pytest.mark.parametrize("overrides", [[], ["labels=[ORG, PER]"], [OWN, "tag=gliner"]])
def test_types_that_it_knows_or_is_told_need_no_note(overrides: list[str]) -> None:
    config = load_config("quickstart", overrides)
    assert list(label_notes(config, config.steps)) == []
