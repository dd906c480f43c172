"""A prompt and its values become a conversation: what never changes first, then the row's own.

Servers keep what they have computed for the start of a request. So the system message is rendered
from the run's constants alone and is byte-identical between all requests of a run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from riveg.errors import UserError
from riveg.llm.conversation import AttachedImage, Message
from riveg.llm.prompts import Prompt

USER = "user"
"""The block that is rendered anew for each request."""

CONSTANT = ("system", "examples")
"""Blocks that make up the system message, in this order; a prompt need not have both, or any."""


def require_conversation(
    prompt: Prompt, *, constants: Collection[str], values: Collection[str]
) -> None:
    """Makes sure, before a run, that a prompt can be a conversation.

    Args:
        prompt: The prompt.
        constants: Names of the values that are the same for all requests of a run.
        values: Names of those that differ.

    Raises:
        UserError: If there is no block ``user``, a block wants what there is not, or a constant
            block wants what differs between requests; says file and variable.
    """
    prompt.require(USER, {*constants, *values})
    for block in _constant_blocks(prompt):
        for variable in sorted(prompt.blocks[block] & ({*values} - {*constants})):
            raise UserError(
                f"{prompt.path}: block {block!r} uses {variable!r}, which is not the same for all "
                f"requests; use it in block {USER!r}"
            )
        prompt.require(block, constants)


def conversation(
    prompt: Prompt,
    *,
    constants: Mapping[str, object],
    values: Mapping[str, object],
    images: Sequence[AttachedImage] = (),
) -> tuple[Message, ...]:
    """The messages of one request: the system message, where the prompt has one, and the user's.

    Args:
        prompt: A prompt with a block ``user``, and ``system`` and ``examples`` where it has them.
        constants: Values that are the same for all requests of a run, such as the types.
        values: Values of this request.
        images: Images of this request; they stand in the user message.

    Raises:
        UserError: As :func:`require_conversation`, or if the prompt fails on these values.
    """
    require_conversation(prompt, constants=constants, values=values)
    parts = [prompt.render(block, **constants) for block in _constant_blocks(prompt)]
    opening = "\n\n".join(part for part in parts if part)
    asked = Message("user", prompt.render(USER, **{**values, **constants}), tuple(images))
    return (Message("system", opening), asked) if opening else (asked,)


def _constant_blocks(prompt: Prompt) -> list[str]:
    return [block for block in CONSTANT if block in prompt.blocks]
