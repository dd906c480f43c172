"""Sentences about the task and not about the world, by the kinds of their words.

"I cannot identify the person", "There is no Ann Lee in the image", "The image was not provided":
such sentences hold a denial and words of the task, and little else. Each word is read as one letter
for its kind; the rules are written over these letters, once for all languages.
"""

from __future__ import annotations

import configparser
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_WORDS = Path(__file__).with_name("refusal_languages.ini")
_NO_BLANKS = "blanks"
_LETTERS = {
    "sorry": "A",
    "cannot": "C",
    "isn't": "D",
    "doesn't": "M",
    "not": "N",
    "I": "P",
    "identify": "V",
    "visible": "S",
    "image": "I",
    "person": "E",
    "who": "R",
    "a": "X",
    "please": "Q",
    "based on": "L",
    "upload": "U",
    "small": "f",
}
"""From a kind of words, as the languages name it, to its letter; ``u`` is any other word.

A word of several kinds is of the first of them.
"""

_LONGEST = 240
"""Characters that are looked at: a refusal says so at once."""

_STOPS = r"\s.,;:!?()\[\]{}\"'“”‘’«»<>*_/|\-–—…。、，！？：；（）「」؟،؛।"
_SHOWN_STOPS = r".!?;:。！？；：؟؛।,，、،()（）\-–—"
_STOP_LETTERS = dict.fromkeys(".!?;。！？；؟؛।", ".")
"""Ends of sentences; the other signs are ``,``."""

_NOUN = "(?:[fE]*u{1,6}(?:[fL]+u{1,4})?|[fE]+|)"
_IMAGE = "(?:fI|If|I$)"
_LEAD = re.compile(r"[fP]*L[^.]{0,12}?[,.]")
_WHOLE = re.compile(
    "|".join(
        (
            # All words are of the task: "The image was not provided".
            r"(?!f*E,?N\Z)(?=.*[ACQDMN])(?=.*[VSIEAC]|.*P.*[DM]|.*[DM]$)(?!X)(?!.*[Eu]R)[^u]+",
            # Somebody or something is not visible, and no more is said.
            rf"(?:[fL]*If*,)?(?!X){_NOUN}(?:[fL]*I[fL]*)?(?:[DMNC][fNEL]*[SVI]|(?<=[uE])C|(?<=If)C)[fLIESVPCDM,]*",
            # There is no such thing in the image.
            rf"[fP]*[DNC][fEXS]*u{{1,6}}[fL]*{_IMAGE}f*",
            rf"f*P[fS]*{_IMAGE}[fL]*[DMNC][fE]*u{{0,6}}",
            r"f*I[fL]*[CN][fE]*u{1,6}",
            r"f*I[fL]*SN[fE]*u{0,4}",
            # "a person I cannot identify"
            r"XE[fR]*P[DM][VS]",
        )
    )
)
_SEES_NOT = re.compile("f*P[fA]*[DM]f*[SV]")
"""What is no refusal at the beginning of a title is one behind "Looking at the image,"."""
_OF_SPEAKER = re.compile("[APQV]")
_SAYS_MORE_THAN_NONE = re.compile("[ACDMP].")
_BEGINS = re.compile(
    "|".join(
        (
            # I cannot identify ..., I do not see ... in the image, I see nobody ...
            r"[fLA,]*(?:P[fA]*[DMN]|C)[^.,]{0,4}V",
            rf"[fLA,]*(?:P[fAS]*[DMN]|C)[fP]*S?[^.,]{{0,8}}?{_IMAGE}",
            r"[fLA,]*(?:P[fAS]*[DMN]|C)[fP]*S?[fN]*E",
            r"[fLA,]*P[^.,N]{0,8}Nf*V",
            r"[fLA,.]*A[fLAP,.]*(?:[^.u]*u){0,4}?[^.u]*[CDMN][fPE]*[VSIE]",
            # The image does not show ...
            r"f*I[fL]*[MNC][fNP]*[SV]",
            # Please upload an image
            r"[fLP,]*Q[fPX]*[UVS][fPXN]*I",
        )
    )
)


_ANY = "*"
"""Stands at a word's end for any ending."""


