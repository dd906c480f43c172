"""Echoes: what a language model repeats of its request in the place of an answer.

Small models do it often: they give the name back, a line of the prompt, the phrase of an exemplar,
or the words in which they were asked again. None of that says what an entity looks like.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from riveg.llm.prompt_parts import PromptParts
from riveg.llm.reasking import REMARKS
from riveg.stages.rewriters.answers import ONE_LINE
from riveg.types import Entity

Words = tuple[str, ...]

BARE_NAME = "the phrase is only the name; describe it to somebody who has never heard the name"
COPIED_EXEMPLAR = "the phrase is that of an example; describe what the question asks about"
COPIED_PROMPT = "the phrase repeats the question or its instructions; answer the question"
ABOUT_THE_ANSWER = "the phrase is about an answer; give the noun phrase alone"

_LEAST_RUN = 4
"""Words in a row that are no coincidence: shorter phrases may stand in a prompt by chance."""

_WORD = re.compile(r"\w+")
_QUOTES = re.compile("[\"'`“”‘’«»*]")
_MARK = re.compile(r"\s*(?:[-*] )?(\S.{0,30}?): ")
"""What stands before the value in a line such as ``Background: a dog on a beach``."""

_ANSWERS = r"(?:answer|response|reply|phrase|expression)"
_ABOUT_ANSWERS = re.compile(
    rf"""(?:(?:the|this|that|my|your|an?)\ )?                # "The answer is a dog"
         (?:[\w-]+\ ){{0,2}}{_ANSWERS}\ (?:\w+\ )?
         (?:is|are|was|were|has|had|have|may|must|should|would|could|can|cannot|does|did|repeats)\b
       | .*\b(?:the|my|your)\ (?:[\w-]+\ )?{_ANSWERS}\ (?:is|was|would\ be|should\ be)\b
       | (?:.*\b)?{_ANSWERS}(?:\ is)?\s*:                    # "Short answer: a dog"
       | in\ \W?e\d+\W?\s*:                                  # "In 'e0': the phrase is empty."
       | .*\bobject\ has\ (?:no|a)\ key\b
    """,
    re.IGNORECASE | re.VERBOSE,
)


def without_name(phrase: str, entity: Entity) -> str:
    """The phrase without the name, id or type that the question gives, before it or behind it.

    A phrase that is nothing else stays as it is: that is an echo.

    >>> from riveg.types import Entity, Span
    >>> without_name("Ann Lee(PER)-a tall woman", Entity("e0", "Ann Lee", "PER", Span(0, 2)))
    'a tall woman'
    """
    label = rf"\s*[(\[]\s*{re.escape(entity.label)}\s*[)\]]"
    mark = re.compile(
        rf"(.*?)(?:{label}[\s:=>,*\u2013\u2014-]*|\s*:\s+|\s+[\u2013\u2014-]+\s+)", re.I
    )
    found = mark.match(phrase)
    if found and _words(found[1]) in {_words(entity.text), _words(entity.id)}:
        return phrase[found.end() :] or phrase
    left = re.sub(rf"{label}\W*\Z", "", phrase, flags=re.I)
    return phrase if _words(left) == _words(entity.text) else left or phrase


def echo_in(phrase: str, entity: Entity, parts: PromptParts) -> str | None:
    """Why a phrase is an echo of its request, in words for the model; ``None``: it is none.

    Args:
        phrase: What the model gives as the expression, on one line.
        entity: What it was asked about.
        parts: What it was asked.
    """
    words = _words(phrase)
    if _is_name(words, entity):
        return BARE_NAME
    if _is_about_answers(phrase, words):
        return ABOUT_THE_ANSWER
    if _is_exemplars_phrase(words, entity, parts):
        return COPIED_EXEMPLAR
    if _is_of_prompt(phrase, words, entity, parts):
        return COPIED_PROMPT
    return None


def _is_name(words: Words, entity: Entity) -> bool:
    """Whether the words are the name, with nothing beside it but its label and words of it."""
    name, label = _words(entity.text), _words(entity.label)
    if not name:
        return False
    return words == label or (_holds(words, name) and {*words} <= {*name, *label, "the"})


def _is_about_answers(phrase: str, words: Words) -> bool:
    """Whether the words speak of an answer, or are those of a remark on an earlier one."""
    if _ABOUT_ANSWERS.match(_QUOTES.sub("", phrase)):
        return True
    remarks = [_words(remark) for remark in (*REMARKS, ONE_LINE)]
    return any(_share_a_run(words, remark) for remark in remarks)


def _is_exemplars_phrase(words: Words, entity: Entity, parts: PromptParts) -> bool:
    """Whether the phrase answers an exemplar, and not one about the same name.

    Words of the post or its caption are no copy: they tell of this entity.
    """
    if _holds(_words(parts.question), words):
        return False
    name = _words(entity.text)
    return any(
        _without_article(words) == _without_article(_words(answer))
        for exemplar in parts.exemplars
        if not _holds(_words(exemplar.question), name)
        for answer in _texts_in(exemplar.answer)
    )


def _is_of_prompt(phrase: str, words: Words, entity: Entity, parts: PromptParts) -> bool:
    """Whether the phrase is a line of the prompt, or some of its words in a row."""
    texts = (parts.instructions, parts.examples, parts.question)
    marks = {mark for text in texts for mark in _marks(text)}
    if re.match(rf".+\(\s*{re.escape(entity.label)}\s*\)\s*[:\u2013\u2014-]\s*\S", phrase, re.I):
        return True
    opening = _MARK.match(phrase)
    if opening and opening.group(1).casefold() in marks:
        return True
    if any(words == line for line in _question_lines(parts.question, _words(entity.text))):
        return True
    if len(words) < _LEAST_RUN or _holds(_words(parts.question), words):
        return False
    asked = (exemplar.question for exemplar in parts.exemplars)
    lines = (line for text in (parts.instructions, *asked) for line in text.splitlines())
    return any(_holds(_words(line), words) for line in lines)


def _marks(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if found := _MARK.match(line):
            yield found.group(1).casefold()


def _question_lines(question: str, name: Words) -> Iterator[Words]:
    """Lines that ask or hold the name, without their mark: the question itself, the post.

    A caption that does not name the entity may well be how it looks.
    """
    for line in question.splitlines():
        value = _MARK.sub("", line, count=1)
        if value.endswith("?") or _holds(_words(value), name):
            yield _words(value)


def _texts_in(answer: str) -> Iterator[str]:
    """An exemplar's answer, or the texts that are the values of its JSON."""
    yield answer
    yield from re.findall(r':\s*"([^"]+)"', answer)


def _share_a_run(words: Words, remark: Words) -> bool:
    """Whether the words begin as a remark does, or are a piece of it."""
    if len(words) < _LEAST_RUN - 1:
        return False
    return words[:_LEAST_RUN] == remark[:_LEAST_RUN] or _holds(remark, words)


def _words(text: str) -> Words:
    """The words of a text, equal whatever their case, their form and the signs between them."""
    return tuple(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def _without_article(words: Words) -> Words:
    return words[1:] if words[:1] in {("a",), ("an",), ("the",)} else words


def _holds(words: Words, run: Words) -> bool:
    """Whether the run stands somewhere in the words."""
    starts = range(len(words) - len(run) + 1)
    return bool(run) and any(words[at : at + len(run)] == run for at in starts)
