"""``riveg train``: work folders, going on, what the card tells, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

import pytest
from helpers.training import Heard, trained

pytest.importorskip("accelerate", reason='needs the extra: pip install "riveg[train]"')

from helpers.tiny_training import SETTINGS, Halves
from torch import nn
from typer.testing import CliRunner

from riveg.cli import app
from riveg.errors import UserError
from riveg.training.config import Course, TrainingConfig
from riveg.training.loop import train
from riveg.training.loop_settings import LoopSettings
from riveg.training.trainees import TRAINEES, trainee_config
from riveg.training.work_lock import alone_in

POSTS = "IMGID:1\nAnn\tB-PER\n\n"


class Small(TrainingConfig):
    """Trains the halves; ``epoch`` is the one in which it is interrupted, if any."""

    name: ClassVar[str] = "halves"
    summary: ClassVar[str] = "which half"
    stops: ClassVar[int] = 0

    seed: int = 1
    loop: LoopSettings = SETTINGS
    expressions: tuple[Path, ...] = ()
    others: tuple[tuple[str, str], ...] = ()

    def other_data(self) -> tuple[tuple[str, str], ...]:
        return self.others

    def train(self, course: Course) -> str:
        settings = self.loop.model_copy(update={"seed": self.seed})
        found = train(
            _Stopping(self.stops), settings, course.work / "loop", progress=course.progress
        )
        (course.out / "best.safetensors").write_bytes(found.weights.read_bytes())
        return "# Halves\n"


class _Stopping(Halves):
    def __init__(self, stops: int) -> None:
        super().__init__()
        self._left = stops

    def evaluate(self, network: nn.Module, /) -> dict[str, float]:
        self._left -= 1
        if not self._left:
            raise KeyboardInterrupt
        return super().evaluate(network)


@pytest.fixture
def config(tmp_path: Path) -> Small:
    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.txt").write_text(POSTS)
    (tmp_path / "set.yaml").write_text(
        "name: posts\nversion: 3\nformat: twitter-mner\n"
        "text: {train: train.txt, dev: dev.txt, test: test.txt}\n"
    )
    return Small(data=str(tmp_path / "set.yaml"), out=tmp_path / "out")


def interrupt(config: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Small, "stops", 3)
        with pytest.raises(KeyboardInterrupt):
            trained(config)


def test_the_card_tells_data_command_and_versions(config: Small, tmp_path: Path) -> None:
    folder = trained(config)
    card = (folder / "CARD.md").read_text()
    assert card.startswith("# Halves\n\n## How it was made\n")
    assert "- Command: `riveg train halves`" in card
    assert "- Learnt from posts 3, train: 1 posts, sha256 " in card
    assert "- Chosen on posts 3, dev: 1 posts, sha256 " in card
    assert "test" not in card
    assert re.search(
        r"^- Time: 0:00:\d\d on .*; \d+\.\d GiB of memory at most$", card, re.MULTILINE
    )
    assert "- riveg " in card
    assert "torch 2" in card
    assert sorted(path.name for path in folder.iterdir()) == ["CARD.md", "best.safetensors"]
    work = tmp_path / "out.training"
    assert not list(work.rglob("checkpoint-*")), "they are removed at the end"
    assert (work / "loop" / "training.log").exists()


@pytest.mark.slow
def test_a_test_split_is_marked_in_the_card(config: Small) -> None:
    folder = trained(config.model_copy(update={"dev_split": "test"}))
    assert "**It has seen the test split of posts**" in (folder / "CARD.md").read_text()


@pytest.mark.slow
def test_a_test_split_of_other_data_is_marked_in_the_card(config: Small) -> None:
    folder = trained(config.model_copy(update={"others": ((config.data, "test"),)}))
    assert "**It has seen the test split of posts**" in (folder / "CARD.md").read_text()


@pytest.mark.slow
def test_an_interrupted_training_goes_on_only_when_asked_to(
    config: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(config.model_copy(update={"out": tmp_path / "whole"}))
    interrupt(config, monkeypatch)
    assert not config.out.exists(), "nothing of an unfinished model"
    with pytest.raises(UserError, match=r"was interrupted: --resume goes on with it"):
        trained(config)
    with pytest.raises(UserError, match=r"was begun with another seed; give the same settings"):
        trained(config.model_copy(update={"seed": 2}), resume=True)
    longer = config.loop.model_copy(update={"epochs": config.loop.epochs + 1})
    with pytest.raises(UserError, match=r"was begun with another loop\.epochs; give the same"):
        trained(config.model_copy(update={"loop": longer}), resume=True)
    posts = tmp_path / "train.txt"
    posts.write_text(POSTS.replace("Ann", "Bob"))
    with pytest.raises(UserError, match=r"--resume: posts train changed since .* was begun"):
        trained(config, resume=True)
    posts.write_text(POSTS)
    for mark in tmp_path.rglob("checkpoint-*/whole"):
        mark.write_text("3600.0\n")
    heard = Heard()
    more = config.loop.model_copy(update={"workers": 1})
    again = trained(config.model_copy(update={"loop": more}), heard, resume=True)
    assert heard.notes[0].startswith("goes on after step ")
    assert (again / "best.safetensors").read_bytes() == (whole / "best.safetensors").read_bytes()
    card = (again / "CARD.md").read_text()
    assert re.search(r"^- Time: 1:00:\d\d .* at most since it was interrupted$", card, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["records.jsonl", "model.safetensors"])
def test_a_training_does_not_go_on_with_other_runs_or_models_than_it_was_begun_with(
    name: str, config: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    records = tmp_path / "run" / name
    records.write_text("first")
    config = config.model_copy(update={"expressions": (tmp_path / "run",)})
    interrupt(config, monkeypatch)
    records.write_text("other")
    with pytest.raises(UserError, match=r"--resume: \S+/run changed since .* was begun"):
        trained(config, resume=True)
    records.write_text("first")
    trained(config, resume=True)


@pytest.mark.slow
def test_a_training_does_not_go_on_with_other_data_than_it_was_begun_with(
    config: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config.model_copy(update={"others": ((config.data, "test"),)})
    interrupt(config, monkeypatch)
    (tmp_path / "test.txt").write_text(POSTS.replace("Ann", "Bob"))
    with pytest.raises(UserError, match=r"--resume: posts test changed since .* was begun"):
        trained(config, resume=True)


def test_a_folder_in_which_another_training_is_at_work_is_left_alone(config: Small) -> None:
    work = config.out.with_name("out.training")
    with alone_in(work):
        (work / "settings.json").write_text("{}")
        for resume in (False, True):
            with pytest.raises(UserError, match=r"out\.training: another training is at work in"):
                trained(config, resume=resume)
    assert [path.name for path in work.iterdir()] == ["settings.json"]


@pytest.mark.parametrize(
    ("out", "work", "message"),
    [
        (".", None, "out: . has no name for a folder beside it"),
        ("model", "model", "work: model and out: model lie in each other"),
        ("work/model", "work", "work: work and out: work/model lie in each other"),
        ("model", "model/../model/work", "lie in each other"),
    ],
)
def test_model_and_checkpoints_lie_apart(
    out: str,
    work: str | None,
    message: str,
    config: Small,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    places = {"out": Path(out), "work": work and Path(work)}
    with pytest.raises(UserError, match=message):
        trained(config.model_copy(update=places))
    assert not list(Path().iterdir())


def test_a_process_that_lends_a_hand_leaves_the_folder_to_the_first(
    config: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Reading(Small):
        def train(self, course: Course) -> str:
            assert not list(course.out.iterdir())
            assert not course.work.exists(), "the first process has not looked at it yet"
            return ""

    monkeypatch.setenv("RANK", "1")
    trained(Reading(**config.model_dump()))


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_a_damaged_work_folder_is_told(config: Small, tmp_path: Path, text: str) -> None:
    (tmp_path / "out.training").mkdir()
    (tmp_path / "out.training" / "settings.json").write_text(text)
    with pytest.raises(UserError, match=r"settings\.json: is .*; remove .* and begin anew"):
        trained(config, resume=True)


@pytest.mark.slow
def test_a_finished_training_is_begun_anew(config: Small) -> None:
    trained(config)
    heard = Heard()
    trained(config, heard)
    assert heard.notes[0].startswith("epoch 1/4")


def test_a_folder_of_other_things_is_left_alone(config: Small, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    with pytest.raises(UserError, match="holds other things than a training"):
        trained(config.model_copy(update={"work": tmp_path / "notes"}))
    assert (tmp_path / "notes" / "a.txt").read_text() == "mine"


def test_a_file_in_the_place_of_the_model_is_told_before_the_training(
    config: Small, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UserError, match=r"out: .*out is a file; name a folder"):
        trained(config)
    assert (tmp_path / "out").read_text() == "mine"
    assert not (tmp_path / "out.training").exists()


def test_a_training_that_failed_at_once_leaves_nothing(config: Small, tmp_path: Path) -> None:
    broken = config.model_copy(update={"out": tmp_path / "new", "data": "none"})

    class Reading(Small):
        def train(self, course: Course) -> str:
            return course.train.name

    with pytest.raises(UserError, match="none"):
        trained(Reading(**broken.model_dump()))
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "new.training").exists()


@pytest.mark.parametrize("name", TRAINEES)
def test_every_trainee_says_what_it_is(name: str) -> None:
    config = trainee_config(name)
    assert config.name == name
    assert config.summary


def test_the_command_names_what_there_is(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["show", "trainees"])
    assert set(TRAINEES) <= set(shown.stdout.split())
    with pytest.raises(UserError, match="nothing to train is called 'taggre'; did you mean tagger"):
        trainee_config("taggre")
