"""The training loop: it learns, goes on after a kill as if nothing had been, tells its faults."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers.places import ROOT
from helpers.training import Heard

pytest.importorskip("accelerate", reason='needs the extra: pip install "riveg[train]"')

import torch
from helpers.tiny_training import SETTINGS, Halves
from torch import Tensor, nn

from riveg.errors import UserError
from riveg.training.batches import BatchesByLength
from riveg.training.checkpoints import has_checkpoint, seconds_below
from riveg.training.loop import train
from riveg.training.loop_settings import LoopSettings
from riveg.training.weights import load_weights, save_weights

SCRIPT = ROOT / "tests" / "helpers" / "tiny_training.py"


def test_it_learns_and_keeps_the_best_epoch(tmp_path: Path) -> None:
    heard = Heard()
    found = train(Halves(), SETTINGS, tmp_path, progress=heard)
    assert found.figures["accuracy"] > 0.9
    network = Halves().network().eval()
    found.load_into(network)
    with torch.inference_mode():
        assert Halves().evaluate(network) == found.figures
    said = [line for line in heard.notes if line.endswith("(best so far)")]
    assert f"epoch {found.epoch}/4" in said[-1]
    assert "loss" in (tmp_path / "training.log").read_text()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_and_another_other_ones(tmp_path: Path) -> None:
    other = SETTINGS.model_copy(update={"seed": 2})
    weights = [
        train(Halves(), settings, tmp_path / str(number), progress=Heard()).weights.read_bytes()
        for number, settings in enumerate((SETTINGS, SETTINGS, other))
    ]
    assert weights[0] == weights[1] != weights[2]


def test_more_workers_than_cores_change_nothing_and_warn_of_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIVEG_CORES", "1")
    weights = [
        train(
            Halves(),
            SETTINGS.model_copy(update={"epochs": 1, "workers": workers}),
            tmp_path / str(workers),
            progress=Heard(),
        ).weights.read_bytes()
        for workers in (0, 1000)
    ]
    assert weights[0] == weights[1]


@pytest.mark.slow
def test_a_training_that_is_killed_ends_with_the_same_weights(tmp_path: Path) -> None:
    """SIGKILL at random moments, again and again, until one comes to its end."""
    whole = train(Halves(), SETTINGS, tmp_path / "whole", progress=Heard()).weights
    chance = random.Random(0)
    broken = tmp_path / "broken"
    kills = 0
    command = [sys.executable, str(SCRIPT), str(broken), "--in-children"]
    with subprocess.Popen(command, env=_environment(), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for number, line in enumerate(process.stdout):
            if number < 3:
                _wait_for_work(broken, process)
                time.sleep(chance.random() * 0.05)
                with contextlib.suppress(ProcessLookupError):  # it has come to its end
                    os.kill(int(line), signal.SIGKILL)
                    kills += 1
    assert process.returncode == 0
    assert kills
    for name in ("best.safetensors", "checkpoint-40/model.safetensors"):
        assert (whole.parent / name).read_bytes() == (broken / name).read_bytes()


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def _wait_for_work(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Until a checkpoint is there that was not before."""
    before = {path.name for path in folder.glob("checkpoint-*")}
    while process.poll() is None:
        if {path.name for path in folder.glob("checkpoint-*")} - before:
            return
        time.sleep(0.02)


@pytest.mark.slow
def test_a_checkpoint_that_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    whole = train(Halves(), SETTINGS, tmp_path / "a", progress=Heard()).weights.read_bytes()
    _stop_in_epoch(tmp_path / "b", 3)
    assert has_checkpoint(tmp_path / "b")
    cut = tmp_path / "b" / "checkpoint-1000"
    cut.mkdir()
    (cut / "model.safetensors").write_bytes(b"half of it")
    heard = Heard()
    again = train(Halves(), SETTINGS, tmp_path / "b", progress=heard)
    assert again.weights.read_bytes() == whole
    assert heard.notes[0].startswith("goes on after step ")
    assert not cut.exists()


@pytest.mark.parametrize(
    "name",
    [
        *("model.safetensors", "averaged.safetensors", "optimizer.pt", "scheduler.pt"),
        *("rng_state.pth", "trainer_state.json", "whole"),
    ],
)
def test_a_damaged_checkpoint_is_one_line_and_the_one_before_it_is_gone_on_with(
    tmp_path: Path, name: str
) -> None:
    _stop_in_epoch(tmp_path, 3)
    (tmp_path / "checkpoint-of-mine").mkdir()
    numbers = (path.name.removeprefix("checkpoint-") for path in tmp_path.glob("checkpoint-[0-9]*"))
    last = tmp_path / f"checkpoint-{max(map(int, numbers))}"
    (last / name).write_bytes(b"{damaged")
    with pytest.raises(UserError, match=r"cannot be gone on with \(.*\); remove that") as told:
        train(Halves(), SETTINGS, tmp_path, progress=Heard())
    assert str(told.value).startswith(f"{last}: ")
    assert "weights_only" not in str(told.value)
    assert "\n" not in str(told.value)
    shutil.rmtree(last)
    heard = Heard()
    train(Halves(), SETTINGS, tmp_path, progress=heard)
    assert heard.notes[0].startswith("goes on after step ")


