"""What the servers of language models were asked for a stage, as a run's manifest keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Number = TypeVar("Number", int, float)

_LAST = 253_402_300_799
"""The last second of the year 9999; later times have no date."""


class Account(BaseModel):
    """What one server was asked for one stage, and what that cost.

    Args:
        model: The model's id.
        server: The URL of its API; ``vllm serve`` and such for one that riveg starts, and
            ``vllm-offline`` for the engine in riveg's own process.
        currency: Of the cost; ``None``: the endpoint has no prices.
        requests: Requests that have ended; repeated ones and re-asks count each time.
        retries: Of them, those that were sent again because an earlier try had failed.
        failures: Of them, those without a response: not reached, too late, an error, a refusal.
        uncounted: Of the others, those whose tokens the server did not count.
        prompt_tokens: As the server counted them; ``None``: it never did.
        answer_tokens: Likewise.
        cost: Of the tokens that were counted, at the prices of their time.
        lost_since: Of a server that fails time and again, the first failure that no response has
            followed, in seconds since 1970; ``None``: it works.
    """

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False, frozen=True)

    model: str
    server: str
    currency: str | None = None
    requests: int = Field(default=0, ge=0)
    retries: int = Field(default=0, ge=0)
    failures: int = Field(default=0, ge=0)
    uncounted: int = Field(default=0, ge=0)
    prompt_tokens: int | None = Field(default=None, ge=0)
    answer_tokens: int | None = Field(default=None, ge=0)
    cost: float | None = Field(default=None, ge=0)
    lost_since: float | None = Field(default=None, ge=0, le=_LAST)

    @property
    def key(self) -> tuple[str, str, str | None]:
        """What accounts that can be added have in common."""
        return self.model, self.server, self.currency

    def __add__(self, later: Account) -> Account:
        """Both together; whether the server works is the later one's to say."""
        return Account.model_construct(
            model=self.model,
            server=self.server,
            currency=self.currency,
            requests=self.requests + later.requests,
            retries=self.retries + later.retries,
            failures=self.failures + later.failures,
            uncounted=self.uncounted + later.uncounted,
            prompt_tokens=known_sum(self.prompt_tokens, later.prompt_tokens),
            answer_tokens=known_sum(self.answer_tokens, later.answer_tokens),
            cost=known_sum(self.cost, later.cost),
            lost_since=later.lost_since,
        )

    def lost(self) -> str | None:
        """That the server is lost, since when, and what failed, in one line; ``None``: it works."""
        if self.lost_since is None:
            return None
        since = datetime.fromtimestamp(self.lost_since, UTC)
        return (
            f"{self.server} is lost: no response since {since:%Y-%m-%d %H:%M:%S} UTC, requests "
            f"that failed: {self.failures}"
        )


Accounts = Mapping[str, Sequence[Account]]
"""By stage."""


def known_sum(first: Number | None, second: Number | None) -> Number | None:
    """The sum of what is known; ``None`` if nothing is."""
    if first is None or second is None:
        return second if first is None else first
    return first + second


def read_accounts(manifest: Mapping[str, Any]) -> Accounts:
    """The accounts of a checked manifest; none where an older riveg has written it."""
    found: Mapping[str, list[dict[str, Any]]] = manifest.get("accounts", {})
    return {stage: [Account.model_validate(one) for one in each] for stage, each in found.items()}


def lost_servers(accounts: Accounts) -> Iterator[str]:
    """A line for each server that a stage has lost."""
    for stage, each in accounts.items():
        yield from (f"{stage}: {line}" for one in each if (line := one.lost()))


def written_accounts(accounts: Accounts) -> dict[str, list[dict[str, Any]]]:
    """Accounts as they stand in a manifest."""
    return {stage: [one.model_dump() for one in each] for stage, each in accounts.items()}


def merged_accounts(runs: Iterable[Accounts]) -> Accounts:
    """The accounts of several runs together; a server is lost that one of them has lost."""
    total: dict[str, dict[object, Account]] = {}
    for stage, accounts in (pair for run in runs for pair in run.items()):
        known = total.setdefault(stage, {})
        for one in accounts:
            known[one.key] = _both(known[one.key], one) if one.key in known else one
    return {stage: list(known.values()) for stage, known in total.items()}


def _both(one: Account, other: Account) -> Account:
    lost = [at for at in (one.lost_since, other.lost_since) if at is not None]
    return (one + other).model_copy(update={"lost_since": min(lost, default=None)})
