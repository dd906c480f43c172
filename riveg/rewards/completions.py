"""The words of a completion, in the forms in which trainers hold one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from riveg.datasets.dataset import quoted
from riveg.errors import UserError


def text_of(completion: str | Sequence[Any]) -> str:
    """The text of a completion: a string, or messages whose last one is the answer.

    Raises:
        UserError: If it is neither.

    >>> text_of([{"role": "assistant", "content": [{"type": "text", "text": "None"}]}])
    'None'
    """
    if isinstance(completion, str):
        return completion
    content = completion
    if completion and isinstance(completion[-1], Mapping) and "content" in completion[-1]:
        content = completion[-1]["content"]
        if isinstance(content, str):
            return content
    texts = [part.get("text") for part in content or () if isinstance(part, Mapping)]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise UserError(
            f"a completion is a text or a list of messages, found {quoted(str(completion))}"
        )
    return "".join(map(str, texts))