def test_a_damaged_result_is_one_line_and_is_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    weights = train(Halves(), SETTINGS, folder, progress=Heard()).weights
    whole = weights.read_bytes()
    for damaged in (b"", b"{damaged", whole[:-4]):
        weights.write_bytes(damaged)
        with pytest.raises(UserError, match=r"cannot be read \(.*\); remove .*a, then go") as told:
            train(Halves(), SETTINGS, folder, progress=Heard())
        assert "\n" not in str(told.value)
    shutil.rmtree(folder)
    assert train(Halves(), SETTINGS, folder, progress=Heard()).weights.read_bytes() == whole


@pytest.mark.parametrize("damaged", [b"", b"words", b"nan", b"inf", b"-1", b"\xff"])
def test_a_damaged_mark_of_the_end_is_one_line_and_costs_no_training(
    tmp_path: Path, damaged: bytes
) -> None:
    weights = train(Halves(), SETTINGS, tmp_path, progress=Heard()).weights
    whole = weights.read_bytes()
    mark = tmp_path / "finished"
    mark.write_bytes(damaged)
    with pytest.raises(UserError, match=r"finished: holds no seconds; remove it, then go") as told:
        train(Halves(), SETTINGS, tmp_path, progress=Heard())
    assert "\n" not in str(told.value)
    assert seconds_below(tmp_path) >= 0
    mark.unlink()
    heard = Heard()
    assert train(Halves(), SETTINGS, tmp_path, progress=heard).weights.read_bytes() == whole
    assert heard.notes[0].startswith("goes on after step ")


class _Interrupted(Halves):
    def __init__(self, epoch: int) -> None:
        super().__init__()
        self._left = epoch

    def evaluate(self, network: nn.Module, /) -> dict[str, float]:
        self._left -= 1
        if not self._left:
            raise KeyboardInterrupt
        return super().evaluate(network)


def _stop_in_epoch(folder: Path, epoch: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(_Interrupted(epoch), SETTINGS, folder, progress=Heard())


@pytest.mark.slow
@pytest.mark.parametrize("size", [300, 3000])
def test_a_full_disk_is_one_line_whichever_library_notices_it(tmp_path: Path, size: int) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        with pytest.raises(
            UserError, match=r"make room, then give the same command again$"
        ) as told:
            train(Halves(), SETTINGS, tmp_path / "a", progress=Heard())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(told.value).startswith(f"{tmp_path / 'a'}/")
    again = train(Halves(), SETTINGS, tmp_path / "a", progress=Heard()).weights
    whole = train(Halves(), SETTINGS, tmp_path / "b", progress=Heard()).weights
    assert again.read_bytes() == whole.read_bytes()


@pytest.mark.slow
def test_a_finished_training_only_gives_its_weights_again(tmp_path: Path) -> None:
    first = train(Halves(), SETTINGS, tmp_path, progress=Heard())
    heard = Heard()
    assert train(Halves(), SETTINGS, tmp_path, progress=heard) == first
    assert heard.notes == []


@pytest.mark.slow
def test_it_stops_when_nothing_becomes_better(tmp_path: Path) -> None:
    class Same(Halves):
        def evaluate(self, network: nn.Module, /) -> dict[str, float]:
            return {"accuracy": 0.5}

    heard = Heard()
    settings = SETTINGS.model_copy(update={"epochs": 9, "patience": 2})
    assert train(Same(), settings, tmp_path, progress=heard).epoch == 1
    assert heard.notes[-1].startswith("epoch 3/9")


def test_rates_go_by_the_longest_beginning_of_a_name(tmp_path: Path) -> None:
    frozen = SETTINGS.model_copy(
        update={"learning_rate": 1e-30, "learning_rates": {"3": 1e-30, "3.bias": 0.1}, "epochs": 1}
    )
    torch.manual_seed(SETTINGS.seed)
    found = train(Halves(), frozen, tmp_path, progress=Heard())
    after = Halves().network()
    found.load_into(after)
    torch.manual_seed(SETTINGS.seed)
    before = dict(Halves().network().named_parameters())
    moved = {
        name
        for name, parameter in after.named_parameters()
        if not torch.allclose(parameter, before[name], atol=1e-4)
    }
    assert moved == {"3.bias"}


def test_what_is_frozen_is_not_saved(tmp_path: Path) -> None:
    network = Halves().network()
    network[0].requires_grad_(False)  # type: ignore[index]
    save_weights(network, tmp_path / "a.safetensors")
    other = nn.Sequential(nn.Linear(9, 9), nn.Dropout(0.2), nn.ReLU(), nn.Linear(16, 2))
    other[0].requires_grad_(False)
    load_weights(other, tmp_path / "a.safetensors")
    with pytest.raises(UserError, match="weights of another network"):
        load_weights(nn.Linear(6, 16), tmp_path / "a.safetensors")


class _Broken(Halves):
    def loss(self, network: nn.Module, batch: Mapping[str, Tensor], /) -> Tensor:
        return super().loss(network, batch) * float("nan")


def test_a_loss_that_is_no_number_stops_the_training(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"step 10: the loss is not a finite number; a lower"):
        train(_Broken(), SETTINGS, tmp_path, progress=Heard())


class _SoonBroken(_Broken):
    def rows(self) -> Sequence[int]:
        return range(16)


def test_weights_that_are_no_numbers_are_not_kept(tmp_path: Path) -> None:
    """The loss is looked at every ten steps, and a short training has fewer."""
    with pytest.raises(UserError, match=r"epoch 1: a weight is not a finite number; a lower"):
        train(_SoonBroken(), SETTINGS, tmp_path, progress=Heard())
    assert not (tmp_path / "best.safetensors").exists()


class _Counted(Heard):
    def __init__(self) -> None:
        super().__init__()
        self.epochs: list[tuple[int | None, int]] = []

    def begin(self, _: str, total: int | None, /) -> None:
        self.epochs.append((total, 0))

    def advance(self, samples: int, _: int, /) -> None:
        total, made = self.epochs.pop()
        self.epochs.append((total, made + samples))


def test_progress_counts_the_rows_that_there_are(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"epochs": 2, "batch_size": 7})
    counted = _Counted()
    train(Halves(), settings, tmp_path, progress=counted)
    assert counted.epochs == [(160, 160), (160, 160)]


