"""Tokenizers that others have made: how much they may make of a text, before one is loaded.

A ``tokenizer.json`` is a small program. A step that doubles a text, written forty times, would fill
any memory, and does so when it is loaded if a special token is normalised. So the steps are
looked at in the file: each can make so many characters of one at most, and their product is
bounded. https://huggingface.co/docs/tokenizers/components
"""

from __future__ import annotations

import binascii
import json
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from riveg.errors import UserError, reason
from riveg.formats.json_files import checked, read_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_MOST_OF_ITS_OWN = 128
"""Characters that steps may make of one by what the file itself says; usual are 2 to 40."""
_MOST = 8192
"""The same with what Unicode and bytes add; ALBERT's steps come to 1296."""
_MOST_SPECIAL = 128
"""Copies of a text and special tokens around it."""

_BY_UNICODE: Mapping[str, int] = {
    **{"NFC": 3, "NFD": 4, "NFKC": 18, "NFKD": 18, "Lowercase": 2},
    **{"BertNormalizer": 6, "ByteLevel": 4},
}
"""Most characters that become of one, by a step's type."""

_CONSUMES = re.compile(
    r"(?:(?:\\[sSdDwW]|\\[pP]\{\^?\w+\}|\[(?:[^\]\\\[]|\\.)+\]|[^\\\[\](){}?*+|.^$])"
    r"(?:\+|\{[1-9]\d*(?:,\d*)?\})?)+"
)
"""Patterns that match one character at least; others may match none, everywhere."""

_UNKNOWN = "\ua66e"
"""A rare letter: for it, the piece that stands for unknown ones is looked up."""

_Name = Annotated[str, Field(max_length=1000)]
_Affix = Annotated[str, Field(max_length=100)]


class _Fixed(BaseModel):
    fixed: int = Field(alias="Fixed", le=100_000)


class _Padding(BaseModel):
    strategy: str | _Fixed | None = None
    pad_to_multiple_of: int | None = Field(None, le=100_000)
    pad_token: _Name | None = None


class _Model(BaseModel):
    max_input_chars_per_word: int | None = Field(None, le=10_000)
    continuing_subword_prefix: _Affix | None = None
    end_of_word_suffix: _Affix | None = None
    unk_token: _Name | None = None


class _Parts(BaseModel):
    """What a ``tokenizer.json`` consists of; steps are looked at one by one."""

    model_config = ConfigDict(extra="ignore")

    normalizer: Any = None
    pre_tokenizer: Any = None
    post_processor: Any = None
    decoder: Any = None
    padding: _Padding | None = None
    model: _Model = _Model()


def read_tokenizer(path: Path) -> Tokenizer:
    """A tokenizer of the ``tokenizers`` package from its ``tokenizer.json``.

    Raises:
        UserError: If the file is none, makes too much of a text, or nothing of an unknown word.
    """
    from tokenizers import Tokenizer

    require_bounded_file(path)
    try:
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.encode(_UNKNOWN)
        return tokenizer
    except Exception as error:  # the package raises no narrower class
        raise UserError(f"{path}: is no tokenizer ({reason(error)})") from error


def require_bounded_files(folder: Path) -> None:
    """Makes sure of every ``tokenizer.json`` that a library may load from a model's folder.

    Raises:
        UserError: As :func:`require_bounded_file`.
    """
    # transformers also takes a `tokenizer.4.0.0.json` that `tokenizer_config.json` names.
    for path in sorted({*folder.glob("tokenizer.json"), *folder.glob("tokenizer.*.json")}):
        require_bounded_file(path)


def require_bounded_file(path: Path) -> None:
    """Makes sure that a tokenizer makes no large text of a small one.

    Raises:
        UserError: If it may, or the file cannot be read.
    """
    try:
        state = path.stat()
        _require_bounded_version(path, state.st_size, state.st_mtime_ns)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: is no tokenizer ({reason(error)})") from error


@lru_cache(maxsize=16)  # a model's parts are loaded one by one, and the file may be large
def _require_bounded_version(path: Path, _size: int, _changed: int) -> None:
    where = f"{path}: is no tokenizer that riveg loads"
    _require_bounded(checked(_Parts, read_json(path), where), path)


