"""Tokens that a reader may take for something else than a word; all may stand in a CoNLL file."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import strategies as st

BLANK = ["", " ", "  ", "\u00a0", "\u3000", "\u2028", "\x85", "\x0b", "\r"]
INVISIBLE = ["\u200b", "\ufe0f", "\ufeff", "\x00", "a\u0301", "\U0001f1f3"]
LOOKALIKES = ['"', "'", '\\"', "\\", ",", "a b", " a", "IMGID:1", "-DOCSTART-", "<EOS>", "#", "O"]

HOSTILE = st.sampled_from([*BLANK, *INVISIBLE, *LOOKALIKES])


def has_text(tokens: Iterable[str]) -> bool:
    """Whether the post is more than blanks, and no mark between two documents."""
    joined = " ".join(tokens)
    return bool(joined.strip()) and joined != "-DOCSTART-"
