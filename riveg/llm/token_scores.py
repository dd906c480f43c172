"""How sure a model was of a part of its answer."""

from __future__ import annotations

import math

from riveg.llm.conversation import Response


def part_score(response: Response, start: int, end: int) -> float | None:
    """The geometric mean of the probabilities of the tokens of a part.

    Args:
        response: What a model writes, with its tokens.
        start: Where the part begins in :attr:`Response.text`.
        end: Where it ends.

    Returns:
        A number in [0, 1]; ``None`` where the server gave no tokens, or others than the text.
    """
    written = "".join(token for token, _ in response.tokens)
    # Thoughts stand before the text, and may hold it, too.
    shift = written.rfind(response.text)
    if start >= end or not response.text or shift < 0:
        return None
    found = []
    position = 0
    for token, log_probability in response.tokens:
        begins, position = position, position + len(token)
        if begins < shift + end and position > shift + start:
            found.append(min(log_probability, 0.0))
    return math.exp(sum(found) / len(found)) if found else None
