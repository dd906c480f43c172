"""Rate and time left, and what is said without a terminal."""

from __future__ import annotations

import time
from io import StringIO

import pytest
from rich.console import Console

from riveg.cli.progress import RichProgress, StageProgress


def stage(made: int = 0, kept: int = 0) -> StageProgress:
    return StageProgress("observe", 40, started=100.0, made=made, kept=kept)


def test_rate_counts_from_the_start_of_the_stage() -> None:
    # 26 seconds without an answer, then 23 at once: the other 17 take as long as those did.
    after = stage(made=23)
    assert after.rate(126.0) == pytest.approx(23 / 26)
    assert after.seconds_left(126.0) == pytest.approx(17 * 26 / 23)
    assert after.line(126.0) == "observe   23/40, 53.1/min, 0:00:19 left"


def test_what_was_kept_took_no_time() -> None:
    resumed = stage(made=2, kept=30)
    assert resumed.seconds_left(110.0) == pytest.approx(8 * 5)
    assert resumed.line(110.0) == "observe   32/40, 12.0/min, 0:00:40 left"


def test_before_anything_is_finished_nothing_is_promised() -> None:
    assert stage(kept=30).line(126.0) == "observe   30/40"
    assert StageProgress("input", None, made=3, started=100.0).line(101.0) == "input     3, 3.0/s"


def test_without_a_terminal_a_line_a_minute() -> None:
    written = StringIO()
    progress = RichProgress(Console(file=written, force_terminal=False, width=80))
    with progress:
        progress.begin("observe", 40)
        progress.advance(1, 0)
        assert written.getvalue() == ""
        for number in (2, 3):
            progress._stage.started -= 61
            progress._last_line -= 61
            progress.advance(1, 1)
            assert written.getvalue().count("\n") == number - 1
        progress.end(122.0)
    lines = written.getvalue().splitlines()
    assert lines[0].startswith("observe   2/40, ")
    assert lines[1].startswith("observe   3/40, ")
    assert lines[1].endswith("left, 2 issues")
    assert lines[2] == "observe   3 samples in 122.0 s, 2 issues"


def test_without_a_terminal_a_stage_at_which_nothing_gets_done_is_not_silent() -> None:
    written = StringIO()
    with RichProgress(Console(file=written, force_terminal=False, width=80)) as progress:
        progress.begin("observe", 40)
        progress.advance(1, 0)
        progress._last_line -= 61
        end = time.monotonic() + 10
        while not written.getvalue() and time.monotonic() < end:
            time.sleep(0.05)
        assert written.getvalue().startswith("observe   1/40")
        progress.end(122.0)
        progress._last_line -= 61
        time.sleep(1.5)
    assert len(written.getvalue().splitlines()) == 2, "between stages there is nothing to say"


def test_without_a_terminal_a_note_is_one_line() -> None:
    written = StringIO()
    note = "http://a-server.example:8000/v1 answers 500; the other servers of a-large-model do it"
    with RichProgress(Console(file=written, force_terminal=False, width=80)) as progress:
        progress.note(note)
    assert written.getvalue() == f"{note}\n"


def test_bars_fit_the_terminal() -> None:
    written = StringIO()
    console = Console(file=written, force_terminal=True, width=80, color_system=None)
    with RichProgress(console) as progress:
        progress.begin("observe", 4000)
        progress.keep(1000)
        time.sleep(0.25)
        progress.advance(500, 12)
        progress._bars.refresh()
        progress.end(1.0)
    last = written.getvalue().splitlines()
    assert any("1500/4000" in line and "12 issues" in line and "/s" in line for line in last)
