"""What language models were asked and what that cost, as a table and lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from rich.table import Table

from riveg.cli.numbers import money, short
from riveg.cli.tables import bare_table, plain
from riveg.cli.visible import counted
from riveg.formats.accounts import Account, Accounts, lost_servers


def account_table(accounts: Accounts) -> Table:
    """A row for each stage and server."""
    table = bare_table()
    table.add_column("asked")
    table.add_column("server", overflow="fold")
    numbers = ("requests", "failed", "sent", "received", *(("cost",) if _costs(accounts) else ()))
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    models = {one.model for each in accounts.values() for one in each}
    for stage, each in accounts.items():
        for one in each:
            server = one.server if len(models) == 1 else f"{one.server} {one.model}"
            table.add_row(*map(plain, (stage, server, *_cells(one)[: len(numbers)])))
    return table


def _cells(one: Account) -> tuple[str, ...]:
    counts = (one.requests, one.failures, one.prompt_tokens, one.answer_tokens)
    cost = "" if one.cost is None else money(one.cost, one.currency)
    return *("" if count is None else short(count) for count in counts), cost


def account_lines(accounts: Accounts) -> Iterator[str]:
    """The servers that are lost, the cost of all, and what is not in it."""
    yield from (f"lost      {line}" for line in lost_servers(accounts))
    costs = _costs(accounts)
    if not costs:
        return
    total = " and ".join(money(cost, currency) for currency, cost in costs.items())
    uncounted = sum(one.uncounted for each in accounts.values() for one in each)
    more = f"; {counted(uncounted, 'answer')} came without a count of tokens" if uncounted else ""
    yield f"cost      {total}{more}"


def _costs(accounts: Accounts) -> dict[str | None, float]:
    """By currency."""
    costs: dict[str | None, float] = defaultdict(float)
    for one in (one for each in accounts.values() for one in each):
        if one.cost is not None:
            costs[one.currency] += one.cost
    return costs
