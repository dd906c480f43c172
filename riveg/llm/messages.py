"""A prompt and its values become messages: first what all requests share, then the item's own.

Servers keep what they have computed for the start of a request. So what stands before the item is
rendered from the run's constants only and is byte-identical between all requests of a run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from riveg.errors import UserError
from riveg.llm.conversation import AttachedImage, Message, PromptForm
from riveg.llm.prompt_parts import ANSWER_MARK, PromptParts
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
        values: Values of this request. They come from others: a mark is set in what looks like a
            border of the prompt or of a chat template (:mod:`riveg.llm.borders`).

    Raises:
        UserError: As :func:`require_conversation`, or if the prompt fails on these values.
    """
    require_conversation(prompt, constants=constants, values=values)
    texts = {block: prompt.render(block, **constants) for block in _constant_blocks(prompt)}
    system, examples = (texts.get(block, "") for block in CONSTANT)
    shielded = prompt.borders[USER].shielded(values)
    return PromptParts(system, examples, prompt.render(USER, **{**shielded, **constants}))


def conversation(
    parts: PromptParts, images: Sequence[AttachedImage] = (), form: PromptForm = "chat"
) -> tuple[Message, ...]:
    """The messages of one request.

    Args:
        parts: The prompt with its values.
        images: Images of this request; they are part of the user's last message.
        form: One of :data:`~riveg.llm.conversation.PromptForm`.

    Raises:
        ValueError: If there are images in the form ``completion``, which holds text alone.
    """
    if form == "completion":
        if images:
            raise ValueError("a text to be completed holds no images")
        return (Message("completion", _completion_text(parts)),)
    if form == "turns":
        return (*_turns(parts), Message("user", _unanswered(parts.question), tuple(images)))
    opening = _joined(parts.instructions, parts.examples)
    user = Message("user", parts.question, tuple(images))
    return (Message("system", opening), user) if opening else (user,)


def require_exemplars(prompt: Prompt, constants: Mapping[str, object], form: PromptForm) -> None:
    """Checks, before a run, that a prompt can take a form.

    Raises:
        UserError: If the form shows solved questions one by one, and the prompt has none.
    """
    examples = prompt.render("examples", **constants) if "examples" in prompt.blocks else ""
    if form != "chat" and not PromptParts("", examples, "").exemplars:
        raise UserError(
            f"{prompt.path}: the form {form!r} needs solved questions in a block 'examples', with "
            f"blank lines between them, each ending in a line {ANSWER_MARK + ' ...'!r}"
        )


def _turns(parts: PromptParts) -> Iterator[Message]:
    if parts.instructions:
        yield Message("system", parts.instructions)
    for exemplar in parts.exemplars:
        yield Message("user", exemplar.question)
        yield Message("assistant", exemplar.answer)


def _completion_text(parts: PromptParts) -> str:
    """The solved questions and then the request's own, up to where the answer begins.

    Without the instructions: models that need this form do not follow them.
    """
    solved = (f"{one.question}\n{ANSWER_MARK} {one.answer}" for one in parts.exemplars)
    own = f"{_unanswered(parts.question)}\n{ANSWER_MARK}"
    return _joined(*solved, own)


def _unanswered(question: str) -> str:
    """A question without the line that the answer would begin on."""
    return question.rstrip().removesuffix(ANSWER_MARK).rstrip()


def _joined(*texts: str) -> str:
    return "\n\n".join(text for text in texts if text)


def _constant_blocks(prompt: Prompt) -> list[str]:
    return [block for block in CONSTANT if block in prompt.blocks]
