"""What ``riveg prompt-debug`` prints: made for 80 columns, read from the top."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from riveg.cli.tables import plain, stdout
from riveg.cli.visible import counted, visible
from riveg.prompt_debug.counts import (
    change_line,
    downstream_lines,
    how_it_came,
    question_line,
    token_line,
)
from riveg.prompt_debug.document import (
    SAME,
    UNASKED,
    Compared,
    Consequence,
    ModelAnswer,
    Named,
    Parsed,
    Post,
    PromptDebug,
    Row,
    Said,
    Side,
    Variable,
)
from riveg.prompt_debug.message_diff import message_diff
from riveg.prompt_debug.word_diff import Piece, word_diff

_WIDEST = 100
_LABEL = 10
"""Columns of the words in front of a line."""
_MOST_CHANGES = 12
"""Places shown where the messages of two prompts differ."""
_LITTLE = 0.5
"""Share of common words below which two prompts are not shown as changes of each other."""
_LONGEST_VALUE = 200
"""Characters of a value: the whole of it stands in the message."""


def print_prompt_debug(found: PromptDebug) -> None:
    """Everything, on stdout."""
    sheet = _Sheet(stdout(), found)
    sheet.head()
    if len(found.sides) == 1:
        sheet.questions(found.sides[0])
    else:
        sheet.differences()


class _Sheet:
    def __init__(self, console: Console, found: PromptDebug) -> None:
        self._console = console
        self._found = found
        self._posts = {post.id: post for post in found.posts}
        self._coloured = console.color_system is not None and not os.environ.get("NO_COLOR")
        console.width = min(console.width, _WIDEST)

    def head(self) -> None:
        """Which system, prompts, posts; how many questions and answers; what is missing."""
        found = self._found
        self._line("stage", f"{found.stage}: {found.backend} of {found.system}")
        self._line("model", f"{found.llm}: {found.model}")
        many = counted(len(found.posts), "post")
        self._line("posts", f"{many} of {found.data}" if found.data != "--text" else "as given")
        for mark, side in zip(self._marks, found.sides, strict=True):
            self._line(
                f"prompt{mark}", f"{_from_here(side.prompt.name)}  ({side.prompt.fingerprint[:12]})"
            )
            path = _from_here(side.prompt.path)
            if path != _from_here(side.prompt.name):
                self._line("", path, style="dim")
            self._line("questions", question_line(side), style=_dim_if(bool(mark)))
            self._line("tokens", token_line(side), style=_dim_if(bool(mark)))
        if len(found.sides) == 2:
            self._line("answers", change_line(found), style="bold")
            for number, line in enumerate(downstream_lines(found)):
                self._line("" if number else "then", line)
        for note in found.notes:
            self._line("note", note, style="yellow")

    @property
    def _marks(self) -> tuple[str, ...]:
        return ("",) if len(self._found.sides) == 1 else (" A", " B")

    # One prompt

    def questions(self, side: Side) -> None:
        """What all questions share, then each with its values, message and answer."""
        if side.shared or side.constants:
            self._rule("the same for all questions")
            self._messages(side.shared)
            self._variables(side.constants)
        for number, row in enumerate(side.rows, start=1):
            self._question(row, f"{number} of {len(side.rows)}")

    def _question(self, row: Row, position: str) -> None:
        self._rule(f"{row.sample_id}  {self._asked_about(row)}".rstrip(), position)
        self._messages(row.messages)
        self._variables(row.variables)
        exact = "" if row.exact else "about "
        self._line("tokens", f"{exact}{row.tokens:,}")
        self._answer(row.answer)
        for parsed in row.parsed:
            self._parsed(row.sample_id, parsed)

    def _asked_about(self, row: Row) -> str:
        names = [self._named(row.sample_id, entity_id) for entity_id in row.entity_ids]
        return ", ".join(f"{one.id} {one.text} ({one.label})" for one in names)

    def _named(self, sample_id: str, entity_id: str | None) -> Named:
        post = self._posts.get(sample_id)
        for one in post.entities if post else ():
            if one.id == entity_id:
                return one
        return Named(entity_id or "", "", "")

    def _messages(self, messages: Sequence[Said]) -> None:
        for said in messages:
            images = "".join(f"  [picture {path}]" for path in said.pictures)
            self._console.print(plain(said.role + images), style="bold cyan")
            self._block(said.text)

    def _variables(self, variables: Sequence[Variable]) -> None:
        if not variables:
            return
        self._console.print("values", style="bold cyan")
        used = [one for one in variables if one.used]
        if used:
            grid = Table.grid(padding=(0, 2, 0, 0))
            grid.add_column(no_wrap=True)
            grid.add_column(ratio=1, overflow="fold")
            grid.add_column(style="dim", no_wrap=True)
            for one in used:
                grid.add_row(plain(one.name), _lines(_short(one.value)), plain(one.source))
            self._console.print(Padding(grid, (0, 0, 0, 2)))
        unused = ", ".join(one.name for one in variables if not one.used)
        if unused:
            self._console.print(plain(f"  not used by the prompt: {unused}"), style="dim")

    def _answer(self, answer: ModelAnswer | None) -> None:
        if answer is None:
            self._line("answer", "not asked (--ask sends it)", style="dim")
            return
        self._line("answer", how_it_came(answer), style="red" if answer.fault else "green")
        if answer.text is not None:
            self._block(answer.text)

    def _parsed(self, sample_id: str, parsed: Parsed) -> None:
        name = self._named(sample_id, parsed.entity_id)
        label = f"-> {name.id}" if name.id else "->"
        if parsed.text is not None:
            self._line(label, parsed.text)
            if parsed.source:
                self._line("", f"by {parsed.source}", style="dim")
        else:
            self._line(label, parsed.issue or "no answer", style="red")

    # Two prompts

    def differences(self) -> None:
        """How the messages differ, then every answer under both: changed ones first."""
        self._message_difference()
        by_post: dict[str, list[Consequence]] = defaultdict(list)
        for one in self._found.consequences:
            by_post[one.sample_id].append(one)
        for state, rows in groupby(self._found.compared, key=lambda row: row.state):
            these = list(rows)
            self._rule(_TITLES[state], counted(len(these), "answer"))
            last = None
            for row in these:
                if row.sample_id != last:
                    self._heading(self._posts[row.sample_id])
                last = row.sample_id
                self._compared(row, by_post[row.sample_id])

    def _message_difference(self) -> None:
        diff = message_diff(*self._found.sides)
        if diff is None or not diff.changes:
            return
        self._rule(f"how the messages differ, for {diff.sample_id}")
        if diff.shared < _LITTLE:
            share = f"{100 * diff.shared:.0f} % of their words"
            self._console.print(f"they share {share}; --html shows both side by side")
            return
        for change in diff.changes[:_MOST_CHANGES]:
            line = Text("... ", style="dim")
            for stretch in change:
                if stretch.side:
                    line.append_text(self._marked((Piece(stretch.text, True),), stretch.side))
                else:
                    line.append(visible(stretch.text))
            line.append(" ...")
            self._console.print(Padding(line, (0, 0, 0, 2)))
        if len(diff.changes) > _MOST_CHANGES:
            more = counted(len(diff.changes) - _MOST_CHANGES, "more place")
            self._console.print(f"  and in {more} (--html shows both)", style="dim")

    def _heading(self, post: Post) -> None:
        heading = plain(f"{post.id}  {post.text}")
        heading.stylize("bold", 0, len(visible(post.id)))
        self._console.print()
        self._console.print(heading, no_wrap=True, overflow="ellipsis")

    def _compared(self, row: Compared, consequences: Sequence[Consequence]) -> None:
        named = self._named(row.sample_id, row.entity_id)
        own = [one for one in consequences if row.entity_id in {None, one.entity_id}]
        outcome = next((one.outcome for one in own if row.entity_id and one.outcome), "")
        if row.state == SAME or (row.state == UNASKED and not any(_told(row))):
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
        self._console.print(grid)

    def _same(self, row: Compared, named: Named, outcome: str) -> None:
        none = "not asked under either" if row.state == UNASKED else "no answer"
        said = (row.before or row.faults[0] or none).partition("\n")[0]
        told = f"{named.id} {named.text} ({named.label}): {said}" if named.id else said
        line = plain(f"  {told}")
        line.truncate(self._console.width - len(outcome) - 2, overflow="ellipsis", pad=True)
        line.append(f"  {outcome.replace('-', ' ')}", style="dim")
        self._console.print(line, no_wrap=True)

    def _both(self, row: Compared) -> None:
        pieces = word_diff(row.before or "", row.after or "")
        texts = (row.before, row.after)
        for mark, own, text, fault in zip("AB", pieces, texts, row.faults, strict=True):
            if text is None:
                self._two(mark, plain(fault or "no answer"), style="red")
            else:
                whole = None in texts
                self._two(mark, self._marked(own if not whole else (Piece(text, False),), mark))

    def _unasked(self, row: Compared) -> None:
        for mark, text, fault in zip("AB", (row.before, row.after), row.faults, strict=True):
            said = text if text is not None else fault or "not asked (--ask sends it)"
            style = "" if text is not None else "dim"
            self._two(mark, Text(visible(said, keep="\n")), style=style)

    def _marked(self, pieces: Sequence[Piece], mark: str) -> Text:
        """A text whose own words stand out: by colour, or where there is none by brackets."""
        text = Text()
        for piece in pieces:
            words = visible(piece.text, keep="\n")
            if not piece.own or piece.text.isspace():
                text.append(words)
            elif self._coloured:
                text.append(words, style=_OWN_STYLES[mark])
            else:
                text.append(_BRACKETS[mark].format(words))
        return text

    def _consequence(self, one: Consequence) -> None:
        for effect in one.effects:
            if effect.before != effect.after:
                self._two(effect.stage, plain(f"{effect.before}  ->  {effect.after}"))
        if one.verdicts is not None and one.verdicts[0] != one.verdicts[1]:
            before, after = (kind or "not predicted" for kind in one.verdicts)
            self._two("gold", plain(f"{before}  ->  {after}"))
        elif one.verdicts is not None and one.differs:
            self._two("gold", plain(f"{one.verdicts[0] or 'not predicted'} under both"))

    # Lines

    def _line(self, label: str, text: str, style: str = "") -> None:
        self._grid(label, Text(visible(text, keep="\n")), style, 0, _LABEL)

    def _two(self, label: str, text: Text, style: str = "") -> None:
        self._grid(label, text, style, 5, 2 if len(label) < 2 else 7)

    def _grid(self, label: str, text: Text, style: str, indent: int, width: int) -> None:
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_column(width=width - 1, no_wrap=True, style="dim")
        grid.add_column(overflow="fold", style=style)
        grid.add_row(plain(label), text)
        self._console.print(Padding(grid, (0, 0, 0, indent)))

    def _block(self, text: str) -> None:
        self._console.print(Padding(_lines(text), (0, 0, 0, 2)))

    def _rule(self, title: str, note: str = "") -> None:
        width = self._console.width
        head = plain(title)
        head.truncate(max(10, width - len(note) - 8), overflow="ellipsis")
        fill = width - head.cell_len - len(note) - (6 if note else 4)
        line = Text("── ", style="dim") + Text.styled(head.plain, "bold")
        line.append(" " + "─" * max(2, fill), style="dim")
        if note:
            line.append(f" {note}", style="dim")
        self._console.print()
        self._console.print(line, no_wrap=True)


_TITLES = {"changed": "changed", "unasked": "not answered under both", "same": "same"}
_BRACKETS = {"A": "[-{}-]", "B": "{{+{}+}}"}
_OWN_STYLES = {"A": "red strike", "B": "green bold"}
_OUTCOME_STYLES = {"fixed": "bold green", "broken": "bold red", "still-wrong": "yellow"}


def _told(row: Compared) -> tuple[str | None, ...]:
    return row.before, row.after, *row.faults


def _from_here(path: str) -> str:
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def _short(value: str) -> str:
    if len(value) <= _LONGEST_VALUE:
        return value
    return f"{value[:_LONGEST_VALUE]} ... ({len(value):,} characters)"


def _dim_if(yes: bool) -> str:
    return "dim" if yes else ""


def _lines(text: str) -> RenderableType:
    return Text(visible(text, keep="\n"), overflow="fold")
