"""Numbers by name: where an artifact is looked up, and what is wrong with a file that is none."""

import json
from pathlib import Path
from typing import Any

import pytest

from riveg.config.calibrated import find_artifact, is_reference, read_artifact
from riveg.config.reader import load_config
from riveg.config.yaml_file import InvalidConfig, Problem
from riveg.errors import UserError
from riveg.files import file_digest
from riveg.runs.system import resolved_text

CONTENT = {
    "kind": "calibration",
    "schema": 1,
    "name": "mine",
    "values": {"entail.threshold": 0.43, "ground.threshold": 0.2},
    "backends": {"entail": "mini", "ground": "evidence"},
}


def write(folder: Path, name: str = "artifacts/mine.json", **changes: Any) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**CONTENT, **changes}))
    return path


def test_a_name_is_looked_up_in_the_artifacts_folder(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "mine").write_text("not looked at")
    artifact = find_artifact("@mine", [tmp_path / "nowhere", tmp_path])
    assert (artifact.path, artifact.name) == (path, "mine")
    assert artifact.digest == file_digest(path)
    assert artifact.value("entail.threshold", {"entail": "mini"}) == 0.43


@pytest.mark.parametrize("reference", ["@kept/mine.json", "@./kept/mine.json", "@other.json"])
def test_a_path_is_a_path(tmp_path: Path, reference: str) -> None:
    path = write(tmp_path, reference.removeprefix("@"))
    assert find_artifact(reference, [tmp_path]).path == path
    assert find_artifact(f"@{path}", [tmp_path / "nowhere"]).path == path


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("{", "is no artifact"),
        ("[" * 100_000, "is no artifact"),
        ("[]", "found None"),
        ('{"kind": "thesis"}', "found 'thesis'"),
        (json.dumps({**CONTENT, "schema": 2}), "expected schema 1, found 2"),
        (json.dumps({**CONTENT, "values": {"entail.threshold": "0.5"}}), "not numbers"),
        (json.dumps({**CONTENT, "values": {"entail.threshold": True}}), "not numbers"),
        (json.dumps({**CONTENT, "values": None}), "not numbers"),
        (json.dumps(CONTENT).replace("0.43", "NaN"), "not numbers"),
        (json.dumps({**CONTENT, "backends": []}), "not numbers"),
    ],
)
def test_a_file_that_is_no_calibration_is_one_line(tmp_path: Path, content: str, word: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(content)
    with pytest.raises(UserError, match=word) as caught:
        read_artifact(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_reference_starts_with_the_sign() -> None:
    assert is_reference("@mine")
    assert not is_reference("mine")
    assert not is_reference(0.5)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def threshold(system: str | Path, *overrides: str) -> float:
    config = load_config(system, overrides)
    (step,) = [step for step in config.steps if step.stage.name == "entail"]
    return float(step.config.model_dump()["threshold"])


def test_an_override_takes_the_number_of_an_artifact(here: Path) -> None:
    path = write(here)
    overrides = ["entail.threshold=@mine", "ground.threshold=@mine"]
    config = load_config("quickstart", overrides)
    assert threshold("quickstart", *overrides) == 0.43
    assert {item.key: (item.value, item.path) for item in config.artifacts} == {
        "entail.threshold": (0.43, str(path)),
        "ground.threshold": (0.2, str(path)),
    }
    text = resolved_text(config)
    assert "threshold: 0.43" in text
    assert file_digest(path) in text
    (here / "again.yaml").write_text(text)
    assert load_config("again.yaml").resolved() == config.resolved()


def test_a_whole_block_may_hold_one(here: Path) -> None:
    write(here)
    assert threshold("quickstart", "entail={backend: mini, threshold: '@mine'}") == 0.43


def test_a_file_takes_it_from_beside_itself_first(here: Path) -> None:
    write(here)
    write(here, "configs/artifacts/mine.json", values={"entail.threshold": 0.3})
    system = here / "configs" / "mine.yaml"
    system.write_text('tag: mini\nentail: {backend: mini, threshold: "@mine"}\n')
    assert threshold(system) == 0.3
    assert threshold(system, "entail.threshold=@mine") == 0.43
    (here / "configs" / "artifacts" / "mine.json").unlink()
    assert threshold(system) == 0.43


def problem(*overrides: str, system: str | Path = "quickstart") -> Problem:
    with pytest.raises(InvalidConfig) as caught:
        load_config(system, overrides)
    (found,) = caught.value.problems
    assert "\n" not in str(found)
    return found


@pytest.mark.parametrize(
    ("override", "word"),
    [
        ("entail.threshold=@gone", "no artifact artifacts/gone.json"),
        ("entail.threshold=@", "an artifact's name after the @"),
        ("entail.threshold=@mine.yaml", "no artifact"),
        ("observe.least_score=@mine", "has no observe.least_score"),
        ("entail.threshold=@thesis", "found 'thesis'"),
        ("entail.threshold=@high", "less than or equal to 1"),
    ],
)
def test_what_cannot_be_loaded_is_one_problem(here: Path, override: str, word: str) -> None:
    write(here)
    write(here, "artifacts/thesis.json", kind="thesis")
    write(here, "artifacts/high.json", values={"entail.threshold": 3})
    found = problem(override)
    assert word in str(found)
    assert found.file.startswith("--set ")


def test_a_problem_in_a_file_has_its_line(here: Path) -> None:
    system = here / "mine.yaml"
    system.write_text('tag: mini\nentail:\n  backend: mini\n  threshold: "@gone"\n')
    found = problem(system=system)
    assert (found.line, found.key, found.found) == (4, "entail.threshold", "@gone")


def test_an_artifact_of_another_backend_is_refused(here: Path) -> None:
    write(here, backends={"entail": "siglip"})
    assert "was found for entail: siglip, not for mini" in str(problem("entail.threshold=@mine"))


def test_a_sign_without_quotes_gets_a_hint(here: Path) -> None:
    system = here / "mine.yaml"
    system.write_text("tag: mini\nentail: {backend: mini, threshold: @mine}\n")
    with pytest.raises(UserError, match=r"mine\.yaml:2: .*in quotes"):
        load_config(system)


def test_texts_are_never_looked_up(here: Path) -> None:
    config = load_config("quickstart", ["description=@x", "rewrite.prompt=@x"])
    assert config.description == "@x"
    assert config.artifacts == ()