def require_bounded_tokenizer(loaded: Any, folder: Path) -> None:
    """The same for what transformers has loaded, if there is a tokenizer of this kind in it.

    It may have been put together from other files: ``spiece.model``, or settings.

    Raises:
        UserError: If it may make a large text of a small one; names the folder.
    """
    tokenizer = getattr(getattr(loaded, "tokenizer", loaded), "backend_tokenizer", None)
    names = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
    steps = {name: getattr(tokenizer, name, None) for name in names}
    states = {name: json.loads(step.__getstate__()) for name, step in steps.items() if step}
    _require_bounded(_Parts(**states), folder)


def _require_bounded(parts: _Parts, place: Path) -> None:
    for steps in ([parts.normalizer, parts.pre_tokenizer], parts.decoder):
        own = prod(map(_growth_by_content, _dicts(steps)))
        most = own * prod(map(_growth_by_unicode, _dicts(steps)))
        _require(own, _MOST_OF_ITS_OWN, "characters", place)
        _require(most, _MOST, "characters", place)
    _require(prod(map(_copies, _dicts(parts.post_processor))), _MOST_SPECIAL, "tokens", place)


def _require(growth: int, most: int, what: str, place: Path) -> None:
    if growth > most:
        found = str(growth) if growth < 10**9 else "more than 10^9"
        raise UserError(
            f"{place}: the tokenizer's steps may make {found} {what} of one, {most} at most are "
            "allowed: do not use it"
        )


def _dicts(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every object in a value, wherever it stands: steps need not name their type."""
    if isinstance(value, dict):
        yield value
        value = [*value.values()]
    for inner in value if isinstance(value, list) else ():
        yield from _dicts(inner)


def _growth_by_content(step: Mapping[str, Any]) -> int:
    """Most characters that a step makes of one by a text that stands in it."""
    if isinstance(content := step.get("content"), str):
        return _growth_by_replacing(step.get("pattern"), len(content))
    if isinstance(before := step.get("prepend"), str):
        return 1 + len(before)
    if isinstance(table := step.get("precompiled_charsmap"), str):
        return _longest_in_table(table)
    adds_blank = step.get("prepend_scheme", "never") != "never" or step.get("add_prefix_space")
    return 2 if adds_blank else 1


def _growth_by_replacing(pattern: object, length: int) -> int:
    if isinstance(pattern, dict):
        text = pattern.get("String")
        if isinstance(text, str) and text:
            return max(1, -(-length // len(text)))
        text = pattern.get("Regex")
        if isinstance(text, str) and _CONSUMES.fullmatch(text):
            return max(1, length)
    return 1 + length


def _longest_in_table(table: str) -> int:
    """Of a table of SentencePiece: the length of a trie in bytes, the trie, texts between NULs."""
    try:
        raw = b64decode(table)
    except (binascii.Error, ValueError):
        return 1  # the library refuses it
    texts = raw[4 + int.from_bytes(raw[:4], "little") :].split(b"\0")
    return max(1, *(len(text.decode("utf-8", "replace")) for text in texts))


def _growth_by_unicode(step: Mapping[str, Any]) -> int:
    kind = "BertNormalizer" if "handle_chinese_chars" in step else step.get("type")
    return _BY_UNICODE.get(kind, 1) if isinstance(kind, str) else 1


def _copies(step: Mapping[str, Any]) -> int:
    """Most tokens that a step of the post-processor makes of one."""
    special = step.get("special_tokens")
    marks = special if isinstance(special, dict) else {}
    lists = [step[name] for name in ("single", "pair") if isinstance(step.get(name), list)]
    return max((sum(_tokens_of(piece, marks) for piece in pieces) for pieces in lists), default=1)


def _tokens_of(piece: object, marks: Mapping[str, Any]) -> int:
    mark = piece.get("SpecialToken") if isinstance(piece, dict) else None
    found = marks.get(str(mark.get("id"))) if isinstance(mark, dict) else None
    ids = found.get("ids") if isinstance(found, dict) else None
    return len(ids) if isinstance(ids, list) else 1
