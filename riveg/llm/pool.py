"""A system's language models by name, each loaded or started when it is first asked."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from riveg.errors import ServerGone, UserError
from riveg.llm.accounting import Book, no_book
from riveg.llm.conversation import Chat, ChatAnswer, NoAnswer, Request, TokenCount
from riveg.llm.endpoint import Endpoint
from riveg.llm.local_server import Say, Server
from riveg.llm.response_cache import ResponseCache
from riveg.protocols import ImageSource

if TYPE_CHECKING:
    from riveg.llm.http_chat import HttpChat
    from riveg.llm.vllm_offline import OfflineChat

_PATIENCE_S = 5.0


class Models(Mapping[str, Chat]):
    """Chats by name; use it in a ``with`` block, which stops what was started.

    Nothing is loaded, started or connected to before the first request that is not cached.
    Endpoints with the same model and the same ``serve`` share one server.

    Args:
        endpoints: By the name that stages ask for.
        cache: Where responses are kept.
        images: Where the images of requests come from.
        say: Receives a line about each longer wait.
        logs: Folder for what servers print; ``None``: kept only while they run.
        book: Takes the account of every request.
    """

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        *,
        cache: ResponseCache,
        images: ImageSource,
        say: Say,
        logs: Path | None = None,
        book: Book = no_book,
    ) -> None:
        self._endpoints = dict(endpoints)
        self._cache = cache
        self._images = images
        self._say = say
        self._logs = logs
        self._book = book
        self._lock = threading.RLock()
        self._chats: dict[str, HttpChat | OfflineChat | ServedChat] = {}
        self._servers: dict[str, Server] = {}
        self._released: set[str] = set()

    def __enter__(self) -> Models:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __getitem__(self, name: str) -> Chat:
        with self._lock:
            self._released.discard(name)
            if name not in self._chats:
                self._chats[name] = self._chat(self._endpoints[name])
            return self._chats[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._endpoints)

    def __len__(self) -> int:
        return len(self._endpoints)

    def release(self, name: str) -> None:
        """Frees what one model holds, because no stage asks it any more.

        Its server is stopped if its ``serve`` says so and no other unreleased name shares it; a
        model in this process is freed. If it is asked again, it is started again.
        """
        with self._lock:
            self._released.add(name)
            chat = self._chats.pop(name, None)
            if chat is not None:
                chat.close()
            serve = self._endpoints[name].serve
            if serve is not None and serve.stop_after_use and not self._is_shared(name):
                server = self._servers.pop(_server_key(self._endpoints[name]), None)
                if server is not None:
                    server.stop()

    def _is_shared(self, name: str) -> bool:
        key = _server_key(self._endpoints[name])
        waiting = self._endpoints.keys() - self._released
        return any(_server_key(self._endpoints[other]) == key for other in waiting)

    def close(self) -> None:
        """Stops everything, also if stopping one part raises."""
        with self._lock, ExitStack() as ends:
            for server in self._servers.values():
                ends.callback(server.stop)
            for chat in self._chats.values():
                ends.callback(chat.close)
            self._chats.clear()
            self._servers.clear()

    def _chat(self, endpoint: Endpoint) -> HttpChat | OfflineChat | ServedChat:
        if endpoint.engine == "vllm-offline":
            from riveg.llm.vllm_offline import OfflineChat

            return OfflineChat(endpoint, cache=self._cache, images=self._images, book=self._book)
        if endpoint.serve is None:
            variable = endpoint.api_key_variable
            return self._http_chat(endpoint, lambda: endpoint.base_urls, lambda: _api_key(variable))
        server = self._server(endpoint)
        chat = self._http_chat(endpoint, lambda: (server.start(),), lambda: server.api_key)
        return ServedChat(server, chat)

    def _http_chat(
        self,
        endpoint: Endpoint,
        urls: Callable[[], Sequence[str]],
        api_key: Callable[[], str | None],
    ) -> HttpChat:
        from riveg.llm.http_chat import HttpChat

        return HttpChat(
            endpoint,
            cache=self._cache,
            images=self._images,
            urls=urls,
            api_key=api_key,
            say=self._say,
            book=self._book,
        )

    def _server(self, endpoint: Endpoint) -> Server:
        key = _server_key(endpoint)
        if key not in self._servers:
            self._servers[key] = Server(endpoint, say=self._say, logs=self._logs)
        return self._servers[key]


class ServedChat:
    """A model behind a server that riveg starts at the first request that is not cached.

    Args:
        server: It.
        chat: Asks it.
    """

    def __init__(self, server: Server, chat: HttpChat) -> None:
        self._server = server
        self._chat = chat

    @property
    def model(self) -> str:
        """The model's id."""
        return self._chat.model

    def ask(self, requests: Sequence[Request]) -> Sequence[ChatAnswer | NoAnswer]:
        """As :meth:`riveg.llm.conversation.Chat.ask`.

        Raises:
            ServerGone: With the server's own last lines, if it has ended.
        """
        try:
            return self._chat.ask(requests)
        except ServerGone as error:
            words = self._server.last_words(_PATIENCE_S)
            if words is None:
                raise
            raise ServerGone(words) from error

    def cached(self, request: Request) -> ChatAnswer | None:
        """As :meth:`riveg.llm.conversation.Chat.cached`."""
        return self._chat.cached(request)

    def count(self, request: Request) -> TokenCount:
        """As :meth:`riveg.llm.conversation.Chat.count`."""
        return self._chat.count(request)

    def close(self) -> None:
        """Closes the connections; the server's owner stops the server."""
        self._chat.close()


def _api_key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()  # a mounted secret ends with a line break
    if not key:
        raise UserError(f"api_key_variable: the environment variable {variable} is not set")
    if not _KEY.fullmatch(key):
        raise UserError(
            f"api_key_variable: the environment variable {variable} holds no key: expected one "
            "word of ASCII letters, digits and marks"
        )
    return key


_KEY = re.compile(r"[!-~]+")
"""What a header can hold as a key."""


def _server_key(endpoint: Endpoint) -> str:
    """The same for endpoints that one server can serve."""
    return endpoint.model_dump_json(include={"model", "revision", "adapter", "serve"})
