"""Secrets in texts: what looks like one, and texts without them."""

from __future__ import annotations

import base64
import html
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from urllib.parse import unquote, urlsplit

HIDDEN = "[key]"
"""What stands in a text where a secret stood."""

_WITH_A_PREFIX = (
    r"(?:sk|rk|pk)[-_](?:proj-|ant-|or-|live_|test_)?|hf_|gsk_|xai-|gh[opsu]_|github_pat_|glpat-|"
    r"AIza|AKIA|r8_|nvapi-|pplx-|xox[abps]-|eyJ"
)
"""How the keys of well-known services begin."""

_KEY = re.compile(rf"(?<![A-Za-z0-9_-])(?:{_WITH_A_PREFIX})(?=[\w.-]*\d)[A-Za-z0-9_.-]{{14,}}")
_BARE_KEY = re.compile(rf"(?:{_WITH_A_PREFIX})[A-Za-z0-9_-]{{6,}}")
_RUN = re.compile(r"(?=[A-Za-z]{0,200}\d)[A-Za-z0-9]{16,}|[A-Za-z]{32,}")
_BEARER = re.compile(r"(?<=\bBearer )[^\s'\",;]{6,}", re.IGNORECASE)
_USER = re.compile(r"(?<=//)[^\s/'\"@]{0,200}@|[^\s/'\"@:]{1,200}:[^\s/'\"@]{1,200}@")
_LAST_WORD = (
    r"(?:(?:^|[_-]|(?<=[a-z])(?=[A-Z]))(?i:(?:api|auth|access|secret|private)?_?key|pass(?:phrase)?|pwd?"
    r"|credentials?|pat|authorization|cookie|bearer)"
    r"|(?i:password|passwd|token|secret|(?:api|auth|access|ai|hf)key|sshpass))"
    r"(?i:[_-]?(?:\d{1,3}|b64|base64|json|value))?"
)
"""Of the names of secrets; long words may be written onto others: ``PGPASSWORD``."""

_SECRET_NAME = re.compile(rf"{_LAST_WORD}$")
_SET = re.compile(rf"({_LAST_WORD}['\"]?\s?[=:]\s?['\"]?)[^\s,;'\"}}]{{3,}}")
_SECRET_WORD = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
_HARMLESS = re.compile(r"\d{0,5}|true|false|yes|no|on|off|none|auto|[~.]?/.*", re.IGNORECASE)
"""Numbers, switches and paths: values that are no secrets whatever their names."""

_SHORTEST_OF_VARIABLES = 6
"""Variables whose names are those of secrets also hold numbers and switches."""

_SHORTEST_ENCODED = 6
"""A shorter secret is too little to be found within base64."""

_SHORTEST_BARE = 12
"""Letters and digits of a secret that is told by these alone: fewer may be words of a text."""

_ESCAPE = re.compile(
    r"\\{1,8}(?:u(?i:([0-9a-f]{4}))|U(?i:([0-9a-f]{8}))|[uU]\{(?i:([0-9a-f]{1,8}))\}"
    r"|x(?i:([0-9a-f]{2}))|([0-3][0-7]{2})|[0fnrtv])"
)
"""A letter by its number, as in Python, JSON and JavaScript; a blank by its name."""


def holds_secret(text: str) -> bool:
    """Whether something in a text looks like a key, or like the user and the password of a URL.

    >>> holds_secret("https://me:hush@example.org"), holds_secret("TOKENIZERS_PARALLELISM=1")
    (True, False)
    """
    plain = _unquoted(text)
    return any(form.search(plain) for form in (_KEY, _BEARER, _USER))


def looks_like_key(text: str) -> bool:
    """Whether a text that should be the name of a variable looks like a key itself.

    >>> looks_like_key("hf_AbCdEfGh"), looks_like_key("MY_API_KEY_2024")
    (True, False)
    """
    return bool(_BARE_KEY.match(text) or _RUN.search(text))


def names_secret(name: str) -> bool:
    """Whether a variable, option or key of this name usually holds a secret.

    >>> names_secret("HF_TOKEN"), names_secret("--api-key"), names_secret("MAX_TOKENS")
    (True, True, False)
    """
    return _SECRET_NAME.search(name) is not None


def is_secret(name: str, value: str) -> bool:
    """Whether a value under a name should be kept secret.

    >>> is_secret("TLS_KEY", "/etc/key.pem"), is_secret("HF_TOKEN", "hush-hush")
    (False, True)
    """
    return holds_secret(value) or (names_secret(name) and not _HARMLESS.fullmatch(value.strip()))


def without_key_forms(text: str) -> str:
    """The text without what looks like a key, or like the user and the password of a URL.

    >>> without_key_forms("found 'http://me:hush@a/v1'")
    "found 'http://[key]@a/v1'"
    """
    for form in (_KEY, _BEARER):
        text = form.sub(HIDDEN, text)
    return _USER.sub(f"{HIDDEN}@", _SET.sub(rf"\1{HIDDEN}", text))


