"""A run's folder is named as knowledge as it is; one that has not come to its end is refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.factories import make_sample
from helpers.run_folders import make_run

from riveg.datasets.knowledge import knowledge_of
from riveg.errors import UserError
from riveg.formats.knowledge_runs import knowledge_run
from riveg.types import Issue

AUGMENTED = {"augment": {"backend": "chat", "fingerprint": "0123456789abcdef99", "contents": {}}}
MODELS = {"main": {"model": "tiny/model", "licence": None}}

POSTS = [
    make_sample("Ann met Bob", id="1", knowledge="two people", entities=None),
    make_sample("Rome is far", id="2", entities=None),
    make_sample("Oslo is near", id="3", knowledge="a  city", entities=None),
]


def run_of(folder: Path, **manifest: Any) -> Path:
    failed = replace(POSTS[1], issues=(Issue("augment", None, "no-answer", "nothing came"),))
    values: dict[str, Any] = {"stages": AUGMENTED, "models": MODELS, **manifest}
    return make_run(folder / "made", [POSTS[0], failed, POSTS[2]], **values)


@pytest.mark.parametrize("name", ["", "records.jsonl"])
def test_knowledge_of_a_run_is_joined_and_what_failed_is_counted(name: str, tmp_path: Path) -> None:
    path = run_of(tmp_path) / name
    notes: list[str] = []
    assert knowledge_of(POSTS, [path], "tiny", notes.append) == {
        "1": ("two people",),
        "3": ("a city",),
    }
    assert notes == [
        f"{path}: knowledge about 2 of 3 posts by tiny/model (augment 0123456789abcdef); "
        "augment failed on 1: give its run again with --retry-failed"
    ]


def test_runs_of_two_models_give_two_pieces_of_knowledge(tmp_path: Path) -> None:
    first = run_of(tmp_path)
    told = [replace(post, knowledge=f"of {post.id}") for post in POSTS]
    second = make_run(tmp_path / "second", told[:2], stages=AUGMENTED, limit=2)
    notes: list[str] = []
    found = knowledge_of(POSTS, [first, second], "tiny", notes.append)
    assert found == {"1": ("two people", "of 1"), "2": ("of 2",), "3": ("a city",)}
    assert "with --limit 2" in notes[1]


def test_records_without_a_manifest_may_lack_knowledge(tmp_path: Path) -> None:
    path = run_of(tmp_path)
    (path / "manifest.json").unlink()
    assert set(knowledge_of(POSTS, [path], "tiny")) == {"1", "3"}


def cut_off(run: Path) -> None:
    (run / "records.jsonl").unlink()


def changed(run: Path) -> None:
    with (run / "records.jsonl").open("a", encoding="utf-8") as file:
        file.write("\n")


def untouched(run: Path) -> None:
    pass


@pytest.mark.parametrize("name", ["", "records.jsonl"])
@pytest.mark.parametrize(
    ("manifest", "damage", "message"),
    [
        ({"finished": None}, untouched, "its run has not come to its end"),
        ({"finished": None}, cut_off, "its run has not come to its end"),
        ({"records_digest": "0" * 32}, changed, "is not what the run of manifest.json has written"),
        ({"stages": {}}, untouched, "its run has no stage augment, which gives knowledge"),
    ],
)
def test_a_run_that_cannot_be_relied_on_is_refused(
    manifest: dict[str, Any],
    damage: Callable[[Path], None],
    message: str,
    name: str,
    tmp_path: Path,
) -> None:
    run = run_of(tmp_path, **manifest)
    damage(run)
    with pytest.raises(UserError, match=message) as raised:
        knowledge_of(POSTS, [run / name], "tiny")
    assert "\n" not in str(raised.value)


def test_a_run_that_failed_on_every_post_is_refused(tmp_path: Path) -> None:
    failed = replace(POSTS[1], issues=(Issue("augment", None, "no-answer", "nothing came"),))
    run = make_run(tmp_path / "run", [failed], stages=AUGMENTED)
    with pytest.raises(UserError, match="no knowledge about any post; augment failed on 1: give"):
        knowledge_of(POSTS, [run], "tiny")


def test_a_run_over_other_posts_is_refused(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    with pytest.raises(UserError, match=r"records\.jsonl:3: the id '3' is no post of tiny"):
        knowledge_of(POSTS[:2], [run], "tiny")
    other = [replace(POSTS[0], text="Ann sees Bob"), *POSTS[1:]]
    with pytest.raises(UserError, match=r"records\.jsonl:1: knowledge about 'Ann met Bob', but"):
        knowledge_of(other, [run], "tiny")


def test_recorded_knowledge_names_no_model(tmp_path: Path) -> None:
    stages = {"augment": {"backend": "recorded", "fingerprint": "f" * 32, "contents": {}}}
    run = knowledge_run(run_of(tmp_path, stages=stages))
    assert run is not None
    assert run.described() == "by an earlier run (augment ffffffffffffffff)"
    manifest = json.loads((run.folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["models"] == MODELS
