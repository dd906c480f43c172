"""Every core of this machine: parts side by side in worker processes, or one after the other here.

A job says which it is (:attr:`~riveg.executors.executor.Job.is_parallel`): what only computes is
done by as many processes as there are cores; what asks a server stays in this one, and so does what
holds a GPU, unless several GPUs are wanted: then each has a process with a network of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

from riveg.config.threads import ThreadCount, count_cores, count_threads
from riveg.executors.executor import Job, PartListener, PartReport, Worker
from riveg.executors.gpus import gpus_of
from riveg.executors.part_workers import PartWorkers

JobT = TypeVar("JobT", bound=Job)


class LocalExecutor(Generic[JobT]):
    """Runs jobs on this machine.

    Args:
        open_job: Opens a job with what this process has ready for it, such as language models that
            stay loaded from one job to the next.
        workers: Highest number of processes, ``auto`` for one a core; 1: all is done in this one.
        gpus: How many GPUs have a process, ``auto`` for all; 1: the network stays in this process.
        progress: Hears of the parts that other processes do.
    """

    def __init__(
        self,
        open_job: Callable[[JobT], AbstractContextManager[Worker]],
        *,
        workers: ThreadCount,
        gpus: ThreadCount = 1,
        progress: PartListener,
    ) -> None:
        self._open_job = open_job
        self._most_workers = count_threads(workers)
        self._gpus = gpus
        self._progress = progress
        self._workers: PartWorkers | None = None
        self.workers = 1

    def run(self, job: JobT, parts: Iterable[int]) -> Iterator[PartReport]:
        """The report of each part; in order where no other process does them.

        Raises:
            UserError: If there are fewer GPUs than are wanted; and whatever the job raises.
        """
        numbers = list(parts)
        gpus = () if job.is_parallel else gpus_of(job.device, self._gpus)[: len(numbers)]
        count = min(self._most_workers, len(numbers)) if job.is_parallel else len(gpus)
        self.workers = max(1, count)
        if count > 1:
            yield from self._workers_for(count, len(numbers), gpus).run(job, numbers)
            return
        # What they hold is free before a large model is loaded here.
        self.close()
        with self._open_job(job) as work:
            for index in numbers:
                yield work(index)

    def require(self, jobs: Iterable[JobT]) -> None:
        """Makes sure, before the first job, that there are as many GPUs as are wanted.

        Raises:
            UserError: If there are fewer.
        """
        for job in jobs:
            if not job.is_parallel:
                gpus_of(job.device, self._gpus)

    def close(self) -> None:
        """Ends the processes."""
        if self._workers is not None:
            self._workers.close()
            self._workers = None

    def _workers_for(self, count: int, parts: int, gpus: tuple[str, ...]) -> PartWorkers:
        """The processes of the job before, or new ones where these need other GPUs."""
        if self._workers is not None and gpus != self._workers.gpus:
            self.close()
        if self._workers is None:
            self._workers = PartWorkers(count, _threads(count, parts), self._progress, gpus)
        return self._workers


def _threads(workers: int, parts: int) -> int:
    """How many threads each worker has; more where, with few parts, some are without work soon."""
    cores = count_cores()
    each = max(1, cores // workers)
    return each if parts >= 4 * workers else min(cores, 2 * each)
