"""Asks OpenAI-compatible servers: many requests at once, each until it is answered or given up."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from riveg.errors import ImageFault
from riveg.llm.accounting import Accountant, Book, no_book
from riveg.llm.cached_response import CachedResponse
from riveg.llm.conversation import ChatAnswer, NoAnswer, Request, TokenCount
from riveg.llm.endpoint import Endpoint
from riveg.llm.event_loop import BackgroundLoop
from riveg.llm.images import ImageEncoder, SentImages, by_image, image_failure
from riveg.llm.local_server import Say
from riveg.llm.reasking import Dialogue
from riveg.llm.request import request_body, request_key
from riveg.llm.response import within
from riveg.llm.response_cache import ResponseCache
from riveg.llm.retries import Effort, Sender
from riveg.llm.servers import Addresses, require_client
from riveg.llm.token_counts import TokenCounter
from riveg.protocols import ImageSource, Listener, current_listener, finish

_ENCODERS = 4
"""Images that are encoded at a time."""


class HttpChat:
    """A model behind HTTP; several threads may ask it.

    Args:
        endpoint: The model, its settings and limits.
        cache: Where responses are looked up and kept.
        images: Where the images of requests come from.
        urls: Roots of the servers; called once, in the asking thread, before the first request is
            sent.
        api_key: Called right after it.
        say: Told of what the user should know while it goes on.
        book: Takes the account of every request.
        pause_s: The wait after a first failure; later ones are longer.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        cache: ResponseCache,
        images: ImageSource,
        urls: Callable[[], Sequence[str]],
        api_key: Callable[[], str | None],
        say: Say,
        book: Book = no_book,
        pause_s: float = 0.5,
    ) -> None:
        self._endpoint = endpoint
        self._cache = cache
        self._urls = urls
        self._api_key = api_key
        self._say = say
        self._accountant = Accountant(endpoint, book)
        self._pause_s = pause_s
        self._images = ImageEncoder(images, endpoint.picture_side)
        self._tokens = TokenCounter(endpoint, self._images)
        self._slots = asyncio.Semaphore(endpoint.concurrency)
        self._encoders = asyncio.Semaphore(_ENCODERS)
        self._in_flight: dict[str, asyncio.Future[NoAnswer | None]] = {}
        self._lock = threading.Lock()
        self._connecting = threading.Lock()
        self._loop: BackgroundLoop | None = None
        self._sender: Sender | None = None

    @property
    def model(self) -> str:
        """The model's id, with its adapter's."""
        return self._endpoint.shown

    @property
    def left_out(self) -> frozenset[str]:
        """Optional fields of a request that the server does not accept."""
        return self._sender.left_out if self._sender else frozenset()

    def ask(self, requests: Sequence[Request]) -> Sequence[ChatAnswer | NoAnswer]:
        """Answers in order; equal requests are sent once, those about one image together.

        Each response is cached as soon as it is there. An interrupt, or a server that is gone, ends
        all requests of the call.

        Raises:
            ServerGone: If no server can be reached, or fails at request after request.
            UserError: If the server takes no such requests: wrong key, model or URL.
            MissingExtra: If the client package is not installed.
        """
        return by_image(requests, self._ask)

    def _ask(self, requests: Sequence[Request]) -> list[ChatAnswer | NoAnswer]:
        loop = self._running()
        outcomes = loop.run(_all([self._look_up(request) for request in requests]))
        keys = {at: one for at, one in enumerate(outcomes) if isinstance(one, str)}
        finish(len(outcomes) - len(keys))
        if keys:
            sender = self._connected()
            work = [self._answer(requests[at], key, sender) for at, key in keys.items()]
            answers = loop.run(_all(work, current_listener()))
            for at, outcome in zip(keys, answers, strict=True):
                outcomes[at] = outcome
        return outcomes

    def cached(self, request: Request) -> ChatAnswer | None:
        """The answer from the cache, if it is there and the request's parser can read it."""
        try:
            images = self._images.encode(request.images)
        except (ImageFault, ValueError):
            return None
        return self._cache.recall(request_key(self._endpoint, request, images), request)

    def count(self, request: Request) -> TokenCount:
        """Tokens of the request; images are estimated from their sent size."""
        return self._tokens.count(request)

    def close(self) -> None:
        """Ends what is in flight and closes the connections; asking again opens new ones."""
        with self._lock:
            loop, self._loop = self._loop, None
            sender, self._sender = self._sender, None
        if loop is not None:
            if sender is not None:
                loop.run(sender.close())
            loop.close()

    def _running(self) -> BackgroundLoop:
        with self._lock:
            if self._loop is None:
                self._loop = BackgroundLoop()
                self._slots = asyncio.Semaphore(self._endpoint.concurrency)
                self._encoders = asyncio.Semaphore(_ENCODERS)
                self._in_flight = {}
            return self._loop

    def _connected(self) -> Sender:
        # In the asking thread: what urls() starts lives and dies with that thread.
        with self._connecting:
            if self._sender is None:
                require_client()
                addresses = Addresses(
                    self._urls(), api_key=self._api_key(), timeout_s=self._endpoint.timeout_s
                )
                self._sender = Sender(
                    self._endpoint,
                    addresses,
                    tokens=self._tokens,
                    pause_s=self._pause_s,
                    say=self._say,
                    accountant=self._accountant,
                )
            return self._sender

    async def _encoded(self, request: Request) -> SentImages:
        images = request.images
        return await asyncio.to_thread(self._images.encode, images) if images else {}

    async def _look_up(self, request: Request) -> ChatAnswer | NoAnswer | str:
        """The answer from the cache; the request's key, if it is not there."""
        async with self._encoders:
            try:
                images = await self._encoded(request)
            except (ImageFault, ValueError) as fault:
                return image_failure(fault)
        key = request_key(self._endpoint, request, images)
        return self._cache.recall(key, request) or key

    async def _answer(self, request: Request, key: str, sender: Sender) -> ChatAnswer | NoAnswer:
        """Sends the request, or waits for an equal one that is in flight already."""
        while (leader := self._in_flight.get(key)) is not None:
            await asyncio.wait({leader})
            failed = leader.result()
            if (known := failed or self._cache.recall(key, request)) is not None:
                return known
        self._in_flight[key] = asyncio.get_running_loop().create_future()
        answer: ChatAnswer | NoAnswer | None = None
        try:
            async with self._slots:
                answer = self._cache.recall(key, request)
                answer = answer or await self._converse(request, key, sender)
            return answer
        finally:
            failure = answer if isinstance(answer, NoAnswer) else None
            self._in_flight.pop(key).set_result(failure)

    async def _converse(self, request: Request, key: str, sender: Sender) -> ChatAnswer | NoAnswer:
        """Sends the request, and re-asks until it is answered or given up."""
        images = await self._encoded(request)
        dialogue = Dialogue(request, self._endpoint.re_asks, structured=self._endpoint.structured)
        effort = Effort(time.monotonic())
        answer: ChatAnswer | NoAnswer | None = None
        while answer is None:
            body = request_body(self._endpoint, request, dialogue.messages, images)
            completion = await sender.send(request, body, effort)
            if isinstance(completion, NoAnswer):
                return completion
            effort.add(completion)
            answer = dialogue.take(within(completion, request.max_tokens).response)
        if isinstance(answer, ChatAnswer):
            answer = self._keep(answer, key, effort, sender.left_out)
        return answer

    def _keep(
        self, answer: ChatAnswer, key: str, effort: Effort, left_out: frozenset[str]
    ) -> ChatAnswer:
        is_unbound = answer.path == "schema" and "response_format" in left_out
        answer = replace(
            answer,
            path="plain" if is_unbound else answer.path,
            requests=effort.requests,
            prompt_tokens=effort.prompt_tokens,
            answer_tokens=effort.answer_tokens,
            latency_s=round(time.monotonic() - effort.started, 4),
        )
        self._cache.put(key, CachedResponse.of(answer, self.model))
        return answer


async def _all(work: Sequence[Any], finished: Listener | None = None) -> list[Any]:
    """The results in order; the first failure, or a cancellation, ends all work."""
    tasks = [asyncio.ensure_future(one) for one in work]
    if finished is not None:
        for task in tasks:
            task.add_done_callback(lambda _: finished(1))
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