@dataclass(frozen=True, slots=True)
class _Language:
    """How to read a text of a language.

    Args:
        tokens: Finds its words, in the group ``word``, other words, and stops.
        letters: From a word to the letter of its kind.
        stems: The same for words whose ending is open, longest first.
        denies: Finds a word without which no text is a refusal.
    """

    tokens: re.Pattern[str]
    letters: Mapping[str, str]
    stems: tuple[tuple[str, str], ...]
    denies: re.Pattern[str]

    def signature(self, text: str) -> str:
        """The letters of a text's words; ``.`` and ``,`` for stops."""
        return "".join(map(self._letter, self.tokens.finditer(text)))

    def _letter(self, found: re.Match[str]) -> str:
        word = found["word"]
        if word is None:
            return _STOP_LETTERS.get(found["stop"], ",") if found["stop"] else "u"
        known = self.letters.get(word)
        return known or next(letter for stem, letter in self.stems if word.startswith(stem))


def says_no(text: str) -> bool:
    """Whether a text is, or begins with, a sentence about the task that says no.

    Args:
        text: In small letters, with plain apostrophes and single blanks.

    >>> says_no("there is no ann lee in the image")
    True
    >>> says_no("a man who is not visible in the mirror")
    False
    """
    return any(map(_denies_task, _signatures(text)))


def declines(text: str) -> bool:
    """Whether such a sentence tells of the speaker: what is not in the image is an answer to some.

    >>> declines("ich kann sie nicht erkennen"), declines("there is no ann lee in the image")
    (True, False)
    """
    return any(_denies_task(kinds) for kinds in _signatures(text) if _OF_SPEAKER.search(kinds))


def _signatures(text: str) -> Iterator[str]:
    """The letters of a text in each language whose denials it has."""
    text = text[:_LONGEST]
    for language in _readers():
        if language.denies.search(text):
            yield language.signature(text).strip(".,")


def _denies_task(kinds: str) -> bool:
    """Whether the letters of a text, or of its first sentence, are those of a refusal."""
    lead = _LEAD.match(kinds)
    if _is_denial(kinds) or lead is None:
        return _is_denial(kinds)
    rest = kinds[lead.end() :]
    return _SEES_NOT.match(rest) is not None or _is_denial(rest)


def _is_denial(kinds: str) -> bool:
    first, _, rest = kinds.partition(".")
    whole = kinds.replace(".", ",")
    sentences = [whole, first] if rest and _SAYS_MORE_THAN_NONE.search(first) else [whole]
    return any(
        _WHOLE.fullmatch(one) or _WHOLE.fullmatch(one.replace(",", "")) or _BEGINS.match(one)
        for one in sentences
    )


@cache
def languages() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """The words of each kind by language; a kind ``blanks`` marks a language without blanks."""
    file = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    file.optionxform = str  # type: ignore[assignment,method-assign]
    file.read_string(_WORDS.read_text(encoding="utf-8"))
    return {
        name: {kind: _words(line) for kind, line in file.items(name)} for name in file.sections()
    }


def _words(line: str) -> tuple[str, ...]:
    parts = (" ".join(part.split()) for part in line.split("|"))
    return tuple(unicodedata.normalize("NFC", part).casefold() for part in parts if part)


@cache
def _readers() -> tuple[_Language, ...]:
    return tuple(map(_reader, languages().values()))


def _reader(kinds: Mapping[str, Sequence[str]]) -> _Language:
    spaced = _NO_BLANKS not in kinds
    letters: dict[str, str] = {}
    for kind, letter in _LETTERS.items():
        for word in kinds.get(kind, ()):
            letters.setdefault(word, letter)
    denials = [word for word, letter in letters.items() if letter in "ACDMNQ"]
    begin, end, other = (
        (rf"(?<![^{_STOPS}])", rf"(?![^{_STOPS}])", rf"[^{_STOPS}]+")
        if spaced
        else ("", "", r"[a-z0-9]+|[^\W_]")
    )
    words = _one_of(letters, spaced=spaced)
    return _Language(
        re.compile(rf"(?P<word>{begin}{words}{end})|(?P<stop>[{_SHOWN_STOPS}])|{other}"),
        {word: letter for word, letter in letters.items() if not word.endswith(_ANY)},
        tuple(
            (word[:-1], letters[word])
            for word in sorted(letters, key=len, reverse=True)
            if word.endswith(_ANY)
        ),
        re.compile(rf"{begin}{_one_of(denials, spaced=spaced)}{end}"),
    )


def _one_of(words: Iterable[str], *, spaced: bool) -> str:
    """A pattern of the words, the longest first."""
    ending = rf"[^{_STOPS}]*" if spaced else ""
    patterns = (
        re.escape(word.removesuffix(_ANY)) + (ending if word.endswith(_ANY) else "")
        for word in sorted(words, key=len, reverse=True)
    )
    return f"(?:{'|'.join(patterns)})"
