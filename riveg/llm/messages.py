"""A prompt and its values become messages: first what all requests share, then the item's own.

Servers keep what they have computed for the start of a request. So the system message is rendered
from the run's constants only and is byte-identical between all requests of a run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from riveg.errors import UserError
from riveg.llm.conversation import AttachedImage, Message
from riveg.llm.prompt_parts import PromptParts
from riveg.llm.prompts import Prompt

USER = "user"
"""The block that is rendered for each request."""

CONSTANT = ("system", "examples")
"""Blocks of the system message, in this order; a prompt may lack one or both."""


def require_conversation(
    prompt: Prompt, *, constants: Collection[str], values: Collection[str]
) -> None:
    """Checks, before a run, that a prompt can be rendered as messages.

    Args:
        prompt: The prompt.
        constants: Names of the values that are the same for all requests of a run.
        values: Names of those that differ.

    Raises:
        UserError: If there is no block ``user``, a block needs a value that is missing, or a
            constant block needs one that differs between requests; names file and variable.
    """
    prompt.require(USER, {*constants, *values})
    for block in _constant_blocks(prompt):
        for variable in sorted(prompt.blocks[block] & ({*values} - {*constants})):
            raise UserError(
                f"{prompt.path}: block {block!r} uses {variable!r}, which is not the same for all "
                f"requests; use it in block {USER!r}"
            )
        prompt.require(block, constants)


def prompt_parts(
    prompt: Prompt, *, constants: Mapping[str, object], values: Mapping[str, object]
) -> PromptParts:
    """The texts of one request, block by block.

    Args:
        prompt: A prompt with a block ``user``, and perhaps ``system`` and ``examples``.
        constants: Values that are the same for all requests of a run, such as the labels.
        values: Values of this request.

    Raises:
        UserError: As :func:`require_conversation`, or if the prompt fails on these values.
    """
    require_conversation(prompt, constants=constants, values=values)
    texts = {block: prompt.render(block, **constants) for block in _constant_blocks(prompt)}
    system, examples = (texts.get(block, "") for block in CONSTANT)
    return PromptParts(system, examples, prompt.render(USER, **{**values, **constants}))


def conversation(parts: PromptParts, images: Sequence[AttachedImage] = ()) -> tuple[Message, ...]:
    """The messages of one request: the system message, if the prompt has one, and the user's.

    Args:
        parts: The prompt with its values.
        images: Images of this request; they are part of the user message.
    """
    opening = "\n\n".join(part for part in (parts.instructions, parts.examples) if part)
    user = Message("user", parts.question, tuple(images))
    return (Message("system", opening), user) if opening else (user,)


def _constant_blocks(prompt: Prompt) -> list[str]:
    return [block for block in CONSTANT if block in prompt.blocks]
