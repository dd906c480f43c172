"""Accounts of what becomes of an endpoint's requests, as soon as each has ended."""

from __future__ import annotations

from collections.abc import Callable

from riveg.formats.accounts import Account
from riveg.llm.endpoint import Endpoint
from riveg.llm.response import Completion

Book = Callable[[Account], None]
"""Takes the account of one request, to add it to others; any thread may call it."""


def no_book(_: Account) -> None:
    """Keeps no accounts."""


class Accountant:
    """Writes the requests of one endpoint into a book.

    Args:
        endpoint: Its model and prices.
        book: Where they are added up.
    """

    def __init__(self, endpoint: Endpoint, book: Book) -> None:
        self._endpoint = endpoint
        self._book = book

    def answered(self, completion: Completion, url: str = "", *, is_retry: bool = False) -> None:
        """A request has a response.

        Args:
            completion: The response and its tokens.
            url: Of the server that gave it; empty: the engine in this process.
            is_retry: Whether an earlier try had failed.
        """
        prompt, answer = completion.prompt_tokens, completion.answer_tokens
        prices = self._endpoint.prices
        more: dict[str, object] = {"prompt_tokens": prompt, "answer_tokens": answer}
        if prompt is None or answer is None:
            more["uncounted"] = 1
        elif prices is not None:
            more["cost"] = prices.cost(prompt, answer)
        self._book(self._account(url, is_retry=is_retry).model_copy(update=more))

    def failed(
        self, url: str = "", *, is_retry: bool = False, lost_since: float | None = None
    ) -> None:
        """A request has ended without a response.

        Args:
            url: As for :meth:`answered`.
            is_retry: Likewise.
            lost_since: As in :class:`~riveg.formats.accounts.Account`.
        """
        account = self._account(url, is_retry=is_retry)
        self._book(account.model_copy(update={"failures": 1, "lost_since": lost_since}))

    def _account(self, url: str, *, is_retry: bool) -> Account:
        endpoint = self._endpoint
        # A server that riveg starts has another port each time.
        serve = None if endpoint.serve is None else f"{endpoint.serve.engine} serve"
        return Account(
            model=endpoint.shown,
            server=serve or url or endpoint.engine,
            currency=endpoint.prices.currency if endpoint.prices else None,
            requests=1,
            retries=int(is_retry),
        )
