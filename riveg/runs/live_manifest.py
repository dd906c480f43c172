"""The manifest of a run at work: what it has taken and spent so far is on disk soon after."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from riveg.executors.executor import Executor, PartReport
from riveg.formats.accounts import Account, Accounts, read_accounts, written_accounts
from riveg.runs.folder import RunFolder
from riveg.runs.run_log import RunLog

_SECONDS_BETWEEN_WRITES = 5.0


class LiveManifest:
    """Adds to what runs of this folder have taken and spent before.

    It is written at the run's beginning, every few seconds, after each part for which a language
    model was asked, after each stage, however it ends, and at the run's end: a kill loses the part
    in flight at most. Threads may share it.

    Args:
        folder: The run folder, whose lock this process holds.
        log: Told of each part that was made, and of each server that is lost.

    Raises:
        UserError: If the folder's manifest is none; and, by every method, if it cannot be written.
    """

    def __init__(self, folder: RunFolder, log: RunLog) -> None:
        self._folder = folder
        self._log = log
        self.before = folder.read_manifest()
        """The manifest as an earlier run has left it; empty where there was none."""
        self._accounts = {
            stage: {one.key: one for one in accounts}
            for stage, accounts in read_accounts(self.before).items()
        }
        self._values: Mapping[str, Any] = {}
        self._seconds: dict[str, float] = {}
        self._workers: dict[str, int] = {}
        self._stage = ""
        self._began = 0.0
        self._has_made = False
        self._is_spent = False
        self._written = 0.0
        self._lock = threading.RLock()

    @property
    def accounts(self) -> Accounts:
        """What was asked of language models in this folder, by stage."""
        return {stage: list(accounts.values()) for stage, accounts in self._accounts.items()}

    def begin(self, values: Mapping[str, Any]) -> None:
        """Writes that the run has begun; ``values`` are what the manifest says besides."""
        # A stage that has nothing to do keeps what it took when it was done.
        self._seconds = _kept_seconds(self.before, values)
        known = self.before.get("workers", {})
        self._workers = {stage: count for stage, count in known.items() if stage in self._seconds}
        self._values = {**values, "started": time.time(), "finished": None}
        self._write()

    def noted(
        self, stage: str, reports: Iterable[PartReport], executor: Executor[Any]
    ) -> Iterator[PartReport]:
        """The reports of a stage's parts; what is taken and spent until their end is the stage's.

        Args:
            stage: Its name.
            reports: Each as soon as its part is done.
            executor: What does the parts.
        """
        with self._at_work(stage):
            for report in reports:
                self._part_done(report, executor.workers)
                yield report

    @contextmanager
    def _at_work(self, name: str) -> Iterator[None]:
        self._stage, self._began, self._has_made = name, time.monotonic(), False
        try:
            yield
            self._has_made = self._has_made or name not in self._seconds
        finally:
            with self._lock:
                has_news = self._has_made or self._is_spent
                self._seconds, self._has_made = self._taken(), False
                if has_news:
                    self._write()

    def add(self, account: Account) -> None:
        """Adds a request of a language model to the accounts of the stage at work."""
        with self._lock:
            known = self._accounts.setdefault(self._stage, {})
            before = known.get(account.key)
            known[account.key] = account if before is None else before + account
            if account.lost_since and not (before and before.lost_since):
                lost = known[account.key].lost() or ""
                self._log.write("server lost", lost, level="warning", values={"stage": self._stage})
            self._has_made = self._is_spent = True
            self._write_now_and_then()

    def _part_done(self, report: PartReport, workers: int) -> None:
        with self._lock:
            if report.made:
                self._has_made = True
                done = {"part": report.index, "samples": report.samples, "made": report.made}
                more = {"issues": report.issues, "workers": workers}
                self._log.write("part done", values={"stage": self._stage, **done, **more})
                self._workers[self._stage] = max(workers, self._workers.get(self._stage, 0))
            if self._is_spent:
                self._write()
            elif report.made:
                self._write_now_and_then()

    def end(self, values: Mapping[str, Any]) -> None:
        """Writes that the run has come to its end; ``values`` are what the manifest says more."""
        self._values = {**self._values, "finished": time.time(), **values}
        self._write()

    def _taken(self) -> dict[str, float]:
        """Seconds by stage, the one at work among them."""
        if not self._has_made:
            return self._seconds
        before = self._seconds.get(self._stage, 0.0)
        return {**self._seconds, self._stage: round(before + time.monotonic() - self._began, 3)}

    def _write_now_and_then(self) -> None:
        if time.monotonic() - self._written > _SECONDS_BETWEEN_WRITES:
            self._write()

    def _write(self) -> None:
        with self._lock:
            self._folder.write_manifest(
                {
                    **self._values,
                    "seconds": self._taken(),
                    "workers": self._workers,
                    "accounts": written_accounts(self.accounts),
                }
            )
            self._is_spent, self._written = False, time.monotonic()


def _kept_seconds(before: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, float]:
    """How long stages of the same settings took, by the manifest of the run before."""
    earlier, now = (
        {name: stage.get("fingerprint") for name, stage in each.get("stages", {}).items()}
        for each in (before, manifest)
    )
    known: Mapping[str, float] = before.get("seconds", {})
    return {
        name: seconds
        for name, seconds in known.items()
        if now.get(name) is not None and now[name] == earlier.get(name)
    }
