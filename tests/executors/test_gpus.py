"""One machine with several GPUs: a process for each, told by what the processes themselves see."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from helpers.gpu_jobs import GpuJob

from riveg.config.threads import ThreadCount
from riveg.errors import UserError
from riveg.executors.executor import Executor, Worker, open_executor
from riveg.executors.gpus import visible_gpus
from riveg.runs.progress import Silence
from riveg.runs.system import load_system


def executor(gpus: ThreadCount, workers: ThreadCount = "auto") -> Executor[GpuJob]:
    progress = Silence()

    def open_here(job: GpuJob) -> AbstractContextManager[Worker]:
        return job.open(progress=progress)

    open_job: Callable[[GpuJob], AbstractContextManager[Worker]] = open_here
    return open_executor("local", open_job, workers=workers, gpus=gpus, progress=progress)


def run(executor: Executor[GpuJob], job: GpuJob, parts: Iterable[int]) -> dict[int, str]:
    job.folder.mkdir()
    try:
        assert sum(report.made for report in executor.run(job, parts)) == len([*parts])
    finally:
        executor.close()
    return job.processes()


@pytest.mark.parametrize(
    ("seen", "gpus"),
    [
        ("0,1,2", ("0", "1", "2")),
        (" 3 , GPU-8f ", ("3", "GPU-8f")),
        ("", ()),
        ("-1", ()),
        ("1,-1,2", ("1",)),
    ],
)
def test_gpus_are_those_that_cuda_would_show(
    seen: str, gpus: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", seen)
    assert visible_gpus() == gpus


def test_without_the_variable_nvidia_smi_tells_and_without_it_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus() == ()
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 0\necho 1\n")
    program.chmod(0o755)
    assert visible_gpus() == ("0", "1")
    program.write_text("#!/bin/sh\necho no driver\nexit 9\n")
    assert visible_gpus() == ()


@pytest.mark.parametrize(("wanted", "seen"), [("auto", {"4", "6", "7"}), (2, {"4", "6"})])
def test_each_gpu_has_a_process_that_sees_it_alone(
    wanted: ThreadCount, seen: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6,7")
    job = GpuJob(tmp_path / "parts", wait_for=len(seen))
    processes = run(executor(wanted), job, range(6))
    assert os.getpid() not in processes
    assert len(processes) == len(seen)
    assert {*processes.values()} == seen


@pytest.mark.parametrize(
    ("visible", "wanted", "device", "parts"),
    [
        ("4,6", 1, "auto", 4),  # as it is set unless somebody says otherwise
        ("4", "auto", "auto", 4),  # one GPU
        ("", "auto", "auto", 4),  # none
        ("4,6", "auto", "cpu", 4),
        ("4,6", "auto", "cuda:1", 4),  # a GPU that somebody has chosen
        ("4,6", "auto", None, 4),  # asks a server
        ("4,6", "auto", "auto", 1),
    ],
)
def test_all_else_stays_in_this_process(
    visible: str,
    wanted: ThreadCount,
    device: str | None,
    parts: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    job = GpuJob(tmp_path / "parts", device=device)
    assert run(executor(wanted), job, range(parts)) == {os.getpid(): visible}


def test_processes_of_one_stage_give_way_to_those_of_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    found = executor("auto", workers=2)
    computes = GpuJob(tmp_path / "computes", device=None, is_parallel=True, wait_for=2)
    looks = GpuJob(tmp_path / "looks", wait_for=2)
    for job in (computes, looks):
        job.folder.mkdir()
        assert len([*found.run(job, range(4))]) == 4
    found.close()
    assert [*computes.processes().values()] == ["", ""]
    assert {*looks.processes().values()} == {"0", "1"}


def test_more_gpus_than_there_are_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    (tmp_path / "parts").mkdir()
    with pytest.raises(UserError, match=r"run\.gpus: 4 are asked for and 2 are there"):
        [*executor(4).run(GpuJob(tmp_path / "parts"), range(8))]
    assert not [*(tmp_path / "parts").iterdir()]


def test_too_few_gpus_are_told_before_the_first_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    computes = GpuJob(tmp_path, device=None, is_parallel=True)
    executor(4).require([computes])
    with pytest.raises(UserError, match=r"run\.gpus: 4 are asked for and 2 are there"):
        executor(4).require([computes, GpuJob(tmp_path)])


def test_a_system_says_how_many() -> None:
    assert load_system("quickstart").config.run.gpus == 1
    assert load_system("quickstart", "run.gpus=auto").config.run.gpus == "auto"
    with pytest.raises(UserError, match="auto or a number, at least 1"):
        load_system("quickstart", "run.gpus=0")
