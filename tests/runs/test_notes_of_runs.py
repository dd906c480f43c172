"""What a run says of samples and types that its tagger was not made for."""

import json
from pathlib import Path

import pytest

from riveg import load_system
from riveg.config.own_labels import label_notes
from riveg.config.reader import load_config
from riveg.config.system import SystemConfig
from riveg.files import asset
from riveg.runs.sources import Samples, make_sample
from riveg.runs.trained_with import training_notes

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


TAGS = ["O", "B-VESSEL", "I-VESSEL"]


def trained_with(folder: Path, made_by: list[str]) -> SystemConfig:
    """A system whose tagger has learnt knowledge that was made so; its augment repeats a file."""
    (folder / "tagger").mkdir()
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        (folder / "tagger" / name).touch()
    settings = {"design": {"tags": TAGS}, "max_pieces": 8, "knowledge": "appended"}
    (folder / "tagger" / "tagger.json").write_text(
        json.dumps({**settings, "knowledge_made_by": made_by})
    )
    (folder / "known.jsonl").write_text('{"id": "0", "knowledge": "a footballer"}\n')
    (folder / "system.yaml").write_text(
        "name: pgim\naugment: {backend: recorded, file: known.jsonl}\n"
        "tag: {backend: crf, model: tagger, knowledge: appended}\n"
    )
    return load_config(folder / "system.yaml")


@pytest.mark.parametrize(
    ("made_by", "told"),
    [
        (["0123456789abcdef0", "ours"], None),
        (
            ["0123456789abcdef0"],
            "what augment 0123456789abcdef has answered, and here it is ours: ",
        ),
        (["0123456789abcdef0", "unknown"], "that do not say how they were made; whether this"),
        ([], "that do not say how they were made; whether this run's are of the same kind is not"),
    ],
)
def test_knowledge_that_was_made_otherwise_than_what_was_learnt_is_told(
    made_by: list[str], told: str | None, tmp_path: Path
) -> None:
    config = trained_with(tmp_path, made_by)
    notes = list(training_notes(config.steps, config.base, lambda _: "ours"))
    assert [told in note for note in notes if told] == [True] * (told is not None)
    assert len(notes) == (told is not None)
    assert not list(training_notes(config.steps[1:], config.base, lambda _: "ours"))


def test_knowledge_from_a_run_counts_as_that_run_made_it(tmp_path: Path) -> None:
    trained_with(tmp_path, ["theirs"])
    (tmp_path / "manifest.json").write_text(
        json.dumps(
            {
                "schema": 1,
                "samples": 1,
                "finished": 1.0,
                "stages": {"augment": {"backend": "chat", "fingerprint": "theirs"}},
            }
        )
    )
    (tmp_path / "known.jsonl").rename(tmp_path / "records.jsonl")
    system = tmp_path / "system.yaml"
    system.write_text(system.read_text().replace("known.jsonl", "records.jsonl"))
    again = load_config(system)
    assert not list(training_notes(again.steps, again.base, lambda _: "ours"))


def test_types_that_a_tagger_of_your_own_does_not_know_are_told(tmp_path: Path) -> None:
    trained_with(tmp_path, [])
    config = load_config(tmp_path / "system.yaml", ["labels=[VESSEL, PORT]"])
    (note,) = label_notes(config, config.steps)
    assert note.startswith("tag: crf knows VESSEL only, not PORT of labels;")
