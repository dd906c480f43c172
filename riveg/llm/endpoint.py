"""How language models are reached: the ``llm:`` blocks of a system file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from riveg.text.secrets import holds_secret, is_secret, looks_like_key

_STRICT = ConfigDict(frozen=True, extra="forbid")

SECRET = "secret"
"""The type of a validation error whose value may hold a key: no message repeats it."""


class Prices(BaseModel):
    """What a million tokens cost, in ``currency``."""

    model_config = _STRICT

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    currency: str = "USD"

    def cost(self, prompt_tokens: int, answer_tokens: int) -> float:
        """What tokens cost."""
        return (prompt_tokens * self.input + answer_tokens * self.output) / 1e6


ADAPTER = "adapter"
"""How a server that riveg starts, and an engine, call a model with its adapter."""

ServeEngine = Literal["vllm", "transformers"]

_COMMANDS: Mapping[str, tuple[str, ...]] = {
    "vllm": ("vllm", "serve"),
    "transformers": ("transformers", "serve"),
}


class Serve(BaseModel):
    """A server that riveg starts on a free loopback port, and stops.

    ``engine``: ``vllm``, or ``transformers`` for small models on a processor; ``command``: what is
    run, before the model and the rest, usually ``ENGINE serve``; ``arguments``: more for it;
    ``environment``: variables for it, no secrets: a server has all variables of riveg as well;
    ``ready_timeout_s``: how long it may load;
    ``stop_after_use``: stopped when no later stage needs it, so that its memory is free.
    """

    model_config = _STRICT

    engine: ServeEngine = "vllm"
    command: tuple[str, ...] = _COMMANDS["vllm"]
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = Field(default_factory=dict)
    ready_timeout_s: float = Field(default=1800, gt=0)
    stop_after_use: bool = True

    @model_validator(mode="before")
    @classmethod
    def _usual_command(cls, value: Any) -> Any:
        if isinstance(value, dict) and "command" not in value:
            usual = _COMMANDS.get(str(value.get("engine", "vllm")))
            return value if usual is None else {**value, "command": usual}
        return value

    @field_validator("environment", "command", "arguments")
    @classmethod
    def _without_secrets(cls, value: Any) -> Any:
        _refuse_secrets(value)
        return value


class Endpoint(BaseModel):
    """A model and how it is reached: ``serve``, ``base_urls``, or ``engine: vllm-offline``.

    ``model``: hub id, local folder, or the name that the server knows it by; ``revision``: pinned
    commit; ``adapter``: LoRA weights on the model, a folder or a hub id; ``licence``, ``gated``:
    shown by ``riveg show models``; ``trained_by``: the command that makes the adapter, or the model
    where there is none, if it is one of your own; ``base_urls``: OpenAI-compatible roots such as
    ``http://127.0.0.1:8000/v1``, shared out by load; ``api_key_variable``: name of the environment
    variable with the key; ``structured``: whether the server is asked to keep to the JSON schema;
    ``thinking``: whether the model may think aloud before it answers; ``concurrency``: requests in
    flight; ``requests_per_minute``, ``tokens_per_minute``: limits; ``timeout_s``: seconds for one
    request; ``tries``: for faults of the server; ``re_asks``: for answers that cannot be read;
    ``picture_side``: the longer side of images sent, in pixels; ``picture_ids``: whether a picture
    is sent with vLLM's ``uuid``, a digest of its content (if nothing is said: where riveg starts
    vLLM, and nowhere else); ``prices``: for ``--dry-run`` and a
    run's accounts; ``options``: more arguments of ``vllm.LLM`` for ``vllm-offline``.
    """

    model_config = _STRICT

    model: str = Field(min_length=1)
    revision: str | None = None
    adapter: str | None = Field(default=None, min_length=1)
    licence: str | None = None
    gated: bool = False
    trained_by: str | None = None
    engine: Literal["http", "vllm-offline"] = "http"
    base_urls: tuple[str, ...] = ()
    api_key_variable: str | None = None
    serve: Serve | None = None
    options: Mapping[str, Any] = Field(default_factory=dict)
    temperature: float = Field(default=0.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int = 0
    structured: bool = True
    thinking: bool = False
    concurrency: int = Field(default=32, ge=1)
    requests_per_minute: float | None = Field(default=None, gt=0)
    tokens_per_minute: float | None = Field(default=None, gt=0)
    timeout_s: float = Field(default=120, gt=0)
    tries: int = Field(default=6, ge=1)
    re_asks: int = Field(default=2, ge=0)
    picture_side: int = Field(default=1024, ge=28)
    picture_ids: bool | None = None
    prices: Prices | None = None

    @field_validator("serve", mode="before")
    @classmethod
    def _engine_by_name(cls, value: Any) -> Any:
        return {"engine": value} if isinstance(value, str) else value

    @field_validator("base_urls")
    @classmethod
    def _checked_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            _check_url(url)
        return value

    @field_validator("model", "revision", "adapter", "licence", "trained_by", "options")
    @classmethod
    def _without_secrets(cls, value: Any) -> Any:
        _refuse_secrets(value)
        return value

    @field_validator("api_key_variable")
    @classmethod
    def _checked_variable(cls, value: str | None) -> str | None:
        if value is not None and not _is_variable(value):
            raise PydanticCustomError(
                SECRET, "expected the name of an environment variable, never the key itself"
            )
        return value

    @model_validator(mode="after")
    def _is_reached_one_way(self) -> Endpoint:
        ways = [bool(self.base_urls), self.serve is not None, self.engine == "vllm-offline"]
        if sum(ways) != 1:
            raise ValueError("say one of base_urls, serve and engine: vllm-offline")
        if self.serve is not None and self.serve.engine == "transformers" and self.revision:
            raise ValueError("transformers serve takes no revision: name a folder as the model")
        if self.adapter and self.base_urls:
            raise ValueError(
                "adapter is for vLLM that riveg starts: on a server of yours, give the name that "
                "the server has for the adapter as the model"
            )
        if self.adapter and self.serve is not None and self.serve.engine == "transformers":
            raise ValueError(
                "transformers serve takes no adapter: say serve: vllm, or merge it into the model "
                "(merge_and_unload of peft) and name the merged folder as the model"
            )
        return self

    @property
    def shown(self) -> str:
        """The model for people, with its adapter."""
        return self.model if self.adapter is None else f"{self.model} with {self.adapter}"

    @property
    def asked_as(self) -> str:
        """The model's name in a request."""
        return self.model if self.adapter is None else ADAPTER

    @property
    def sends_picture_ids(self) -> bool:
        """Whether pictures are sent with ids; other servers may refuse what they do not know."""
        if self.picture_ids is not None:
            return self.picture_ids
        return self.engine == "vllm-offline" or (
            self.serve is not None and self.serve.engine == "vllm"
        )

    def shaping(self) -> dict[str, Any]:
        """What shapes the responses: not where the server is, nor how fast it is asked.

        An adapter's weights do, too; :func:`riveg.checkpoints.adapters.shaping` knows their digest.
        """
        return {
            "model": self.model,
            "revision": self.revision,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "seed": self.seed,
            "structured": self.structured,
            "thinking": self.thinking,
            "picture_side": self.picture_side,
        }


