"""Asks OpenAI-compatible servers: many questions at once, each until it is answered or given up."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from riveg.errors import ImageFault
from riveg.llm.answer_store import AnswerStore, StoredAnswer
from riveg.llm.conversation import AttachedImage, NoReply, Question, Reply, TokenCount, Unparsable
from riveg.llm.endpoint import Endpoint
from riveg.llm.event_loop import BackgroundLoop
from riveg.llm.images import EncodedImage, ImageEncoder
from riveg.llm.reasking import Interview
from riveg.llm.request import question_key, request_body
from riveg.llm.retries import Effort, Exchange
from riveg.llm.servers import Addresses, require_client
from riveg.llm.token_counts import TokenCounter
from riveg.protocols import ImageSource

_ENCODERS = 4
"""Images that are encoded at a time."""


class HttpChat:
    """A model behind HTTP; may be asked from several threads.

    Args:
        endpoint: The model, its settings and limits.
        store: Where answers are looked up and kept.
        images: Where the questions' images come from.
        urls: Roots of the servers; called in the asking thread, once, when the first question is
            not on file.
        api_key: Called right after it.
        pause_s: The wait after a first failure; later ones are longer.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        store: AnswerStore,
        images: ImageSource,
        urls: Callable[[], Sequence[str]],
        api_key: Callable[[], str | None],
        pause_s: float = 0.5,
    ) -> None:
        self._endpoint = endpoint
        self._store = store
        self._urls = urls
        self._api_key = api_key
        self._pause_s = pause_s
        self._images = ImageEncoder(images, endpoint.picture_side)
        self._tokens = TokenCounter(endpoint, self._images)
        self._slots = asyncio.Semaphore(endpoint.concurrency)
        self._encoders = asyncio.Semaphore(_ENCODERS)
        self._in_flight: dict[str, asyncio.Future[NoReply | None]] = {}
        self._lock = threading.Lock()
        self._connecting = threading.Lock()
        self._loop: BackgroundLoop | None = None
        self._exchange: Exchange | None = None

    @property
    def model(self) -> str:
        """The model's id."""
        return self._endpoint.model

    @property
    def left_out(self) -> frozenset[str]:
        """Optional fields of a request that the server turned out not to take."""
        return self._exchange.left_out if self._exchange else frozenset()

    def ask(self, questions: Sequence[Question]) -> Sequence[Reply | NoReply]:
        """Answers in the questions' order; the same question twice is asked once.

        Each answer is on file as soon as it is there. An interrupt, or a server that is gone, ends
        all questions of the call.

        Raises:
            ServerGone: If no server can be reached, or fails at question after question.
            UserError: If the server takes no such requests: wrong key, model or URL.
            MissingExtra: If the client package is not installed.
        """
        found = self._running().run(_all([self._look_up(question) for question in questions]))
        open_ones = [at for at, one in enumerate(found) if isinstance(one, str)]
        if not open_ones:
            return [one for one in found if not isinstance(one, str)]
        exchange = self._connected()
        work = [self._answer(questions[at], str(found[at]), exchange) for at in open_ones]
        answered = dict(zip(open_ones, self._running().run(_all(work)), strict=True))
        return [answered[at] if isinstance(one, str) else one for at, one in enumerate(found)]

    def stored(self, question: Question) -> Reply | None:
        """The answer on file, if there is one and the question's parser can read it."""
        try:
            key = question_key(self._endpoint, question, self._encode(question))
        except (ImageFault, ValueError):
            return None
        return self._recall(key, question)

    def count(self, question: Question) -> TokenCount:
        """Tokens of the question; images are estimated from their sent size."""
        return self._tokens.count(question)

    def close(self) -> None:
        """Ends what is in flight and closes the connections; asking again opens new ones."""
        with self._lock:
            loop, self._loop = self._loop, None
            exchange, self._exchange = self._exchange, None
        if loop is not None:
            if exchange is not None:
                loop.run(exchange.close())
            loop.close()

    def _running(self) -> BackgroundLoop:
        with self._lock:
            if self._loop is None:
                self._loop = BackgroundLoop()
                self._slots = asyncio.Semaphore(self._endpoint.concurrency)
                self._encoders = asyncio.Semaphore(_ENCODERS)
                self._in_flight = {}
            return self._loop

    def _connected(self) -> Exchange:
        # In the asking thread: what urls() starts should live and die with that.
        with self._connecting:
            if self._exchange is None:
                require_client()
                addresses = Addresses(
                    self._urls(), api_key=self._api_key(), timeout_s=self._endpoint.timeout_s
                )
                self._exchange = Exchange(
                    self._endpoint, addresses, tokens=self._tokens, pause_s=self._pause_s
                )
            return self._exchange

    def _encode(self, question: Question) -> dict[AttachedImage, EncodedImage]:
        images = (image for message in question.messages for image in message.images)
        return self._images.encode(tuple(images))

    async def _encoded(self, question: Question) -> dict[AttachedImage, EncodedImage]:
        if not any(message.images for message in question.messages):
            return {}
        return await asyncio.to_thread(self._encode, question)

    async def _look_up(self, question: Question) -> Reply | NoReply | str:
        """The answer on file; the question's key, where there is none."""
        async with self._encoders:
            try:
                images = await self._encoded(question)
            except ImageFault as fault:
                return NoReply(fault.kind, str(fault))
            except ValueError as error:
                return NoReply("bad-picture", str(error))
        key = question_key(self._endpoint, question, images)
        return self._recall(key, question) or key

    def _recall(self, key: str, question: Question) -> Reply | None:
        kept = self._store.get(key)
        if kept is None:
            return None
        try:
            value = question.parse(kept.raw)
        except Unparsable:  # the parser has changed since: the question is open again
            return None
        return Reply(
            value,
            kept.raw,
            kept.path,
            stored=True,
            asked=0,
            prompt_tokens=kept.prompt_tokens,
            answer_tokens=kept.answer_tokens,
            latency_s=kept.latency_s,
        )

    async def _answer(self, question: Question, key: str, exchange: Exchange) -> Reply | NoReply:
        """Asks, or waits for the same question that is in flight already."""
        while (leader := self._in_flight.get(key)) is not None:
            await asyncio.wait({leader})
            failed = leader.result()
            if (known := failed or self._recall(key, question)) is not None:
                return known
        self._in_flight[key] = asyncio.get_running_loop().create_future()
        reply: Reply | NoReply | None = None
        try:
            async with self._slots:
                reply = self._recall(key, question) or await self._interview(
                    question, key, exchange
                )
            return reply
        finally:
            outcome = reply if isinstance(reply, NoReply) else None
            self._in_flight.pop(key).set_result(outcome)

    async def _interview(self, question: Question, key: str, exchange: Exchange) -> Reply | NoReply:
        images = await self._encoded(question)
        interview = Interview(
            question, self._endpoint.re_asks, structured=self._endpoint.structured
        )
        effort = Effort(time.monotonic())
        outcome: Reply | NoReply | None = None
        while outcome is None:
            body = request_body(self._endpoint, question, interview.messages, images)
            completion = await exchange.send(question, body, effort)
            if isinstance(completion, NoReply):
                return completion
            effort.add(completion)
            outcome = interview.take(completion.raw)
        if isinstance(outcome, Reply):
            outcome = self._kept(outcome, key, effort, exchange.left_out)
        return outcome

    def _kept(self, reply: Reply, key: str, effort: Effort, left_out: frozenset[str]) -> Reply:
        unbound = reply.path == "schema" and "response_format" in left_out
        reply = replace(
            reply,
            path="plain" if unbound else reply.path,
            asked=effort.requests,
            prompt_tokens=effort.prompt_tokens,
            answer_tokens=effort.answer_tokens,
            latency_s=round(time.monotonic() - effort.started, 4),
        )
        self._store.put(key, StoredAnswer.of(reply, self.model))
        return reply


async def _all(work: Sequence[Any]) -> list[Any]:
    """The results in order; the first failure, or a cancellation, ends all."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
