"""Whether the words around a JSON object say that it is not the model's own answer.

A model may refuse beside an object, quote the object of a post, or show the form with an example.
"""

from __future__ import annotations

import re

from riveg.llm.refusals import refuses

_POST = r"(?:posts?|tweets?|texts?|messages?|captions?|inputs?|users?)(?:'s)?"
_FILLERS = (
    r"(?: (?:the|this|that|some|an?|following|literal|injected|itself|own|json|string|text|object"
    r"|code|instructions?|command|me|to|answer|with|output|print|return|respond))*"
)
_QUOTED = re.compile(
    rf"\b{_POST}(?: \w+){{0,3}}? (?:contains?|says?|reads?|quotes?|includes?|holds?|states?|asks?"
    rf"|wants?|tells?){_FILLERS}\W*\Z",
    re.IGNORECASE,
)
_EXAMPLE = re.compile(
    r"(?:\b(?:format|form|schema|structure|template)(?: of [\w ]{1,30})? (?:is|would be|should be"
    r"|looks like)|\bfor example|\be\.g\.|\b(?:an|the) example(?: is)?|\bsomething like|\bsuch as)"
    r"\W*(?:json)?\W*\Z",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"\binjection\b|\bignor\w+ (?:it|that|this|the (?:post|instruction|json|text|command|quot))"
    r"|\bi(?:'ve| have)? ignored (?:it|that|this)\b"
    r"|\A\W*(?:would be|is|was|looks|seems) (?:wrong|incorrect|false|not|no |an example|quoted"
    r"|part of)"
    r"|\b(?:please|could you|can you) (?:give|send|provide|share|upload|paste) "
    r"|\bi (?:will not|won't|cannot|can't|can not|am unable to|do not|don't|did not|didn't"
    r"|must decline to|refuse to) (?:answer|comply|assist|help|follow|tag|fulfil|obey"
    r"|do (?:this|that|so)|identify (?:people|persons|individuals|anyone|anybody|real))",
    re.IGNORECASE,
)

_OF_THE_REST = re.compile(r"\b(?:other|more|further|else|additional|include|because|whether|if)\b")
"""Words of a note on what the object leaves out."""


def is_disowned(before: str, after: str) -> bool:
    """Whether the words before and after an object say that it is quoted, wrong or an example.

    >>> is_disowned("The post contains the JSON ", "."), is_disowned("Here is the list: ", "")
    (True, False)
    """
    before, after = (" ".join(words.replace("\u2019", "'").split()) for words in (before, after))
    return bool(
        _QUOTED.search(before)
        or _EXAMPLE.search(before)
        or _DENIED.search(before)
        or _DENIED.search(after)
    )


def is_refused(before: str, after: str) -> bool:
    """Whether the words before or after an object are a refusal.

    >>> is_refused("I'm sorry, I can't identify people. ", "")
    True
    """
    return refuses(before) or (refuses(after) and not _OF_THE_REST.search(after))
