"""A job is a value: it is pickled, opened in another process, and gives the same bytes there."""

import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from helpers.fault_server import fault_server

from riveg.config.reader import load_config
from riveg.config.system import ExecutorName, SystemConfig, shipped_systems
from riveg.datasets.opening import open_dataset
from riveg.executors.executor import EXECUTORS
from riveg.runs.folder import RunFolder
from riveg.runs.progress import Silence
from riveg.runs.run import Run
from riveg.runs.stage_job import StageJob
from riveg.runs.system import System

WORK = """
import pickle, sys
job = pickle.loads(sys.stdin.buffer.read())
with job.open() as work:
    report = work(0)
print(report.samples, report.made, report.issues)
"""


def jobs_of(config: SystemConfig, folder: Path) -> list[StageJob]:
    run = Run(
        config,
        open_dataset("quickstart"),
        RunFolder(folder),
        steps=config.steps,
        retry_failed=False,
        progress=Silence(),
        chats={},
        gold={},
    )
    return [run.job(position) for position in range(1, len(config.steps) + 1)]


def done_elsewhere(job: StageJob) -> str:
    """Part 0 of a job, done by a Python that knows nothing but the pickled job."""
    done = subprocess.run(
        [sys.executable, "-c", WORK], input=pickle.dumps(job), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


@pytest.mark.parametrize("name", shipped_systems())
def test_the_jobs_of_every_shipped_system_can_be_pickled(name: str, tmp_path: Path) -> None:
    config = load_config(name)
    for position, step in enumerate(config.steps, start=1):
        job = StageJob(
            step=step,
            position=position,
            before=None,
            run_folder=tmp_path,
            fingerprint="of the answers",
            base=config.base,
            image_roots=(tmp_path,),
            llm=config.llm,
            labels=config.labels,
            gold={},
            batch_size=4,
            gated=config.is_gated,
            retry_failed=False,
        )
        again = pickle.loads(pickle.dumps(job))
        assert again == job
        assert again.step.stage is step.stage


@pytest.mark.slow
def test_a_job_gives_the_same_bytes_in_a_fresh_process(tmp_path: Path) -> None:
    config = load_config("quickstart")
    whole, other = tmp_path / "whole", tmp_path / "other"
    System(config).run("quickstart", out=whole, limit=4)
    other.mkdir()
    shutil.copytree(whole / "0-input", other / "0-input")
    for job in jobs_of(config, other):
        assert done_elsewhere(job).startswith("4 4 ")
        part = job.folder.part_path(0).relative_to(other)
        assert (other / part).read_bytes() == (whole / part).read_bytes(), part
        assert done_elsewhere(job).startswith("4 0 ")


@pytest.mark.slow
@pytest.mark.server
def test_a_job_that_asks_a_language_model_opens_it_by_itself(tmp_path: Path) -> None:
    with fault_server(tmp_path / "counts") as server:
        file = tmp_path / "system.yaml"
        file.write_text(
            "llm:\n  main:\n    model: tiny/model\n"
            f"    base_urls: ['{server.url}']\n"
            "tag: {backend: mini}\nrewrite: {backend: chat, llm: main}\n"
        )
        config = load_config(file)
        whole, other = tmp_path / "whole", tmp_path / "other"
        with System(config) as system:
            system.run("quickstart", out=whole, limit=2)
        other.mkdir()
        shutil.copytree(whole / "0-input", other / "0-input")
        for job in jobs_of(config, other):
            done_elsewhere(job)
            part = job.folder.part_path(0).relative_to(other)
            assert (other / part).read_bytes() == (whole / part).read_bytes(), part
    assert (other / "answers.sqlite").is_file()


def test_the_executors_are_those_that_a_system_may_name() -> None:
    assert {*EXECUTORS} == {*get_args(ExecutorName)}


def test_an_unknown_executor_is_told(tmp_path: Path) -> None:
    from riveg.config.yaml_file import InvalidConfig

    with pytest.raises(InvalidConfig, match="did you mean local"):
        load_config("quickstart", ["executor=locl"])
