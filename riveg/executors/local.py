"""One part after the other, in this process; backends bring their own threads and workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

from riveg.executors.executor import Job, PartReport, Worker

JobT = TypeVar("JobT", bound=Job)


class LocalExecutor(Generic[JobT]):
    """Runs jobs in this process.

    Args:
        open_job: Opens a job with what this process has ready for it, such as language models that
            stay loaded from one job to the next.
    """

    def __init__(self, open_job: Callable[[JobT], AbstractContextManager[Worker]]) -> None:
        self._open_job = open_job

    def run(self, job: JobT, parts: Iterable[int]) -> Iterator[PartReport]:
        """The report of each part, in order."""
        with self._open_job(job) as work:
            for index in parts:
                yield work(index)
