"""The servers of one model: the least busy is asked, and failures are told apart."""

from __future__ import annotations

import ipaddress
import logging
import os
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from riveg.errors import MissingExtra, UserError
from riveg.llm.bounded_bodies import ACCEPTED, UnreadableBody, bound_body
from riveg.llm.rate_limits import LONGEST_PAUSE_S, retry_after_s
from riveg.llm.response import Completion, NotACompletion, read_completion
from riveg.text.secrets import Redaction, secrets_of, without_key_forms

if TYPE_CHECKING:
    from openai import APIConnectionError, APIStatusError, AsyncOpenAI

_RETRIED = frozenset({408, 409, 425, 429})
_ABOUT_THE_REQUEST = frozenset({400, 413, 422})
_RESTS_AFTER = 5
"""Failures in a row after which a server is not asked for a while."""

LONGEST_REST_S = 600.0
"""A server that wants a longer rest counts as lost for this run."""

_SHOWN = 240
"""Characters of a server's words in a message."""

_READ = 20_000
"""Characters of a server's words that are searched for the names of fields."""

_SHORTEST_KEY = 8
"""Of a key that answers are searched for: shorter ones, such as ``none``, are usual words."""

_LOGGERS = ("httpcore", "httpcore2", "httpx", "httpx2", "openai")
"""They log requests with what a server says in its status line, which may be the key."""


