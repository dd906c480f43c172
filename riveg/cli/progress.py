"""A bar for each stage on stderr: done, rate, time left, issues; plain lines without a terminal."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from riveg.cli.tables import plain
from riveg.cli.visible import counted


class RichProgress:
    """Implements :class:`riveg.runs.progress.Progress`."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description:<9}"),
            BarColumn(bar_width=18),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:>9}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[issues]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None
        self._stage = ""
        self._samples = 0
        self._issues = 0

    def __enter__(self) -> RichProgress:
        self._bars.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.__exit__(kind, value, trace)

    def begin(self, stage: str, total: int | None) -> None:
        """Adds a bar; an unknown total pulses."""
        self._stage, self._samples, self._issues = stage, 0, 0
        self._task = self._bars.add_task(stage, total=total, rate="", issues="")

    def advance(self, samples: int, issues: int) -> None:
        """Moves the current bar."""
        self._samples += samples
        self._issues += issues
        if self._task is None:
            return
        elapsed = self._bars.tasks[self._task].elapsed or 0.0
        rate = f"{self._samples / elapsed:.1f}/s" if elapsed > 0.2 else ""
        noted = counted(self._issues, "issue") if self._issues else ""
        self._bars.update(self._task, advance=samples, rate=rate, issues=noted)

    def end(self, seconds: float) -> None:
        """Fills the current bar, or says on one line what the stage did."""
        if self._task is not None:
            self._bars.update(self._task, total=self._samples, completed=self._samples)
        if not self._console.is_terminal:
            noted = f", {counted(self._issues, 'issue')}" if self._issues else ""
            self._console.print(
                f"{self._stage:<9} {counted(self._samples, 'sample')} in {seconds:.1f} s{noted}",
                highlight=False,
            )

    def note(self, text: str) -> None:
        """One dim line above the bars."""
        self._console.print(plain(text), style="dim", highlight=False)
