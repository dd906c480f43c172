"""Which script words are written in, by Unicode's names of their letters."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable
from functools import lru_cache

_OTHER_NAMES = {"CJK": "Han"}


@lru_cache(maxsize=10_000)
def script_of(character: str) -> str | None:
    """The script of a letter, ``None`` for what is none.

    >>> [script_of(one) for one in ("a", "ß", "Я", "語", "7", "😀")]
    ['Latin', 'Latin', 'Cyrillic', 'Han', None, None]
    """
    # Letters in bold, circles and full width are those that they look like.
    plain = unicodedata.normalize("NFKC", character)[:1]
    if not plain.isalpha():
        return None
    first = unicodedata.name(plain, "unnamed").split(" ")[0]
    return _OTHER_NAMES.get(first, first.capitalize())


def foreign_script(tokens: Iterable[str], known: Collection[str]) -> str | None:
    """The script of most tokens that have letters, if it is none of the known ones.

    ``None`` where at most half of them are of other scripts; of several the most frequent one. A
    token is of the script of its first letter.

    >>> foreign_script("NASA запускает ракету !".split(), {"Latin"})
    'Cyrillic'
    """
    scripts = Counter(filter(None, (_first_script(token) for token in tokens)))
    foreign = {script: count for script, count in scripts.items() if script not in known}
    if 2 * sum(foreign.values()) <= scripts.total():
        return None
    return max(foreign, key=foreign.__getitem__)


def _first_script(token: str) -> str | None:
    return next(filter(None, map(script_of, token)), None)
