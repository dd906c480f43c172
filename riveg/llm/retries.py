"""Requests to a model's servers: paced, tried again if that may help, with a clear end."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import dataclass
from typing import Any

from riveg.errors import ServerGone, UserError
from riveg.formats.accounts import known_sum
from riveg.llm.accounting import Accountant
from riveg.llm.conversation import NoAnswer, Request
from riveg.llm.endpoint import Endpoint
from riveg.llm.local_server import Say
from riveg.llm.rate_limits import Pace, wait_s
from riveg.llm.request import refused_fields, without_fields
from riveg.llm.response import Completion
from riveg.llm.servers import LONGEST_REST_S, Address, Addresses, Refusal, ServerFault
from riveg.llm.token_counts import TokenCounter

_log = logging.getLogger(__name__)

_GIVEN_UP_IN_A_ROW = 16
"""Requests that a server fails at without a response in between, after which it counts as gone."""


@dataclass(slots=True)
class Effort:
    """What one request has cost so far."""

    started: float
    requests: int = 0
    prompt_tokens: int | None = None
    answer_tokens: int | None = None

    def add(self, completion: Completion) -> None:
        self.prompt_tokens = known_sum(self.prompt_tokens, completion.prompt_tokens)
        self.answer_tokens = known_sum(self.answer_tokens, completion.answer_tokens)


class Sender:
    """Sends requests for one model.

    Args:
        endpoint: Its limits.
        addresses: Its servers.
        tokens: Estimates requests, if tokens a minute are limited.
        pause_s: The wait after a first failure; later ones are longer.
        say: Told once of each server that is lost while others of the model work.
        accountant: Told of every request that has ended.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        addresses: Addresses,
        *,
        tokens: TokenCounter,
        pause_s: float,
        say: Say,
        accountant: Accountant,
    ) -> None:
        self._endpoint = endpoint
        self._addresses = addresses
        self._tokens = tokens
        self._pause_s = pause_s
        self._say = say
        self._accountant = accountant
        self._told: set[str] = set()
        self._requests_pace = Pace(endpoint.requests_per_minute)
        self._tokens_pace = Pace(endpoint.tokens_per_minute)
        self._given_up = 0
        self._accepted: frozenset[str] = frozenset()
        self.left_out: frozenset[str] = frozenset()

    async def send(
        self, request: Request, body: dict[str, Any], effort: Effort
    ) -> Completion | NoAnswer:
        """Sends a request, again as long as that may help.

        Args:
            request: Tells the size.
            body: What is sent.
            effort: Counts what is sent.

        Raises:
            ServerGone: If no request can be answered any more.
            UserError: If the server takes no such requests.
        """
        left_out = self.left_out
        failures = 0
        failed: set[str] = set()
        is_retry = False
        while True:
            await self._paced(request)
            sent = without_fields(body, left_out)
            address = self._addresses.pick(time.monotonic(), failed)
            try:
                completion = await self._post(address, sent, effort, is_retry=is_retry)
            except Refusal as refusal:
                more = self._refused(sent, refusal.words) - left_out
                if not more:
                    self._given_up = 0
                    return NoAnswer("no-answer", str(refusal))
                left_out |= more
                is_retry = True
            except ServerFault as fault:
                failures += 1
                failed.add(address.url)
                if failures >= self._endpoint.tries:
                    return self._give_up(fault)
                await self._rest(failures, fault)
                is_retry = True
            else:
                self._given_up = 0
                self._learn(left_out, frozenset(sent))
                return completion

    async def _post(
        self, address: Address, body: dict[str, Any], effort: Effort, *, is_retry: bool
    ) -> Completion:
        effort.requests += 1
        told = self._accountant
        try:
            async with asyncio.timeout(self._endpoint.timeout_s):
                completion = await self._addresses.post(address, body)
        except TimeoutError:
            limit = f"{self._endpoint.timeout_s:g} s"
            fault = ServerFault(f"{address.shown} did not answer within {limit}")
            self._failed(address, fault, is_retry=is_retry)
            raise fault from None
        except ServerFault as fault:
            self._failed(address, fault, is_retry=is_retry)
            raise
        except (Refusal, UserError):
            address.answered()
            told.failed(address.shown, is_retry=is_retry)
            raise
        address.answered()
        told.answered(completion, address.shown, is_retry=is_retry)
        return completion

    def _failed(self, address: Address, fault: ServerFault, *, is_retry: bool) -> None:
        address.failed(fault, time.monotonic(), self._pause_s)
        self._tell(address, fault)
        lost_since = address.lost_since
        self._accountant.failed(address.shown, is_retry=is_retry, lost_since=lost_since)

    def _tell(self, address: Address, fault: ServerFault) -> None:
        """Says that others do a server's work; where none is left, the run ends and says so."""
        if not address.is_lost or self._addresses.are_lost or address.url in self._told:
            return
        self._told.add(address.url)
        self._say(f"{fault}; the other servers of {self._endpoint.model} do its work")

    async def _paced(self, request: Request) -> None:
        await self._requests_pace.wait()
        if self._endpoint.tokens_per_minute is not None:
            tokens = self._tokens.count(request).tokens + request.max_tokens
            await self._tokens_pace.wait(tokens)

    async def _rest(self, failures: int, fault: ServerFault) -> None:
        asked_for = fault.retry_after_s
        if asked_for is not None and asked_for > LONGEST_REST_S:
            if not self._addresses.are_lost:
                return  # another one is asked
            raise ServerGone(
                f"{fault}; it asks to be left alone for {asked_for:.0f} s: "
                "start the same command again later, answers so far are kept"
            )
        await asyncio.sleep(wait_s(failures, self._pause_s, asked_for, random.random()))

    def _refused(self, body: dict[str, Any], words: str) -> frozenset[str]:
        """Fields to leave out, at first for this request only: the words may quote a sample.

        A field that the server has accepted before is not at fault.
        """
        suspects = {name: value for name, value in body.items() if name not in self._accepted}
        named = refused_fields(suspects, words)
        if not named and "chat_template_kwargs" in suspects:
            return frozenset({"chat_template_kwargs"})
        return named

    def _learn(self, left_out: frozenset[str], sent: frozenset[str]) -> None:
        """Leaves fields out from now on: the server accepted the request without them."""
        self._accepted |= sent
        new = left_out - self.left_out
        if new:
            self.left_out |= new
            _log.info("%s: its server takes no %s", self._endpoint.model, ", ".join(sorted(new)))

    def _give_up(self, fault: ServerFault) -> NoAnswer:
        if fault.unreachable and self._addresses.are_unreachable:
            raise ServerGone(
                f"{fault}, {self._endpoint.tries} times: start the server or mend base_urls "
                "(answers so far are kept), then the same command again"
            )
        self._given_up += 1
        if self._given_up >= _GIVEN_UP_IN_A_ROW:
            count, self._given_up = self._given_up, 0
            raise ServerGone(
                f"{self._addresses.shown} failed at {count} questions in a row: {fault}; see to "
                "the server (answers so far are kept), then start the same command again"
            )
        return NoAnswer("no-answer", f"{self._endpoint.tries} tries failed; the last: {fault}")

    async def close(self) -> None:
        """Closes all connections."""
        await self._addresses.close()
