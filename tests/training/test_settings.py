"""Training configurations: a mistake is told with its place."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field

from riveg.config.yaml_file import InvalidConfig
from riveg.errors import UserError
from riveg.training.settings import read_settings


class Small(BaseModel):
    model_config = ConfigDict(extra="forbid")

    data: str
    rounds: int = Field(default=1, ge=1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text("data: quickstart\nrounds: 2\n")
    return path


def test_overrides_are_read_as_yaml(file: Path) -> None:
    assert read_settings(file, Small, ["rounds=3"]) == Small(data="quickstart", rounds=3)


@pytest.mark.parametrize("text", ["2020-13-45", "[", "[" * 5000 + "]" * 5000, "&a [*a]", "@x"])
def test_an_override_that_is_no_yaml_is_text(file: Path, text: str) -> None:
    assert read_settings(file, Small, [f"data={text}"]).data == text


def test_a_problem_of_an_override_is_not_the_files(file: Path) -> None:
    with pytest.raises(InvalidConfig) as caught:
        read_settings(file, Small, ["rounds=0"])
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.key) == ("--set rounds", None, "rounds")


@pytest.mark.parametrize("text", ["data: 2020-13-45\n", "data: &a [*a]\n", "data: " + "[" * 5000])
def test_what_is_no_yaml_is_refused(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(UserError, match="not YAML"):
        read_settings(file, Small)


PRESETS = """
data: quickstart
loop: {epochs: 2, seed: 5}
presets:
  paper: {data: gmner, loop: {epochs: 25}}
"""


class Nested(BaseModel):
    data: str
    loop: dict[str, int]
    preset: str | None = None


def test_a_preset_lies_over_the_file_and_below_what_is_set(file: Path) -> None:
    file.write_text(PRESETS)
    assert read_settings(file, Nested).loop == {"epochs": 2, "seed": 5}
    settings = read_settings(file, Nested, ["loop.epochs=3", "preset=paper"])
    assert settings == Nested(data="gmner", loop={"epochs": 3, "seed": 5}, preset="paper")


def test_a_preset_that_is_not_there_is_told(file: Path) -> None:
    file.write_text(PRESETS)
    with pytest.raises(InvalidConfig) as caught:
        read_settings(file, Nested, ["preset=released"])
    message = "--set preset: preset: found released; a block of `presets`: paper"
    assert str(caught.value) == message


@pytest.mark.parametrize("presets", ["3", "[released]", "released"])
def test_presets_that_are_no_blocks_are_told(file: Path, presets: str) -> None:
    file.write_text(f"data: quickstart\nloop: {{}}\npresets: {presets}\n")
    with pytest.raises(InvalidConfig, match="a block of `presets`: there is none"):
        read_settings(file, Nested, ["preset=released"])
