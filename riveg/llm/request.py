"""The body of a request as it is sent, and the key under which its response is cached."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from riveg.checkpoints.adapters import shaping
from riveg.files import text_digest
from riveg.llm.conversation import Message, Request, text_to_complete
from riveg.llm.endpoint import Endpoint
from riveg.llm.images import SentImages
from riveg.llm.json_answers import whole_characters

KEY_VERSION = 1
"""Raised when an equal request would be sent in other words."""


def chat_messages(
    messages: Sequence[Message], images: SentImages, *, with_ids: bool = False
) -> list[dict[str, Any]]:
    """The messages in the form that OpenAI-compatible servers and ``LLM.chat`` of vLLM take.

    Args:
        messages: In order.
        images: Every image of the messages, encoded.
        with_ids: Whether images have vLLM's ``uuid``: it then computes nothing twice for an image
            that it has seen under that.
    """
    return [_chat_message(message, images, with_ids=with_ids) for message in messages]


def request_body(
    endpoint: Endpoint,
    request: Request,
    messages: Sequence[Message],
    images: SentImages,
) -> dict[str, Any]:
    """The body of a ``chat/completions`` request, or of ``completions`` for a text to complete.

    Args:
        endpoint: The model and its settings.
        request: The request.
        messages: The request's own, or those of a re-ask.
        images: Every image of the messages, encoded.
    """
    body: dict[str, Any] = {
        "model": endpoint.asked_as,
        **_asked(messages, images, with_ids=endpoint.sends_picture_ids),
        "temperature": endpoint.temperature,
        "top_p": endpoint.top_p,
        "seed": endpoint.seed,
        "max_tokens": request.max_tokens,
    }
    if request.schema is not None and endpoint.structured:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": dict(request.schema), "strict": True},
        }
    if request.first_tokens:
        body |= {"logprobs": True, "top_logprobs": request.first_tokens}
    elif request.in_full:
        body["logprobs"] = True
    if request.stop:
        body["stop"] = list(request.stop)
    if not endpoint.thinking and "messages" in body:
        body["chat_template_kwargs"] = {"enable_thinking": False}
    return body


_OPTIONAL = (
    "response_format",
    "logprobs",
    "top_logprobs",
    "stop",
    "chat_template_kwargs",
    "seed",
    "top_p",
    "temperature",
)
"""Fields that a server may not know, and that a request can do without."""


def refused_fields(body: Mapping[str, Any], message: str) -> frozenset[str]:
    """Fields of a body that a server's refusal names and that can be left out or renamed.

    Args:
        body: What was sent.
        message: The server's words. They may quote the request, so a name in them proves nothing
            until the server has accepted the request without the field.
    """
    named = {name for name in _OPTIONAL if name in body and re.search(rf"\b{name}\b", message)}
    if named & {"logprobs", "top_logprobs"}:
        named |= {"logprobs", "top_logprobs"} & body.keys()
    if "max_tokens" in body and "max_completion_tokens" in message:
        named.add("max_tokens")
    return frozenset(named)


def without_fields(body: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The body without some fields; ``max_tokens`` becomes the name that newer models want."""
    left = {name: value for name, value in body.items() if name not in names}
    if "max_tokens" in names and "max_tokens" in body:
        left["max_completion_tokens"] = body["max_tokens"]
    return left


def request_key(endpoint: Endpoint, request: Request, images: SentImages) -> str:
    """Digest of everything that shapes the response, the order of a schema's keys included.

    Raises:
        UserError: If the endpoint's adapter is not here, or does not fit.
    """
    return text_digest(
        json.dumps(
            {
                "version": KEY_VERSION,
                "endpoint": shaping(endpoint),
                "messages": [
                    [
                        message.role,
                        message.text,
                        [images[image].digest for image in message.images],
                    ]
                    for message in request.messages
                ],
                "schema": request.schema,
                "max_tokens": request.max_tokens,
                "first_tokens": request.first_tokens,
                **({"stop": request.stop} if request.stop else {}),
                **({"in_full": True} if request.in_full else {}),
            }
        )
    )


def _asked(messages: Sequence[Message], images: SentImages, *, with_ids: bool) -> dict[str, Any]:
    text = text_to_complete(messages)
    if text is None:
        return {"messages": chat_messages(messages, images, with_ids=with_ids)}
    return {"prompt": whole_characters(text)}


def _chat_message(message: Message, images: SentImages, *, with_ids: bool) -> dict[str, Any]:
    text = whole_characters(message.text)
    if not message.images:
        return {"role": message.role, "content": text}
    sent = [images[image] for image in message.images]
    parts: list[dict[str, Any]] = [
        {
            "type": "image_url",
            "image_url": {"url": one.data_url},
            **({"uuid": one.digest} if with_ids else {}),
        }
        for one in sent
    ]
    return {"role": message.role, "content": [*parts, {"type": "text", "text": text}]}