def secrets_of(environment: Mapping[str, str]) -> Iterator[str]:
    """The values of variables that may be secrets, and what the URLs of proxies hold of them."""
    found = _possible_secrets(environment)
    return (value for value in found if len(value) >= _SHORTEST_OF_VARIABLES)


def _possible_secrets(environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in environment.items():
        if _SECRET_WORD.search(name) and not _HARMLESS.fullmatch(value.strip()):
            yield value
        if "@" in value and "://" in value:
            yield from _user_of(value)


def _user_of(url: str) -> Iterator[str]:
    try:
        user, _, host = urlsplit(url).netloc.rpartition("@")
    except ValueError:
        return
    if host and ":" in user:
        yield from {user, unquote(user), user.partition(":")[2], unquote(user.partition(":")[2])}


class Redaction:
    """Takes secrets out of texts, in whatever form they are written there.

    Found are the secret itself, its letters escaped as in Python, JSON, URLs and HTML, and its
    base64 and hexadecimal forms, also as a part of more. A text is hidden as a whole if it spells
    the secret in another way: with blanks, signs or what is not seen between its letters, which
    a reader drops later, with wide letters, in another case. A line of a log stays a line.

    Args:
        secrets: What must not be shown.
        shortest: Shorter secrets are no secrets: to hide an ``a`` would spoil the texts.
    """

    def __init__(self, secrets: Iterable[str], *, shortest: int = 1) -> None:
        known = {one.strip() for one in secrets if len(one.strip()) >= shortest}
        longest_first = sorted(known, key=lambda one: (-len(one), one))
        forms = [*map(_escaped, longest_first), *chain.from_iterable(map(_encoded, longest_first))]
        self._forms = re.compile("|".join(forms)) if forms else None
        self._bare = {
            bare
            for one in chain.from_iterable(map(_spellings, known))
            if len(bare := _bare(one)) >= _SHORTEST_BARE
        }

    def __call__(self, text: str) -> str:
        """The text without the secrets."""
        if self._forms is None:
            return text
        shown = self._forms.sub(HIDDEN, text)
        if self._bare and len(shown) >= _SHORTEST_BARE:
            bare = _bare(shown)
            if any(one in bare for one in self._bare):
                return f"{HIDDEN}\n" if text.endswith("\n") else HIDDEN
        return shown


def _spellings(secret: str) -> Iterator[str]:
    """The secret, in hexadecimal digits, and what base64 makes of it wherever it begins."""
    content = secret.encode(errors="replace")
    yield secret
    yield content.hex()
    yield from (_base64_within(content, before) for before in range(3))


def _bare(text: str) -> str:
    """The letters and digits of a text, escapes undone, without case and width."""
    for _ in range(3):
        plain = html.unescape(unquote(_ESCAPE.sub(_unescaped, text)))
        if plain == text:
            break
        text = plain
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))


def _unescaped(escape: re.Match[str]) -> str:
    *codes, octal = escape.groups()
    number = int(octal, 8) if octal else int(next(filter(None, codes), "0"), 16)
    return chr(number) if number <= sys.maxunicode else ""


def _escaped(secret: str) -> str:
    """A pattern of the secret, each of its letters as it is or escaped."""
    return "".join(map(_letter, secret))


def _letter(letter: str) -> str:
    number = ord(letter)
    # Every repetition has a bound: a server chooses the text.
    forms = [rf"\\{{0,8}}{re.escape(letter)}", rf"\\{{1,8}}u(?i:{number:04x})"]
    forms += [rf"\\{{1,8}}x(?i:{number:02x})", rf"&#0{{0,6}}{number};"]
    forms += [rf"&#[xX]0{{0,6}}(?i:{number:x});"]
    percent = (f"%(?:25){{0,4}}(?i:{byte:02x})" for byte in letter.encode(errors="replace"))
    forms.append("".join(percent))
    named = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}.get(letter)
    return f"(?:{'|'.join([*forms, *([named] if named else [])])})"


def _encoded(secret: str) -> Iterator[str]:
    """Patterns of the secret within base64 and hexadecimal digits."""
    if len(secret) < _SHORTEST_ENCODED:
        return
    content = secret.encode(errors="replace")
    yield f"(?i:{content.hex()})"
    for before in range(3):
        inner = _base64_within(content, before)
        yield "".join({"+": "[+-]", "/": "[/_]"}.get(one, one) for one in inner)


def _base64_within(content: bytes, before: int) -> str:
    """Base64 of bytes that follow so many others, without the letters that hold others too."""
    # Four letters are three bytes.
    text = base64.b64encode(bytes(before) + content).decode().rstrip("=")
    return text[-(-before * 8 // 6) : (before + len(content)) * 8 // 6]


def _unquoted(text: str) -> str:
    for _ in range(3):
        text = unquote(text)
    return text
