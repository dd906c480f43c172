"""How many tokens a request has, by the model's own tokenizer if it is on this machine."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riveg.checkpoints.tokenizer_files import read_tokenizer
from riveg.errors import ImageFault, UserError
from riveg.files import read_regular_text
from riveg.formats.json_files import read_json
from riveg.llm.chat_templates import ChatTemplate
from riveg.llm.conversation import AttachedImage, Request, TokenCount
from riveg.llm.endpoint import Endpoint
from riveg.llm.images import ImageEncoder

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_CHARACTERS_A_TOKEN = 3.5
_TOKENS_A_MESSAGE = 5
"""Role and marks around a message, if the model's chat template is not on this machine."""

_IMAGE_CELL = 28
"""Pixels of the square that becomes one token in the Qwen-VL family; others differ."""


class TokenCounter:
    """Counts without a server; nothing is downloaded.

    Args:
        endpoint: Its model is looked up as a folder, then in the Hugging Face cache.
        images: Tells the size of images as they are sent.
    """

    def __init__(self, endpoint: Endpoint, images: ImageEncoder) -> None:
        self._endpoint = endpoint
        self._images = images
        self._lock = threading.Lock()
        self._is_looked_up = False
        self._tokenizer: Tokenizer | None = None
        self._template: ChatTemplate | None = None

    def count(self, request: Request) -> TokenCount:
        """Tokens of the request; exact if tokenizer and chat template cover all of it."""
        tokenizer = self._loaded()
        image_tokens = sum(map(self._image_tokens, request.images))
        if tokenizer is None:
            texts = sum(len(message.text) for message in request.messages)
            around = _TOKENS_A_MESSAGE * len(request.messages)
            return TokenCount(
                round(texts / _CHARACTERS_A_TOKEN) + around + image_tokens, exact=False
            )
        text = self._rendered(request)
        if text is None:
            tokens = sum(
                _length(tokenizer, message.text) + _TOKENS_A_MESSAGE for message in request.messages
            )
            return TokenCount(tokens + image_tokens, exact=False)
        return TokenCount(_length(tokenizer, text) + image_tokens, exact=not request.images)

    def _image_tokens(self, image: AttachedImage) -> int:
        try:
            width, height = self._images.size(image)
        except (ImageFault, ValueError):
            return 0
        return -(-width // _IMAGE_CELL) * -(-height // _IMAGE_CELL)

    def _rendered(self, request: Request) -> str | None:
        if request.completes is not None:
            return request.completes
        if self._template is None:
            return None
        messages = [{"role": message.role, "content": message.text} for message in request.messages]
        try:
            return self._template.render(
                messages=messages,
                add_generation_prompt=True,
                enable_thinking=self._endpoint.thinking,
            )
        except ValueError:
            return None

    def _loaded(self) -> Tokenizer | None:
        with self._lock:
            if not self._is_looked_up:
                self._is_looked_up = True
                self._look_up()
            return self._tokenizer

    def _look_up(self) -> None:
        path = self._file("tokenizer.json")
        if path is None:
            return
        try:
            self._tokenizer = read_tokenizer(path)
        except UserError:
            return
        config = _read_json(self._file("tokenizer_config.json"))
        file = self._file("chat_template.jinja")
        try:
            template = read_regular_text(file) if file else config.get("chat_template")
        except (OSError, ValueError):
            return
        if isinstance(template, str):
            self._template = _chat_template(template, config)

    def _file(self, name: str) -> Path | None:
        path = Path(self._endpoint.model) / name
        if path.is_file():
            return path
        try:
            from huggingface_hub import try_to_load_from_cache

            found = try_to_load_from_cache(
                self._endpoint.model, name, revision=self._endpoint.revision
            )
        except (ImportError, ValueError):  # a ValueError: no id of a hub
            return None
        return Path(found) if isinstance(found, str) else None


def _length(tokenizer: Tokenizer, text: str) -> int:
    return len(tokenizer.encode(text, add_special_tokens=False).ids)


def _read_json(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _chat_template(source: str, config: dict[str, Any]) -> ChatTemplate | None:
    names = ("bos_token", "eos_token", "pad_token", "unk_token")
    try:
        return ChatTemplate(source, {name: _mark(config.get(name)) for name in names})
    except ValueError:
        return None


def _mark(value: Any) -> str:
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else ""
