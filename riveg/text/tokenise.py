"""Raw text to tokens in the manner of the Twitter sets, with character offsets.

The sets split ``@`` and ``#`` from what follows, every punctuation mark and emoji from its word,
numbers not at their inner marks, ``&amp;`` into ``&amp`` and ``;``, and a URL behind the first full
stop (``http://t.`` ``co/abc``). So a tagger gets the same tokens in use as in training.

Scripts that put no blanks between words (Han, kana, Thai, Lao, Khmer, Myanmar) or none before
particles (Hangul) are cut into clusters: a letter with all that is written onto it. Marks and
format characters inside a word stay in it; an emoji with all that changes it is one token.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from riveg.text import characters

Offsets = tuple[tuple[int, int], ...]


@lru_cache(maxsize=1)
def _pattern() -> re.Pattern[str]:
    # Repetitions are possessive (*+): they never give back what they have taken, so that a long
    # chain of marks or joiners takes no more than its length.
    letters = characters.UNSPACED
    word = rf"[^\W_0-9ℹ{letters}]|[0-9](?!\ufe0f?\u20e3)"
    marks = characters.marks()
    after = marks + characters.FOLLOWERS
    within = characters.unseen_within()
    # A selector makes an emoji of what it follows: a word ends with it.
    inner = rf"(?![{characters.SELECTORS}\u20e3])[{after}]"
    pictograms = characters.PICTOGRAMS
    url = rf"[^\s{letters}\u3000-\u303f\uff01-\uff65]"
    return re.compile(
        rf"""
          # Most tokens are this; the alternatives below find the same, in three times as long.
          [a-zA-Z]++(?=\ |\Z)
        | (?P<url>https?://(?:(?!\.){url})*\.?)(?P<path>{url}*(?![.,;:!?'")\]}}…]){url})?
        | &\#?[^\W{letters}]{{1,12}}(?=;)
        | [0-9#*]\ufe0f?\u20e3[{after}]*+
        | \d+(?:[.,:]\d+)+(?!\ufe0f?\u20e3)[{after}]*+
        | [{marks}]*+(?:{word})(?:{word}|{inner}|[{within}]++(?={word}))*+[{after}]*+
        | (?:[{characters.LEADING_JAMO}]++[\uac00-\ud7a3]?|[{letters}])
          (?:[{characters.STACKING}][{characters.STACKED}]|[{after}{characters.FOLLOWING_JAMO}])*+
          (?:[{within}]++(?=[{letters}]))?
        | [{characters.FLAG_LETTERS}]{{2}}[{after}]*+
        | [{pictograms}](?:\u200d[{pictograms}]|[{after}{characters.SKIN_TONES}])*+
        | \S[{after}]*+
        """,
        re.VERBOSE,
    )


def tokenise(text: str) -> tuple[tuple[str, ...], Offsets]:
    """Tokens and their half-open character ranges; white space belongs to none.

    >>> tokenise("RT @NASA: Don't miss #Artemis!")[0]
    ('RT', '@', 'NASA', ':', 'Don', "'", 't', 'miss', '#', 'Artemis', '!')
    >>> tokenise("50,000 at https://t.co/a1B2.")[0]
    ('50,000', 'at', 'https://t.', 'co/a1B2', '.')
    >>> tokenise("김민수는 2024年")[0]
    ('김', '민', '수', '는', '2024', '年')
    """
    matches = _pattern().finditer(text)
    if "://" in text:
        offsets = tuple(_ranges(matches))
    else:
        # Without a URL every match is one token. Lists first: they are quicker than generators.
        offsets = tuple([match.span() for match in matches])
    return tuple([text[start:end] for start, end in offsets]), offsets


def join_tokens(tokens: Sequence[str]) -> tuple[str, Offsets]:
    """The text of given tokens, joined by one space, and their character ranges in it.

    >>> join_tokens(["@", "NASA"])
    ('@ NASA', ((0, 1), (2, 6)))
    """
    offsets: list[tuple[int, int]] = []
    position = 0
    for token in tokens:
        offsets.append((position, position + len(token)))
        position += len(token) + 1
    return " ".join(tokens), tuple(offsets)


def _ranges(matches: Iterable[re.Match[str]]) -> Iterator[tuple[int, int]]:
    for match in matches:
        # Most tokens have no named group, which is quicker to see than that both are empty.
        if match.lastgroup and match["path"]:
            yield match.span("url")
            yield match.span("path")
        else:
            yield match.span()
