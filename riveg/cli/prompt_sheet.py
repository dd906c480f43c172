"""What ``riveg prompt-debug`` prints: made for 80 columns, read from the top."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.padding import Padding
from rich.table import Table

from riveg.cli.prompt_comparison import print_comparison
from riveg.cli.prompt_printer import PromptPrinter, lines_of
from riveg.cli.tables import plain, stdout
from riveg.cli.visible import counted
from riveg.prompt_debug.counts import (
    change_line,
    downstream_lines,
    how_it_came,
    question_line,
    token_line,
)
from riveg.prompt_debug.document import (
    Parsed,
    PromptDebug,
    Row,
    Said,
    Side,
    Variable,
)

_LONGEST_VALUE = 200
"""Characters shown of a value: the whole of it is part of the message."""


def print_prompt_debug(found: PromptDebug) -> None:
    """Everything, on stdout."""
    printer = PromptPrinter(stdout(), found)
    _print_head(printer, found)
    if len(found.sides) == 1:
        _OnePrompt(printer).print(found.sides[0])
    else:
        print_comparison(printer, found)


def _print_head(printer: PromptPrinter, found: PromptDebug) -> None:
    """Which system, prompts and samples; how many requests and answers; what is missing."""
    printer.line("stage", f"{found.stage}: {found.backend} of {found.system}")
    printer.line("model", f"{found.llm}: {found.model}")
    many = counted(len(found.posts), "post")
    printer.line("posts", f"{many} of {found.data}" if found.data != "--text" else "as given")
    marks = ("",) if len(found.sides) == 1 else (" A", " B")
    for mark, side in zip(marks, found.sides, strict=True):
        printer.line(
            f"prompt{mark}", f"{_from_here(side.prompt.name)}  ({side.prompt.fingerprint[:12]})"
        )
        path = _from_here(side.prompt.path)
        if path != _from_here(side.prompt.name):
            printer.line("", path, style="dim")
        printer.line("questions", question_line(side), style=_dim_if(bool(mark)))
        printer.line("tokens", token_line(side), style=_dim_if(bool(mark)))
    if len(found.sides) == 2:
        printer.line("answers", change_line(found), style="bold")
        for number, line in enumerate(downstream_lines(found)):
            printer.line("" if number else "then", line)
    for note in found.notes:
        printer.line("note", note, style="yellow")


class _OnePrompt:
    def __init__(self, printer: PromptPrinter) -> None:
        self._printer = printer

    def print(self, side: Side) -> None:
        """What all requests share, then each with its values, messages and answer."""
        if side.shared or side.constants:
            self._printer.rule("the same for all questions")
            self._messages(side.shared)
            self._variables(side.constants)
        for number, row in enumerate(side.rows, start=1):
            self._request(row, f"{number} of {len(side.rows)}")

    def _request(self, row: Row, position: str) -> None:
        self._printer.rule(f"{row.sample_id}  {self._subject(row)}".rstrip(), position)
        self._messages(row.messages)
        self._variables(row.variables)
        exact = "" if row.exact else "about "
        self._printer.line("tokens", f"{exact}{row.tokens:,}")
        self._answer(row)
        for parsed in row.parsed:
            self._parsed(row.sample_id, parsed)

    def _subject(self, row: Row) -> str:
        names = [self._printer.name_of(row.sample_id, entity_id) for entity_id in row.entity_ids]
        return ", ".join(f"{one.id} {one.text} ({one.label})" for one in names)

    def _messages(self, messages: Sequence[Said]) -> None:
        for message in messages:
            images = "".join(f"  [picture {path}]" for path in message.pictures)
            self._printer.console.print(plain(message.role + images), style="bold cyan")
            self._printer.block(message.text)

    def _variables(self, variables: Sequence[Variable]) -> None:
        if not variables:
            return
        self._printer.console.print("values", style="bold cyan")
        used = [one for one in variables if one.used]
        if used:
            grid = Table.grid(padding=(0, 2, 0, 0))
            grid.add_column(no_wrap=True)
            grid.add_column(ratio=1, overflow="fold")
            grid.add_column(style="dim", no_wrap=True)
            for one in used:
                grid.add_row(plain(one.name), lines_of(_short(one.value)), plain(one.source))
            self._printer.console.print(Padding(grid, (0, 0, 0, 2)))
        unused = ", ".join(one.name for one in variables if not one.used)
        if unused:
            self._printer.console.print(plain(f"  not used by the prompt: {unused}"), style="dim")

    def _answer(self, row: Row) -> None:
        answer = row.answer
        if answer is None:
            self._printer.line("answer", "not asked (--ask sends it)", style="dim")
            return
        self._printer.line("answer", how_it_came(answer), style="red" if answer.fault else "green")
        if answer.text is not None:
            self._printer.block(answer.text)
        if row.other_thoughts is not None:
            self._printer.line("thoughts", row.other_thoughts, style="dim")

    def _parsed(self, sample_id: str, parsed: Parsed) -> None:
        name = self._printer.name_of(sample_id, parsed.entity_id)
        label = f"-> {name.id}" if name.id else "->"
        if parsed.text is not None:
            self._printer.line(label, parsed.text)
            if parsed.source:
                self._printer.line("", f"by {parsed.source}", style="dim")
            if parsed.issue:
                self._printer.line("", parsed.issue, style="red")
        else:
            self._printer.line(label, parsed.issue or "no answer", style="red")


def _from_here(path: str) -> str:
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def _short(value: str) -> str:
    if len(value) <= _LONGEST_VALUE:
        return value
    return f"{value[:_LONGEST_VALUE]} ... ({len(value):,} characters)"


def _dim_if(yes: bool) -> str:
    return "dim" if yes else ""
