"""Systems: every problem at once, with its place."""

from pathlib import Path

import pytest

from riveg.config import InvalidConfig, Problem, load_config, shipped_systems
from riveg.errors import UserError


def write(folder: Path, text: str) -> Path:
    path = folder / "system.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(path: Path, *overrides: str) -> tuple[Problem, ...]:
    with pytest.raises(InvalidConfig) as caught:
        load_config(path, overrides)
    return caught.value.problems


def test_every_shipped_system_is_right() -> None:
    names = list(shipped_systems())
    assert "quickstart" in names
    for name in names:
        assert load_config(name).steps


def test_all_problems_are_told_at_once_with_file_line_key_and_advice(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "name: mine\ntga: {backend: mini}\ntag:\n  backend: mini\n  threats: 3\n"
        "segment: {backend: grabct}\nrun:\n  part_size: none\n",
    )
    found = {problem.key: problem for problem in problems(path)}
    assert set(found) == {"tga", "tag.threats", "segment.backend", "run.part_size"}
    assert found["tga"].line == 2
    assert "did you mean tag?" in found["tga"].allowed
    assert found["tag.threats"].line == 5
    assert "did you mean threads?" in found["tag.threats"].allowed
    assert found["segment.backend"].found == "grabct"
    assert "did you mean grabcut?" in found["segment.backend"].allowed
    assert str(found["segment.backend"]).startswith(f"{path}:6: segment.backend: found grabct; ")


@pytest.mark.parametrize(
    ("text", "key", "word"),
    [
        ("rewrite: template\n", "rewrite", "tag or extract"),  # entities from nowhere
        ("tag: mini\nground: {backend: evidence}\n", "ground", "observe"),
        ("name: x\n", "stages", "tag"),  # nothing to run
        ("tag: [mini]\n", "tag.backend", "name a backend"),
        ("tag: {threads: 2}\n", "tag.backend", "name a backend"),
        ("tag: mini\ntag: mini\n", "tag", "first in line 1"),  # YAML would keep the last, silently
        ("tag: mini\nrun: 3\n", "run", "keys and values"),
        ("tag: mini\nrun: {max_error_rate: 2}\n", "run.max_error_rate", "less than or equal to 1"),
    ],
)
def test_one_problem(tmp_path: Path, text: str, key: str, word: str) -> None:
    (problem,) = problems(write(tmp_path, text))
    assert problem.key == key
    assert word in problem.allowed


def test_none_leaves_a_stage_out(tmp_path: Path) -> None:
    path = write(tmp_path, "tag: mini\nrewrite: none\ncaption: {backend: none}\n")
    assert [step.stage.name for step in load_config(path).steps] == ["tag"]


def test_overrides_change_values_and_backends(tmp_path: Path) -> None:
    path = write(tmp_path, "tag: {backend: mini, threads: 4}\nentail: {backend: mini}\n")
    config = load_config(path, ["entail.threshold=0.25", "tag.backend=gold"])
    tag, entail = config.steps
    assert tag.config.name == "gold"  # and the old backend's `threads` is gone with it
    assert entail.config.model_dump()["threshold"] == 0.25


def test_overrides_keep_the_keys_of_another_override(tmp_path: Path) -> None:
    path = write(tmp_path, "tag: gold\n")
    config = load_config(path, ["tag.threads=1", "tag.backend=mini"])
    assert config.steps[0].config.model_dump()["threads"] == 1


@pytest.mark.parametrize("item", ["tag", "=3", "a.b.c=1", ".x=1"])
def test_an_override_that_is_none(tmp_path: Path, item: str) -> None:
    (problem,) = problems(write(tmp_path, "tag: mini\n"), item)
    assert problem.file == "--set"


def test_resolved_fills_in_every_default(tmp_path: Path) -> None:
    resolved = load_config(write(tmp_path, "tag: mini\n")).resolved()
    assert resolved["tag"] == {"backend": "mini", "model": None, "threads": 2}
    assert resolved["run"]["part_size"] == 64


@pytest.mark.parametrize(
    ("text", "word"),
    [("tag: [", "not YAML"), ("- a\n", "keys and values"), ("\x00", "not YAML")],
)
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str, word: str) -> None:
    with pytest.raises(UserError, match=word):
        load_config(write(tmp_path, text))


def test_an_unknown_system_gets_the_nearest_name() -> None:
    with pytest.raises(UserError, match="did you mean quickstart"):
        load_config("quickstrat")
    with pytest.raises(UserError, match=r"nowhere\.yaml: no such file"):
        load_config("nowhere.yaml")


def test_until_names_a_stage_of_the_system(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "tag: mini\nentail: always\n"))
    assert [step.stage.name for step in config.until("tag")] == ["tag"]
    with pytest.raises(UserError, match="did you mean entail"):
        config.until("ential")
