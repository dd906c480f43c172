"""What ``riveg doctor --probe`` prints: findings, frames, drawings, and the lines to use."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich.text import Text

from riveg.cli.tables import bare_table, plain, print_hanging, stdout
from riveg.cli.visible import counted
from riveg.probe.probe import ProbeReport, SchemaKept
from riveg.probe.settings import Probed, lines_to_use
from riveg.probe.verdict import FEWEST_BOXES, Candidate, ends_of

_INDENT = 20

_SCHEMA: dict[SchemaKept, str] = {
    "kept": "kept to",
    "not-kept": "not kept to: answers are read from what the model writes by itself",
    "not-asked": "not asked for (structured: false)",
}

_OWN_ENDS = (
    "in each drawing they agree, up to where its numbers end (below): give resize.min_pixels and "
    "max_pixels as the server has them"
)

_FRAMES_SHOWN = 5
"""In the table; those that fit less are left out."""


def print_probe(probed: Probed, report: ProbeReport) -> None:
    """Prints all that is known of a model, and how its boxes are read."""
    console = stdout()
    endpoint = probed.endpoint
    served = "" if endpoint.serve is None else f"served by {endpoint.serve.engine}"
    where = ", ".join(endpoint.base_urls) or served or endpoint.engine
    console.print(plain(f"{probed.name}: {endpoint.shown} ({where})"), soft_wrap=True)
    for heading, finding in _findings(probed, report):
        print_hanging(console, f"{heading:<{_INDENT}}{finding}", _INDENT)
    _print_frames(report)
    _print_scenes(report)
    usable = [one for one in report.frames.alike if one.setting is not None]
    for number, candidate in enumerate(usable):
        heading = "lines to use" if number == 0 else f"or, if it is {candidate.name}"
        console.print()
        console.print(plain(heading), style="bold")
        console.print(_plain_lines(lines_to_use(probed, candidate)), soft_wrap=True)


def _plain_lines(text: str) -> Text:
    """Lines of a file, each as :func:`riveg.cli.tables.plain`."""
    return Text("\n").join(map(plain, text.splitlines()))


def _findings(probed: Probed, report: ProbeReport) -> Iterator[tuple[str, str]]:
    yield "sees pictures", _sight(report)
    read = sum(scene.reads_word for scene in report.seen)
    yield "reads words", f"{read} of {len(report.seen)}"
    yield "image tokens", _tokens(report)
    yield "JSON schema", _SCHEMA[report.schema]
    yield "log-probabilities", _log_probabilities(report)
    yield "boxes", _frame(report)
    for stage, candidate in probed.frames.items():
        yield f"{stage}.frame", _said(candidate, report)
    if report.told is not None:
        told = report.told
        yield (
            "asked in that frame",
            f"{told.found} of {told.asked} boxes, mean IoU of all {told.mean_iou:.2f}",
        )
    for message, times in report.unanswered.items():
        yield "unanswered", f"{counted(times, 'question')}: {message}"


def _sight(report: ProbeReport) -> str:
    right, asked = report.colours
    verdict = {True: "yes", False: "NO", None: "cannot tell"}[report.sees]
    return f"{verdict}: {right} of {asked} colours named (a guess names 1)"


def _tokens(report: ProbeReport) -> str:
    counted_scenes = [scene for scene in report.seen if scene.tokens is not None]
    counts = [scene.tokens or 0 for scene in counted_scenes]
    if not counts or (report.sees and max(counts) <= 0):
        return "not counted by the server"
    if max(counts) <= 0:
        return "NONE: the server leaves the picture out"
    area = sum(scene.size.width * scene.size.height for scene in counted_scenes)
    side = math.sqrt(area / sum(counts))
    return f"{min(counts)} to {max(counts)} a drawing, one for {side:.0f} x {side:.0f} pixels"


def _log_probabilities(report: ProbeReport) -> str:
    first = "the likeliest first tokens" if report.first_tokens else ""
    every = "every token" if report.all_tokens else ""
    given = " and ".join(filter(None, (first, every)))
    lacking = []
    if not report.first_tokens:
        lacking.append("entail: chat has its words alone to go by")
    if not report.all_tokens:
        lacking.append("extract: chat gives no scores")
    return "; ".join((f"of {given}" if given else "none", *lacking))


def _frame(report: ProbeReport) -> str:
    alike = report.frames.alike
    stated = sum(len(scene.stated) for scene in report.seen)
    asked = sum(scene.asked for scene in report.seen)
    if not alike:
        if stated < FEWEST_BOXES:
            return f"{stated} of {asked} stated; too few to tell the frame"
        why = f"; {_OWN_ENDS}" if report.frames.has_own_ends else ""
        return f"{stated} of {asked} stated; NO FRAME FITS{why}"
    best = report.frames.fits[0]
    if len(alike) > 1:
        names = " or ".join(candidate.name for candidate in alike)
        return f"{stated} of {asked} stated; cannot tell: {names}"
    unread = "" if alike[0].setting else "; no stage of riveg reads these"
    return f"{stated} of {asked} stated, {alike[0].name}, mean IoU {best.mean_iou:.2f}{unread}"


def _said(candidate: Candidate, report: ProbeReport) -> str:
    alike = report.frames.alike
    if not alike:
        return f"{candidate.name}: not confirmed"
    if candidate not in alike:
        fit = report.frames.fit_of(candidate)
        return f"WRONG: {candidate.name}, mean IoU {fit.mean_iou:.2f}"
    return f"right: {candidate.name}" if len(alike) == 1 else f"may be right: {candidate.name}"


def _print_frames(report: ProbeReport) -> None:
    if not any(scene.stated for scene in report.seen):
        return
    table = bare_table()
    table.add_column("frame", overflow="fold")
    for name in ("outside", "mean IoU", "corners off by"):
        table.add_column(name, justify="right")
    for fit in report.frames.fits[:_FRAMES_SHOWN]:
        error = "" if fit.corner_error is None else f"{fit.corner_error:.1f} pixels"
        table.add_row(plain(fit.candidate.name), str(fit.outside), f"{fit.mean_iou:.2f}", error)
    stdout().print()
    stdout().print(table)


def _print_scenes(report: ProbeReport) -> None:
    table = bare_table()
    for name in ("drawing", "tokens", "word", "boxes", "mean IoU", "its numbers end at"):
        table.add_column(name, justify="left" if name == "drawing" else "right")
    frames = report.frames
    rows_first = bool(frames.alike) and frames.alike[0].frame.rows_first
    overlaps = iter(frames.fits[0].overlaps)
    for scene in report.seen:
        own = [next(overlaps) for _ in scene.stated]
        ends = ends_of(scene.stated, rows_first=rows_first) if own else None
        table.add_row(
            f"{scene.size.width} x {scene.size.height}",
            "" if scene.tokens is None else str(scene.tokens),
            "read" if scene.reads_word else "no",
            f"{len(own)} of {scene.asked}",
            f"{sum(own) / len(own):.2f}" if own else "",
            "" if ends is None else f"{ends.width} x {ends.height}",
        )
    stdout().print()
    stdout().print(table)
