"""What runs a job over parts; it knows nothing of stages.

A job is a value: it can be pickled, sent to another process or machine, and opened there. Parts are
files of the run folder, so that a part that is done is done for every process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol, TypeAlias, TypeVar, cast

from riveg.config.threads import ThreadCount
from riveg.vision.runtime.batches import Shortage


@dataclass(frozen=True, slots=True)
class PartReport:
    """What was done about one part.

    Args:
        index: Its number.
        samples: Records that it holds.
        made: Of them, those that were made now; the others were kept.
        issues: Of them, those with an Issue of the stage.
        shortages: By computation, where memory has been too short so far for the open job.
    """

    index: int
    samples: int
    made: int
    issues: int
    shortages: Mapping[str, Shortage] = field(default_factory=dict)


Worker: TypeAlias = Callable[[int], PartReport]
"""Does the part of a number."""


class PartListener(Protocol):
    """Hears how the parts of a job get on."""

    def keep(self, samples: int, /) -> None:
        """So many samples had been done before; a negative number takes back."""

    def advance(self, samples: int, issues: int, /) -> None:
        """More samples are done, so many of them with an Issue; negative numbers take back."""

    def note(self, text: str, /) -> None:
        """Something to know now."""


class Job(Protocol):
    """Work over parts."""

    @property
    def is_parallel(self) -> bool:
        """Whether processes may do its parts at the same time, each with all it needs."""

    @property
    def device(self) -> str | None:
        """What its network runs on, as configured; ``None``: it has none, or stays here."""

    def open(self, *, progress: PartListener) -> AbstractContextManager[Worker]:
        """The work itself, in the process that calls this; its end writes and frees everything."""


JobT = TypeVar("JobT", bound=Job, contravariant=True)


class Executor(Protocol[JobT]):
    """Maps a job over parts."""

    def require(self, jobs: Iterable[JobT]) -> None:
        """Makes sure that what the jobs need is there, before the first of them runs."""

    def run(self, job: JobT, parts: Iterable[int]) -> Iterator[PartReport]:
        """The report of each part, as soon as it is there; with the last one all is written."""

    @property
    def workers(self) -> int:
        """How many do the parts of the job that runs."""

    def close(self) -> None:
        """Ends what it holds from one job to the next."""


EXECUTORS = {
    "local": "riveg.executors.local:LocalExecutor",
    "ray": "riveg.executors.ray:RayExecutor",
}
"""``name -> "module:class"``, by the key ``executor`` of a system."""

AnyJob = TypeVar("AnyJob", bound=Job)


def open_executor(
    name: str,
    open_job: Callable[[AnyJob], AbstractContextManager[Worker]],
    *,
    workers: ThreadCount,
    gpus: ThreadCount,
    progress: PartListener,
) -> Executor[AnyJob]:
    """The executor of a name.

    Args:
        name: One of :data:`EXECUTORS`.
        open_job: Opens a job in this process, with what this process has ready for it.
        workers: How many processes may do parts at the same time; ``auto``: it finds out.
        gpus: How many GPUs of one machine have a process; a cluster's executor takes what is free.
        progress: Hears of the parts that other processes do.
    """
    module, _, kind = EXECUTORS[name].partition(":")
    executor: Any = getattr(import_module(module), kind)
    return cast(
        "Executor[AnyJob]", executor(open_job, workers=workers, gpus=gpus, progress=progress)
    )