def test_an_average_that_never_leaves_its_start_is_told(tmp_path: Path) -> None:
    heard = Heard()
    train(Halves(), SETTINGS.model_copy(update={"average_decay": 0.998}), tmp_path, progress=heard)
    (note,) = [line for line in heard.notes if "average_decay" in line]
    assert "0.998 is slow for 40 steps" in note
    assert "still 92% those of the untrained network; 0.927 or 0 fits" in note


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("tensorboardX") is None and find_spec("tensorboard") is None,
    reason="needs tensorboardX or tensorboard, which no extra of riveg's users brings",
)
def test_curves_go_to_tensorboard(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"trackers": ("tensorboard",)})
    train(Halves(), settings, tmp_path, progress=Heard())
    (events,) = tmp_path.rglob("events.out.tfevents*")
    for curve in (b"train/loss", b"train/learning_rate", b"eval/accuracy"):
        assert curve in events.read_bytes()


def test_nothing_to_train_on_is_said(tmp_path: Path) -> None:
    class Empty(Halves):
        def rows(self) -> Sequence[int]:
            return ()

    with pytest.raises(UserError, match="nothing to train on"):
        train(Empty(), SETTINGS, tmp_path, progress=Heard())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"device": "cuda"}, "torch sees no GPU here"),
        ({"precision": "fp16"}, "fp16 needs a GPU"),
        ({"trackers": ("wandb",)}, "wandb is not installed: pip install wandb"),
    ],
)
def test_what_is_not_there_is_one_line(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UserError, match=message):
        train(Halves(), SETTINGS.model_copy(update=change), tmp_path, progress=Heard())


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(ValueError, match="'tpu' is not auto, cpu or cuda"):
        LoopSettings(device="tpu")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_batch_that_cannot_be_made_is_one_line(workers: int, tmp_path: Path) -> None:
    class Gone(Halves):
        def batch(self, rows: Sequence[int], chance: random.Random, /) -> dict[str, Tensor]:
            raise UserError("1.png: no such file")

    settings = SETTINGS.model_copy(update={"workers": workers})
    with pytest.raises(UserError) as raised:
        train(Gone(), settings, tmp_path, progress=Heard())
    assert str(raised.value) == "1.png: no such file"


@pytest.mark.slow
def test_bf16_trains_on_the_cpu(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"precision": "bf16"})
    assert train(Halves(), settings, tmp_path, progress=Heard()).figures["accuracy"] > 0.9


@pytest.mark.slow
def test_two_processes_train_together(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    found = subprocess.run(
        [*command, "--master-port", "29611", str(SCRIPT), str(tmp_path)],
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert found.returncode == 0, found.stderr[-3000:]
    assert (tmp_path / "checkpoint-20" / "rng_state_1.pth").exists()
    log = (tmp_path / "training.log").read_text()
    assert log.count(" dev accuracy ") == SETTINGS.epochs, "only one process writes"


def test_batches_hold_every_row_once_and_rows_of_like_length() -> None:
    lengths = [number % 50 for number in range(1003)]
    batches = BatchesByLength(lengths, 16, seed=3)
    first = [[pick.index for pick in batch] for batch in batches]
    assert sorted(index for batch in first for index in batch) == list(range(1003))
    assert len(first) == len(batches)
    spread = [max(lengths[i] for i in batch) - min(lengths[i] for i in batch) for batch in first]
    assert sum(spread) / len(spread) < 5
    batches.epoch = 1
    assert [[pick.index for pick in batch] for batch in batches] != first
