"""``riveg run --dry-run``: the requests of a run as a table."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator

from riveg.cli.sheets import Sheet
from riveg.cli.tables import plain, stdout
from riveg.cli.visible import counted
from riveg.runs.dry_run import DryRun
from riveg.runs.request_counts import StageRequests


def print_dry_run(found: DryRun) -> None:
    """A row for each stage, then how far the figures can be trusted."""
    console = stdout()
    if not found.stages:
        console.print("dry run: no stage of this system asks a language model")
    else:
        title = f"dry run over {counted(found.samples, 'sample')}: nothing was sent"
        rows = tuple(map(_row, found.stages))
        Sheet(title, _columns(found), tuple(row[: len(_columns(found))] for row in rows), 2).print()
        console.print()
    for line in _lines(found):
        console.print(plain(line), soft_wrap=True)


def _columns(found: DryRun) -> tuple[str, ...]:
    columns = ("stage", "asks", "requests", "on file", "to send", "prompt", "answer <=")
    return (*columns, "cost <=") if any(one.currency for one in found.stages) else columns


def _row(one: StageRequests) -> tuple[str, ...]:
    about = "~" if one.estimated else ""
    cost = "?" if one.cost is None and one.estimated else ""
    if one.cost is not None:
        cost = f"{about}{_money(one.cost)} {one.currency}"
    return (
        one.stage,
        one.llm,
        f"{about}{one.requests:,}",
        "?" if one.estimated else f"{one.answered:,}",
        f"{about}{one.to_send:,}",
        _tokens(one.prompt_tokens, "" if one.exact else "~"),
        _tokens(one.answer_tokens, about),
        cost,
    )


def _tokens(number: int | None, about: str) -> str:
    return "?" if number is None else f"{about if number else ''}{number:,}"


def _money(cost: float) -> str:
    """Rounded up, because it is printed as the most that a run costs."""
    return f"{math.ceil(round(cost * 100, 6)) / 100:,.2f}"


def _lines(found: DryRun) -> Iterator[str]:
    for llm, model in dict.fromkeys((one.llm, one.model) for one in found.stages):
        yield f"model     {llm}: {model}"
    if any(one.prompt_tokens for one in found.stages):
        exact = all(one.exact for one in found.stages if one.prompt_tokens and not one.estimated)
        how = "counted by the model's own tokenizer" if exact else "estimated, no tokenizer here"
        yield f"tokens    of what is to be sent; those of prompts {how}"
        yield "          answers at their longest; without re-asks and retries"
    later = [one.stage for one in found.stages if one.estimated]
    if later:
        yield f"~         {', '.join(later)}: an estimate, for its input is not there yet"
    for note in found.notes:
        yield f"          {note}"
    totals: dict[str, float] = defaultdict(float)
    for one in found.stages:
        if one.currency and one.cost is not None:
            totals[one.currency] += one.cost
    if len(found.stages) > 1 and totals:
        costs = ", ".join(f"{_money(total)} {currency}" for currency, total in totals.items())
        unknown = [one.stage for one in found.stages if one.prompt_tokens is None]
        rest = f", and what {' and '.join(unknown)} will cost" if unknown else ""
        yield f"in all    at most {costs}{rest}"
    if found.done:
        yield f"done      {', '.join(found.done)}: kept in {found.folder}"
