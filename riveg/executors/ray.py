"""A cluster by Ray: copies of a backend on its machines, each at the parts of a job.

Its actors hold what is dear to load; Ray Data is not needed, as parts are files that every machine
sees. What asks language models stays in this process: requests go to servers anyway, and one
process alone writes the answers down.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar

from riveg.config.threads import ThreadCount
from riveg.errors import UserError
from riveg.executors.executor import Job, PartListener, PartReport, Worker
from riveg.executors.ray_cluster import cluster_nodes, first_line, needs_of, room_for, wait_for_head
from riveg.executors.ray_copy import Copy, Failed, Sums, Told
from riveg.processes import CORES

JobT = TypeVar("JobT", bound=Job)

_AHEAD = 2
"""Parts that a copy has been given: one that it is at and one that is next."""
_LOOK_S = 10.0
"""How often the cluster is looked at for machines that are new or free again."""
_IDLE_LOOKS = 3
"""After so many without an answer, a user is told what is waited for."""
_MOST_LOSSES = 3
"""A part with which so many copies have ended is not given to another one."""


class RayExecutor(Generic[JobT]):
    """Runs jobs on the cluster that ``RAY_ADDRESS`` names, or that this machine belongs to.

    Args:
        open_job: Opens a job in this process, for what is not done on the cluster.
        workers: Highest number of copies of a backend; ``auto``: as many as the cluster has room
            for, also when it grows.
        gpus: Not heeded: copies go wherever the cluster has GPUs, and ``workers`` bounds them.
        progress: Hears of the parts that the cluster does.
    """

    def __init__(
        self,
        open_job: Callable[[JobT], AbstractContextManager[Worker]],
        *,
        workers: ThreadCount,
        gpus: ThreadCount = 1,  # noqa: ARG002
        progress: PartListener,
    ) -> None:
        self._open_job = open_job
        self._most = None if workers == "auto" else workers
        self._progress = progress
        self._flock: _Flock | None = None
        self._is_away = False
        self._has_joined = False

    def run(self, job: JobT, parts: Iterable[int]) -> Iterator[PartReport]:
        """The report of each part, as soon as it is there; with the last one all is written.

        Raises:
            MissingExtra: If Ray is not installed.
            UserError: If there is no cluster, or none with what the job needs; if a part has ended
                several copies; and whatever the job raises.
        """
        self._is_away = _is_away(job)
        if not self._is_away:
            # It may take hours, in which others can use what the copies hold.
            self.close()
            with self._open_job(job) as work:
                yield from map(work, parts)
        else:
            yield from self._flock_for(job.device).run(job, parts)

    @property
    def workers(self) -> int:
        """How many copies do the parts of the job; 1: this process does them."""
        return max(1, self._flock.size) if self._is_away and self._flock else 1

    def close(self) -> None:
        """Ends what it has on the cluster, and leaves it."""
        if self._flock is not None:
            self._flock.end()
            self._flock = None
        if self._has_joined:
            self._has_joined = False
            import ray

            ray.shutdown()

    def require(self, jobs: Iterable[JobT]) -> None:
        """Makes sure, before the first job, that the cluster is there and has what they need.

        Raises:
            MissingExtra: If Ray is not installed.
            UserError: If there is no cluster, or none with what one of them needs.
        """
        for job in filter(_is_away, jobs):
            self._needs(job.device)

    def _needs(self, device: str | None) -> Mapping[str, int]:
        """The cores and GPUs of a copy; this process joins the cluster if it has not."""
        nodes = cluster_nodes()
        self._has_joined = True
        return needs_of(device, nodes)

    def _flock_for(self, device: str | None) -> _Flock:
        """The copies of the job before, where they have what this one needs, or others."""
        needs = self._needs(device)
        if self._flock is not None and self._flock.needs != needs:
            self._flock.end()
            self._flock = None
        if self._flock is None:
            self._flock = _Flock(needs, self._progress, self._most)
        return self._flock


class _Flock:
    """Copies of one job after the other.

    Args:
        needs: The cores and GPUs of each.
        progress: Hears how their parts get on.
        most: Highest number of them.
    """

    def __init__(self, needs: Mapping[str, int], progress: PartListener, most: int | None) -> None:
        import ray

        self.needs = needs
        self._ray = ray
        self._progress = progress
        self._most = most
        self._job: Any = None
        self._left: deque[int] = deque()
        self._at: dict[Any, tuple[Any, int]] = {}
        """What was asked of a copy -> the copy and the part."""
        self._copies: list[Any] = []
        self._last: dict[Any, int] = {}
        """The part that a copy did before: it may not be written yet."""
        self._losses: Counter[int] = Counter()
        self._idle_looks = 0
        self._next_look = 0.0

    def run(self, job: Job, parts: Iterable[int]) -> Iterator[PartReport]:
        """The report of each part."""
        self._job = self._ray.put(job)
        self._left.extend(parts)
        self._next_look = 0.0
        reported: set[int] = set()
        while self._left:  # again where a copy was lost before all that it did was written
            while self._left or self._at:
                self._grow()
                self._give()
                for index, told in self._heard():
                    if index not in reported:
                        reported.add(index)
                        self._tell(told.sums)
                        yield told.report
            self._finish()
        self._losses.clear()

    @property
    def size(self) -> int:
        """How many copies there are."""
        return len(self._copies)

    def end(self) -> None:
        """Ends the copies; what they are at is lost."""
        for copy in self._copies:
            self._ray.kill(copy)
        self._copies.clear()

    def _grow(self) -> None:
        """As many copies as there is room and work for, by a look at the cluster now and then."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + _LOOK_S
        wait_for_head(self._ray)
        room = room_for(self.needs, self._ray.nodes())
        most = room if self._most is None else min(room, self._most)
        wanted = min(most, len(self._copies) + len(self._left))
        actor = self._ray.remote(Copy).options(
            num_cpus=self.needs["CPU"],
            num_gpus=self.needs["GPU"],
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": {CORES: str(self.needs["CPU"])}},
        )
        self._copies += [actor.remote() for _ in range(wanted - len(self._copies))]

    def _give(self) -> None:
        """The next parts, first to the copies that have none."""
        busy = Counter(copy for copy, _ in self._at.values())
        for most in range(_AHEAD):
            for copy in self._copies:
                if self._left and busy[copy] <= most:
                    index = self._left.popleft()
                    self._at[copy.do.remote(self._job, index)] = (copy, index)
                    busy[copy] += 1

    def _heard(self) -> Iterator[tuple[int, Told]]:
        """Waits; the parts that were done."""
        done, _ = self._ray.wait(list(self._at), timeout=_LOOK_S)
        self._idle_looks = 0 if done else self._idle_looks + 1
        if self._idle_looks == _IDLE_LOOKS and not self._last:
            needs = ", ".join(f"{count} {name}" for name, count in self.needs.items() if count)
            self._progress.note(f"waits for room on the cluster: a worker needs {needs}")
        for ref in done:
            if ref in self._at:  # else its copy has just been found lost
                copy, index = self._at[ref]
                told = self._answer(copy, ref)
                if isinstance(told, Told):
                    del self._at[ref]
                    self._last[copy] = index
                    yield index, told

    def _answer(self, copy: Any, ref: Any) -> Any:
        """What a copy answers; ``None`` if it is lost."""
        try:
            answer = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            self._bury(copy, error)
            return None
        if isinstance(answer, Failed):
            raise _told_where(answer)
        return answer

    def _bury(self, copy: Any, error: Exception) -> None:
        """Gives what a lost copy leaves to the others.

        Raises:
            UserError: If no copy can be made, or several have ended at the same part.
        """
        if isinstance(error, self._ray.exceptions.RuntimeEnvSetupError):
            raise UserError(f"the cluster cannot start workers ({first_line(error)})") from error
        asked = [ref for ref, (owner, _) in self._at.items() if owner is copy]
        parts = [self._at.pop(ref)[1] for ref in asked]
        if parts:
            self._losses[parts[0]] += 1
            if self._losses[parts[0]] == _MOST_LOSSES:
                raise UserError(
                    f"part {parts[0]}: {_MOST_LOSSES} workers of the cluster have ended at it "
                    f"({first_line(error)}); the same command goes on with what is done"
                ) from error
        if copy in self._last:
            parts.insert(0, self._last.pop(copy))
        self._left.extendleft(reversed(parts))
        self._copies.remove(copy)
        self._next_look = 0.0
        self._ray.kill(copy)
        self._progress.note("a worker of the cluster was lost; others do its parts")

    def _finish(self) -> None:
        """Has every copy write all."""
        for ref, copy in {copy.finish.remote(): copy for copy in self._copies}.items():
            self._answer(copy, ref)
        self._last.clear()

    def _tell(self, sums: Sums) -> None:
        self._progress.keep(sums.kept)
        self._progress.advance(sums.made, sums.issues)
        for note in sums.notes:
            self._progress.note(note)


def _is_away(job: Job) -> bool:
    """Whether the cluster does a job's parts, and not this process."""
    return job.device is not None or job.is_parallel


def _told_where(failed: Failed) -> BaseException:
    """The error of a copy; a user is told on which machine."""
    if isinstance(failed.error, UserError):
        return UserError(f"on {failed.node}: {failed.error}")
    return failed.error
