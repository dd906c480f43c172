"""A bar for each stage on stderr: done, rate, time left, issues; plain lines without a terminal."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from riveg.cli.tables import plain
from riveg.cli.visible import counted

_SECONDS_BETWEEN_LINES = 60.0
"""Without a terminal, how long a stage says nothing."""

_SECONDS_BETWEEN_LOOKS = 1.0
"""How often it is looked whether a line is due."""

_EARLY_SECONDS = 0.2
"""Before that, a rate means nothing."""


@dataclass(slots=True)
class StageProgress:
    """How far a stage is.

    Rate and time left count from the start of the stage, its loading included, and only samples
    that were made now: what was kept from an earlier run took no time.

    Args:
        name: The stage's.
        total: Samples, where that is known.
        made: Samples that were finished now.
        kept: Samples that were finished before.
        issues: Of the samples made now, those with an Issue.
        remark: Said behind the numbers.
    """

    name: str
    total: int | None
    made: int = 0
    kept: int = 0
    issues: int = 0
    remark: str = ""
    started: float = field(default_factory=time.monotonic)

    @property
    def done(self) -> int:
        """Samples that are finished."""
        return self.made + self.kept

    @property
    def noted(self) -> str:
        """Issues and the remark."""
        issues = counted(self.issues, "issue") if self.issues else ""
        return ", ".join(filter(None, (issues, self.remark)))

    def rate(self, now: float) -> float | None:
        """Samples a second; ``None`` while it is not known."""
        elapsed = now - self.started
        return self.made / elapsed if self.made and elapsed > _EARLY_SECONDS else None

    def seconds_left(self, now: float) -> float | None:
        """Until the stage ends at its rate so far; ``None`` while that is not known."""
        rate = self.rate(now)
        return None if rate is None or self.total is None else (self.total - self.done) / rate

    def line(self, now: float) -> str:
        """All of it, in one line."""
        total = "" if self.total is None else f"/{self.total}"
        rate, left = self.rate(now), self.seconds_left(now)
        parts = [
            f"{self.done}{total}",
            "" if rate is None else _shown_rate(rate),
            "" if left is None else f"{timedelta(seconds=round(left))} left",
            self.noted,
        ]
        return f"{self.name:<9} {', '.join(filter(None, parts))}"


class RichProgress:
    """Implements :class:`riveg.runs.progress.Progress`."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description:<9}"),
            BarColumn(bar_width=18),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeElapsedColumn(),
            _TimeLeftColumn(),
            TextColumn("{task.fields[noted]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None
        self._stage = StageProgress("", None)
        self._is_at_work = False
        self._last_line = 0.0
        self._lock = threading.Lock()
        self._ends = threading.Event()

    def __enter__(self) -> RichProgress:
        self._bars.__enter__()
        if not self._console.is_terminal:
            threading.Thread(target=self._speak, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ends.set()
        self._bars.__exit__(kind, value, trace)

    def _speak(self) -> None:
        """A line a minute, also while nothing gets done: a model loads, a server is silent."""
        while not self._ends.wait(_SECONDS_BETWEEN_LOOKS):
            self._say_if_due()

    def begin(self, stage: str, total: int | None) -> None:
        """Adds a bar; an unknown total pulses."""
        self._stage = StageProgress(stage, total)
        self._last_line = self._stage.started
        self._is_at_work = True
        self._task = self._bars.add_task(stage, total=total, noted="", stage=self._stage)

    def keep(self, samples: int) -> None:
        """Moves the current bar; the rate does not change."""
        self._stage.kept += samples
        self._show()

    def advance(self, samples: int, issues: int) -> None:
        """Moves the current bar."""
        self._stage.made += samples
        self._stage.issues += issues
        self._show()

    def _show(self) -> None:
        stage = self._stage
        if self._task is not None:
            self._bars.update(self._task, completed=stage.done, noted=plain(stage.noted))
        self._say_if_due()

    def _say_if_due(self) -> None:
        """Without a terminal, how far the stage is, if it has said nothing for a minute."""
        if self._console.is_terminal:
            return
        with self._lock:
            now = time.monotonic()
            if self._is_at_work and now - self._last_line >= _SECONDS_BETWEEN_LINES:
                self._last_line = now
                line = plain(self._stage.line(now))
                self._console.print(line, highlight=False, soft_wrap=True)

    def remark(self, text: str) -> None:
        """Is shown with the next step of the current bar."""
        self._stage.remark = text

    def end(self, seconds: float) -> None:
        """Fills the current bar, or says on one line what the stage did."""
        stage = self._stage
        with self._lock:
            self._is_at_work = False
        if self._task is not None:
            self._bars.update(self._task, total=stage.done, completed=stage.done)
        if not self._console.is_terminal:
            noted = f", {stage.noted}" if stage.noted else ""
            self._console.print(
                f"{stage.name:<9} {counted(stage.done, 'sample')} in {seconds:.1f} s{noted}",
                highlight=False,
            )

    def note(self, text: str) -> None:
        """One dim line above the bars; without a terminal it is not cut into several."""
        whole = not self._console.is_terminal
        self._console.print(plain(text), style="dim", highlight=False, soft_wrap=whole)


class _RateColumn(ProgressColumn):
    """Samples a second, from the start of the stage."""

    def render(self, task: Task) -> Text:
        rate = None if task.finished else task.fields["stage"].rate(time.monotonic())
        if task.finished and task.elapsed:
            rate = task.fields["stage"].made / task.elapsed
        return Text(f"{'' if not rate else _shown_rate(rate):>9}")


class _TimeLeftColumn(ProgressColumn):
    """Time left at the rate so far."""

    def render(self, task: Task) -> Text:
        left = 0.0 if task.finished else task.fields["stage"].seconds_left(time.monotonic())
        return Text("-:--:--" if left is None else str(timedelta(seconds=round(left))))


def _shown_rate(rate: float) -> str:
    return f"{rate:.1f}/s" if rate >= 1 else f"{60 * rate:.1f}/min"