_PLAIN = re.compile(r"(?:[a-z]+:/{0,2})?[\w.-]*(?::\d*)?(?:/[\w./-]*)?")
"""A text without a place for a user or a password: a message may repeat it."""


def _check_url(url: str) -> None:
    # Run folders hold a copy of the system file, so a URL must not hold a secret.
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if is_address and not _has_more(url) and not holds_secret(url):
        return
    if not is_address and _PLAIN.fullmatch(url) and not holds_secret(url):
        raise ValueError("expected http://host:port/v1")
    raise PydanticCustomError(
        SECRET, "expected http://host:port/v1 alone; api_key_variable names where the key is"
    )


def _has_more(url: str) -> bool:
    """Whether a URL has more than an address and a path, in whatever form."""
    parts = urlsplit(url)
    is_escaped = "%" in parts.netloc.rpartition("]")[2]
    plain = unquote(unquote(unquote(url)))
    return is_escaped or any(mark in plain for mark in "@?#;\\")


def _is_variable(name: str) -> bool:
    """Whether it can be the name of an environment variable, and is no key by its looks."""
    return name.isidentifier() and (name in os.environ or not looks_like_key(name))


def _refuse_secrets(values: Any) -> None:
    for name, value in _named(values):
        if is_secret(name, value):
            raise PydanticCustomError(
                SECRET,
                "expected no secret here: set it as an environment variable where riveg is started",
            )


def _named(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a value, with the name that it has there."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _named(one, str(key))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _named(one, name)
        # Of a command line: --name value.
        yield from (
            (first, second)
            for first, second in pairwise(value)
            if isinstance(first, str) and isinstance(second, str) and first.startswith("--")
        )
    elif isinstance(value, str):
        option, is_set, rest = value.partition("=")
        yield (option, rest) if is_set and not name else (name, value)
