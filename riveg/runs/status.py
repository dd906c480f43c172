"""How far a run is, from its folder alone: while it runs, after a crash, from another machine."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from riveg.errors import UserError
from riveg.formats.accounts import Account, read_accounts
from riveg.formats.manifest import part_count
from riveg.formats.run_records import is_finished
from riveg.llm.response_cache import Asked, ResponseCache
from riveg.runs.building import ANSWERS
from riveg.runs.folder import PartHeader, RunFolder, StageFolder
from riveg.runs.stage_job import faults_of
from riveg.runs.stored import local_run, process_in_store

State = Literal["running", "stopped", "finished"]


class InputUnderWay(UserError):
    """A run is at work and still reads its input: soon there is more to say."""


@dataclass(frozen=True, slots=True)
class StageStatus:
    """How far one stage is.

    Args:
        stage: Its name.
        backend: The name of its backend.
        parts: Parts of this run's settings that are written.
        samples: Records in them.
        rate: Records a second of those that this process wrote; ``None`` before its first part.
        seconds_left: Until the stage ends at that rate; ``None`` where that is not known, 0 where
            it has ended.
        workers: How many do its parts, or did; ``None`` before its first part.
        seconds: How long it has taken, in all runs of the folder with its settings; ``None``
            before its first part.
    """

    stage: str
    backend: str
    parts: int
    samples: int
    rate: float | None
    seconds_left: float | None
    workers: int | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class RunStatus:
    """How far a run is.

    Args:
        schema: Version of this document.
        folder: Where it is.
        state: Whether a process is at work on it, on this machine or, where the file system has
            locks for all, on another; ``stopped``: it was killed, or ended with an error.
        process: The id of that process.
        system: The name of its system.
        data: The name of its data.
        samples: How many it has.
        parts: Of each stage.
        stages: In their order.
        issues: Missing answers by stage and kind, as ``ground: no-answer``, of every sample's
            latest record.
        asked: What its language models were asked for the answers on file.
        accounts: What their servers were asked for each stage, in all runs of the folder, and what
            that cost; while a run is at work, a few seconds or a part old.
    """

    schema: int
    folder: Path
    state: State
    process: int | None
    system: str
    data: str
    samples: int
    parts: int
    stages: tuple[StageStatus, ...]
    issues: Mapping[str, int]
    asked: tuple[Asked, ...]
    accounts: Mapping[str, Sequence[Account]]


def run_status(place: Path) -> RunStatus:
    """How far the run in a folder, or in an object store, is; only read: it disturbs nobody.

    Raises:
        InputUnderWay: If its run is still reading the input.
        UserError: If the folder holds no run that has read its input.
    """
    path = local_run(place)
    run = RunFolder(path)
    manifest = run.read_manifest()
    process = run.process() if path == place else process_in_store(place)
    if not manifest:
        raise _without_manifest(place, run, process)
    parts = part_count(manifest)
    stages = []
    began = run.began() or math.inf  # not known of a run in a store
    for stage, values in run.stages(manifest):
        status, began = _stage_status(stage, values, manifest, parts, began)
        stages.append(status)
    done = process is None and is_finished(manifest)
    with ResponseCache(path / ANSWERS) as cache:
        asked = cache.asked()
    return RunStatus(
        schema=1,
        folder=place,
        state="finished" if done else "stopped" if process is None else "running",
        process=process,
        system=manifest.get("system") or "",
        data=manifest.get("data") or "",
        samples=manifest["samples"],
        parts=parts,
        stages=tuple(stages),
        issues=_issues(run, manifest, parts),
        asked=asked,
        accounts=read_accounts(manifest),
    )


def _without_manifest(place: Path, run: RunFolder, process: int | None) -> UserError:
    parts = run.input.count()
    if process is not None:
        return InputUnderWay(f"{place}: its run is still reading the input, parts so far: {parts}")
    if parts:
        return UserError(
            f"{place}: only input has been read, and no run is at work on it; give the command "
            "again"
        )
    return UserError(f"{place}: holds no run")


def _stage_status(
    stage: StageFolder,
    values: Mapping[str, Any],
    manifest: Mapping[str, Any],
    parts: int,
    began: float,
) -> tuple[StageStatus, float]:
    """A stage's status, and when this process wrote its last part (``began``: when it started)."""
    written = count = made = 0
    last = began
    for index in _within(stage, parts):
        header = _own_header(stage, index, values)
        if header is None:
            continue
        written += 1
        count += len(header.inputs)
        at = stage.part_path(index).stat().st_mtime
        if at >= began:
            made += len(header.inputs)
            last = max(last, at)
    rate = made / (last - began) if made and last > began else None
    to_do = manifest["samples"] - count
    left = 0.0 if written == parts else None if rate is None else to_do / rate
    workers, seconds = (manifest.get(key, {}).get(stage.stage) for key in ("workers", "seconds"))
    status = StageStatus(
        stage.stage, values["backend"], written, count, rate, left, workers, seconds
    )
    return status, last


def _own_header(stage: StageFolder, index: int, values: Mapping[str, Any]) -> PartHeader | None:
    """The header of a part; ``None`` where there is none of this run's settings."""
    header = stage.header(index)
    is_own = header is not None and header.fingerprint == values.get("fingerprint")
    return header if is_own else None


def _within(stage: StageFolder, parts: int) -> Iterator[int]:
    # As many as there are: the manifest may tell of any number.
    return (index for index in stage.indexes() if index < parts)


def _issues(run: RunFolder, manifest: Mapping[str, Any], parts: int) -> dict[str, int]:
    found: Counter[str] = Counter()
    for index in _within(run.input, parts):
        latest = _latest(run, manifest, index).read(index)
        for line in latest.lines if latest else ():
            found.update(f"{issue.stage}: {issue.kind}" for issue in faults_of(line))
    return dict(found.most_common())


def _latest(run: RunFolder, manifest: Mapping[str, Any], index: int) -> StageFolder:
    """The last stage that has a part, as all before it have."""
    latest = run.input
    for stage, values in run.stages(manifest):
        if _own_header(stage, index, values) is None:
            break
        latest = stage
    return latest