class ServerFault(Exception):
    """A failure that another try may cure.

    Args:
        message: What happened.
        unreachable: Whether no server was reached.
        retry_after_s: The wait that the server asks for.
    """

    def __init__(
        self, message: str, *, unreachable: bool = False, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.unreachable = unreachable
        self.retry_after_s = retry_after_s


class Refusal(Exception):
    """The server refuses this request.

    Args:
        message: For people.
        words: All words of the server.
    """

    def __init__(self, message: str, words: str) -> None:
        super().__init__(message)
        self.words = words


@dataclass(slots=True)
class Address:
    """One server: how busy it is, and how often it failed."""

    url: str
    shown: str
    client: AsyncOpenAI
    in_flight: int = 0
    sent: int = 0
    failures: int = 0
    failing_since: float | None = None
    unreachable: bool = False
    rests_until: float = 0.0

    @property
    def is_lost(self) -> bool:
        """Whether it was not reached at the last try, or has failed several times in a row."""
        return self.unreachable or self.failures >= _RESTS_AFTER

    @property
    def lost_since(self) -> float | None:
        """Its first failure without a response since, in seconds since 1970, if it is lost."""
        return self.failing_since if self.is_lost else None

    def failed(self, fault: ServerFault, now: float, pause_s: float) -> None:
        """Notes a failure; a server that is lost rests."""
        self.failures += 1
        self.failing_since = self.failing_since or time.time()
        self.unreachable = fault.unreachable
        asked_for = fault.retry_after_s or 0.0
        if asked_for > LONGEST_REST_S:
            self.failures = max(self.failures, _RESTS_AFTER)
        if self.is_lost:
            rest = pause_s * 2.0 ** min(self.failures, 30)
            self.rests_until = now + max(asked_for, min(LONGEST_PAUSE_S, rest))

    def answered(self) -> None:
        """Notes that the server works."""
        self.failures = 0
        self.failing_since = None
        self.unreachable = False
        self.rests_until = 0.0


class Addresses:
    """The servers of one model.

    Args:
        urls: OpenAI-compatible roots.
        api_key: Sent to all of them; no message and no response holds it.
        timeout_s: Seconds for one request.

    Raises:
        UserError: If a URL is none.
    """

    def __init__(self, urls: Sequence[str], *, api_key: str | None, timeout_s: float) -> None:
        keys = (api_key,) if api_key else ()
        self._of_messages = Redaction((*keys, *secrets_of(os.environ)))
        self._of_responses = Redaction(keys, shortest=_SHORTEST_KEY)
        self.all = tuple(
            Address(url, shown_url(url), _client(url, api_key, timeout_s)) for url in urls
        )

    @property
    def shown(self) -> str:
        """All of them, for a message."""
        return ", ".join(address.shown for address in self.all)

    @property
    def are_unreachable(self) -> bool:
        """Whether none of them was reached at the last try."""
        return all(address.unreachable for address in self.all)

    @property
    def are_lost(self) -> bool:
        """Whether none of them works."""
        return all(address.is_lost for address in self.all)

    def pick(self, now: float, failed: Container[str] = ()) -> Address:
        """The least busy of those that do not rest; else the one whose rest ends first.

        Args:
            now: Seconds on a monotonic clock.
            failed: URLs of servers that have failed at the question: others go first.
        """
        awake = [address for address in self.all if address.rests_until <= now]
        if awake:
            awake = [address for address in awake if address.url not in failed] or awake
            return min(awake, key=lambda address: (address.in_flight, address.sent))
        return min(self.all, key=lambda address: address.rests_until)

    async def post(self, address: Address, body: dict[str, Any]) -> Completion:
        """One request, no second try.

        Raises:
            ServerFault: If another try may help.
            Refusal: If the server refuses this request.
            UserError: If it refuses all such requests: wrong key, wrong model, wrong URL.
        """
        from openai import APIConnectionError, APIStatusError

        client = address.client
        address.in_flight += 1
        address.sent += 1
        named = {"model", "messages", "prompt"}
        asked = {name: body[name] for name in body if name in named}
        fields = {name: body[name] for name in body if name not in named}
        ask = client.chat.completions if "messages" in body else client.completions
        try:
            response = await ask.with_raw_response.create(**asked, extra_body=fields)
            return self._without_key(read_completion(response.content))
        except NotACompletion as error:
            raise ServerFault(f"{address.shown}: {self.redacted(str(error))}") from None
        except UnreadableBody as error:
            raise ServerFault(f"{address.shown} sends {self.redacted(str(error))}") from None
        except APIConnectionError as error:
            raise self._unconnected(address, error) from None
        except APIStatusError as error:
            # The server's words may hold the key: they go through redaction, not into a traceback.
            raise self._status(address, error, body["model"]) from None
        except RecursionError:
            raise ServerFault(f"{address.shown} answers with too many brackets") from None
        finally:
            address.in_flight -= 1

    def redacted(self, text: str) -> str:
        """The text on one line, cut, and without the key and other secrets of the environment."""
        line = " ".join(self._of_messages(text).split())
        return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."

    async def close(self) -> None:
        """Closes all connections."""
        for address in self.all:
            await address.client.close()

    def _without_key(self, completion: Completion) -> Completion:
        """A model may repeat what a server shows it, and servers log and quote headers."""
        response = completion.response
        hidden = self._of_responses
        written = "".join(token for token, _ in response.tokens)
        shown = replace(
            response,
            text=hidden(response.text),
            finish_reason=hidden(response.finish_reason)[:_SHOWN],
            first_token=tuple((hidden(token)[:_SHOWN], one) for token, one in response.first_token),
            thoughts=hidden(response.thoughts),
            # A key may be cut anywhere between tokens: where there is one, no token is kept.
            tokens=response.tokens if hidden(written) == written else (),
        )
        return replace(completion, response=shown)

    def _unconnected(self, address: Address, error: APIConnectionError) -> ServerFault:
        cause = error.__cause__ or error
        kind = type(cause).__name__
        unreachable = kind in {"ConnectError", "ConnectTimeout"}
        reason = self.redacted(str(cause)) or kind
        what = "cannot be reached" if unreachable else "broke off"
        if "Timeout" in kind and not unreachable:
            what = "did not answer in time"
        return ServerFault(f"{address.shown} {what} ({reason})", unreachable=unreachable)

    def _status(self, address: Address, error: APIStatusError, model: str) -> Exception:
        status = error.status_code
        words = self.redacted(error.message)
        message = f"{address.shown} answers {status}: {words}"
        if status == 429 and "insufficient_quota" in error.message:
            return UserError(f"{message}; the account behind the key has nothing left")
        if status in _RETRIED or status >= 500:
            return ServerFault(
                message, retry_after_s=retry_after_s(error.response.headers, datetime.now(UTC))
            )
        if status in _ABOUT_THE_REQUEST:
            return Refusal(message, error.response.text[:_READ])
        return UserError(f"{message}; {_advice(status, model)}")


def require_client() -> None:
    """Checks that the client package is installed.

    Raises:
        MissingExtra: If it is not.
    """
    if find_spec("openai") is None:
        raise MissingExtra("a chat endpoint", "openai", "chat")


def shown_url(url: str) -> str:
    """A URL without user, password and query.

    Raises:
        UserError: If it is no URL of a server.
    """
    parts = urlsplit(url)
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        port = ""
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        found = parts.scheme or repr(without_key_forms(url))
        raise UserError(f"base_urls: expected http://host:port/v1, found {found}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{port}{parts.path}"


def _advice(status: int, model: str) -> str:
    if status in {401, 403}:
        return "api_key_variable must name an environment variable that holds a key of this server"
    if status == 404:
        return f"is {model!r} the name that it knows the model by, and does base_urls end in /v1?"
    if 300 <= status < 400:
        return "redirects are not followed: give the final URL in base_urls"
    return "it takes no such requests: check base_urls and model"


def _client(url: str, api_key: str | None, timeout_s: float) -> AsyncOpenAI:
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient, Omit

    for logger in _LOGGERS:
        logging.getLogger(logger).setLevel(logging.WARNING)
    # A redirect could carry samples and images elsewhere; a loopback address needs no proxy.
    http_client = DefaultAsyncHttpxClient(
        follow_redirects=False,
        trust_env=not _is_loopback(url),
        timeout=timeout_s,
        headers={"Accept-Encoding": ACCEPTED},
        event_hooks={"response": [bound_body]},
    )
    omitted = cast("Any", {"OpenAI-Organization": Omit(), "OpenAI-Project": Omit()})
    return AsyncOpenAI(
        base_url=url,
        api_key=api_key or "none",
        max_retries=0,
        timeout=timeout_s,
        http_client=http_client,
        default_headers=omitted,
    )


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
