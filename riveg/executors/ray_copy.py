"""What works on the machines of a cluster (:mod:`riveg.executors.ray`), and what it tells."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from riveg.executors.executor import Job, PartReport, Worker
from riveg.executors.part_process import portable


@dataclass(slots=True)
class Sums:
    """Implements :class:`~riveg.executors.executor.PartListener`: sums up for one part."""

    kept: int = 0
    made: int = 0
    issues: int = 0
    notes: list[str] = field(default_factory=list)

    def keep(self, samples: int) -> None:
        self.kept += samples

    def advance(self, samples: int, issues: int) -> None:
        self.made += samples
        self.issues += issues

    def note(self, text: str) -> None:
        self.notes.append(text)

    def taken(self) -> Sums:
        """The sums so far; they begin again."""
        sums = replace(self)
        self.kept = self.made = self.issues = 0
        self.notes = []
        return sums


@dataclass(frozen=True, slots=True)
class Told:
    """What a copy says of a part that it has done."""

    report: PartReport
    sums: Sums


@dataclass(frozen=True, slots=True)
class Failed:
    """What made a part impossible, and on which machine."""

    error: BaseException
    node: str


class Copy:
    """A job at work on some machine of the cluster, then the next one; the class of the actors.

    It does what it is asked one after the other, in the order in which it is asked.
    """

    def __init__(self) -> None:
        self._held = ExitStack()
        self._sums = Sums()
        self._work: Worker | None = None

    def do(self, job: Job, index: int) -> Told | Failed:
        """Does a part of a job; opens the job with the first one."""
        try:
            if self._work is None:
                self._work = self._held.enter_context(job.open(progress=self._sums))
            report = self._work(index)
        except BaseException as error:  # raised again in the driver
            return _failed(error)
        return Told(report, self._sums.taken())

    def finish(self) -> Failed | None:
        """Writes all of the job and frees what it holds."""
        self._work = None
        try:
            self._held.close()
        except BaseException as error:
            return _failed(error)
        return None


def _failed(error: BaseException) -> Failed:
    import ray

    return Failed(portable(error), str(ray.util.get_node_ip_address()))
