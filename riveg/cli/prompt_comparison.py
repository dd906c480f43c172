"""Two prompts side by side on the terminal: messages, answers, consequences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from riveg.cli.prompt_printer import PromptPrinter
from riveg.cli.tables import plain
from riveg.cli.visible import counted, visible
from riveg.prompt_debug.document import (
    SAME,
    UNASKED,
    Compared,
    Consequence,
    Named,
    Post,
    PromptDebug,
)
from riveg.prompt_debug.message_diff import message_diff
from riveg.prompt_debug.word_diff import Piece, word_diff

_MOST_CHANGES = 12
"""Places shown where the messages of two prompts differ."""
_LEAST_SHARED = 0.5
"""Share of common words below which the differences of two prompts are not shown one by one."""
_TITLES = {"changed": "changed", "unasked": "not answered under both", "same": "same"}
_BRACKETS = {"A": "[-{}-]", "B": "{{+{}+}}"}
_OWN_STYLES = {"A": "red strike", "B": "green bold"}
_OUTCOME_STYLES = {"fixed": "bold green", "broken": "bold red", "still-wrong": "yellow"}


def print_comparison(printer: PromptPrinter, found: PromptDebug) -> None:
    """How the messages differ, then every answer under both prompts: changed ones first."""
    _TwoPrompts(printer, found).print()


class _TwoPrompts:
    def __init__(self, printer: PromptPrinter, found: PromptDebug) -> None:
        self._printer = printer
        self._found = found
        self._samples = {sample.id: sample for sample in found.posts}

    def print(self) -> None:
        self._message_difference()
        by_sample: dict[str, list[Consequence]] = defaultdict(list)
        for one in self._found.consequences:
            by_sample[one.sample_id].append(one)
        for state, rows in groupby(self._found.compared, key=lambda row: row.state):
            these = list(rows)
            self._printer.rule(_TITLES[state], counted(len(these), "answer"))
            last = None
            for row in these:
                if row.sample_id != last:
                    self._heading(self._samples[row.sample_id])
                last = row.sample_id
                self._compared(row, by_sample[row.sample_id])

    def _message_difference(self) -> None:
        diff = message_diff(*self._found.sides)
        if diff is None or not diff.changes:
            return
        self._printer.rule(f"how the messages differ, for {diff.sample_id}")
        if diff.shared < _LEAST_SHARED:
            share = f"{100 * diff.shared:.0f} % of their words"
            self._printer.console.print(f"they share {share}; --html shows both side by side")
            return
        for change in diff.changes[:_MOST_CHANGES]:
            line = Text("... ", style="dim")
            for stretch in change:
                if stretch.side:
                    line.append_text(self._marked((Piece(stretch.text, True),), stretch.side))
                else:
                    line.append(visible(stretch.text))
            line.append(" ...")
            self._printer.console.print(Padding(line, (0, 0, 0, 2)))
        if len(diff.changes) > _MOST_CHANGES:
            more = counted(len(diff.changes) - _MOST_CHANGES, "more place")
            self._printer.console.print(f"  and in {more} (--html shows both)", style="dim")

    def _heading(self, sample: Post) -> None:
        heading = plain(f"{sample.id}  {sample.text}")
        heading.stylize("bold", 0, len(visible(sample.id)))
        self._printer.console.print()
        self._printer.console.print(heading, no_wrap=True, overflow="ellipsis")

    def _compared(self, row: Compared, consequences: Sequence[Consequence]) -> None:
        named = self._printer.name_of(row.sample_id, row.entity_id)
        own = [one for one in consequences if row.entity_id in {None, one.entity_id}]
        outcome = next((one.outcome for one in own if row.entity_id and one.outcome), "")
        if row.state == SAME or (row.state == UNASKED and not any(_texts(row))):
            self._same(row, named, outcome)
            return
        if row.entity_id:
            self._subject(named, outcome)
        if row.state == UNASKED:
            self._unasked(row)
        else:
            self._both(row)
        for one in own:
            if row.entity_id is None and (one.differs or one.outcome in {"fixed", "broken"}):
                self._subject(Named("", one.text, ""), one.outcome or "")
            self._consequence(one)

    def _subject(self, named: Named, outcome: str) -> None:
        label = f" ({named.label})" if named.label else ""
        line = plain(f"  {named.id} {named.text}{label}" if named.id else f"  {named.text}")
        grid = Table.grid(expand=True)
        grid.add_column(overflow="fold")
        grid.add_column(justify="right", no_wrap=True)
        grid.add_row(line, Text(outcome.replace("-", " "), style=_OUTCOME_STYLES.get(outcome, "")))
        self._printer.console.print(grid)

    def _same(self, row: Compared, named: Named, outcome: str) -> None:
        none = "not asked under either" if row.state == UNASKED else "no answer"
        answer = (row.before or row.faults[0] or none).partition("\n")[0]
        text = f"{named.id} {named.text} ({named.label}): {answer}" if named.id else answer
        line = plain(f"  {text}")
        line.truncate(self._printer.console.width - len(outcome) - 2, overflow="ellipsis", pad=True)
        line.append(f"  {outcome.replace('-', ' ')}", style="dim")
        self._printer.console.print(line, no_wrap=True)

    def _both(self, row: Compared) -> None:
        pieces = word_diff(row.before or "", row.after or "")
        texts = (row.before, row.after)
        for mark, own, text, fault in zip("AB", pieces, texts, row.faults, strict=True):
            if text is None:
                self._printer.indented(mark, plain(fault or "no answer"), style="red")
            else:
                whole = None in texts
                self._printer.indented(
                    mark, self._marked(own if not whole else (Piece(text, False),), mark)
                )

    def _unasked(self, row: Compared) -> None:
        for mark, text, fault in zip("AB", (row.before, row.after), row.faults, strict=True):
            shown = text if text is not None else fault or "not asked (--ask sends it)"
            style = "" if text is not None else "dim"
            self._printer.indented(mark, Text(visible(shown, keep="\n")), style=style)

    def _marked(self, pieces: Sequence[Piece], mark: str) -> Text:
        """A text whose own words stand out: by colour, or by brackets if there is no colour."""
        text = Text()
        for piece in pieces:
            words = visible(piece.text, keep="\n")
            if not piece.own or piece.text.isspace():
                text.append(words)
            elif self._printer.is_coloured:
                text.append(words, style=_OWN_STYLES[mark])
            else:
                text.append(_BRACKETS[mark].format(words))
        return text

    def _consequence(self, one: Consequence) -> None:
        for effect in one.effects:
            if effect.before != effect.after:
                self._printer.indented(effect.stage, plain(f"{effect.before}  ->  {effect.after}"))
        if one.verdicts is not None and one.verdicts[0] != one.verdicts[1]:
            before, after = (kind or "not predicted" for kind in one.verdicts)
            self._printer.indented("gold", plain(f"{before}  ->  {after}"))
        elif one.verdicts is not None and one.differs:
            self._printer.indented(
                "gold", plain(f"{one.verdicts[0] or 'not predicted'} under both")
            )


def _texts(row: Compared) -> tuple[str | None, ...]:
    return row.before, row.after, *row.faults
