"""Values inside a page's script elements, so that no text can leave its element."""

from __future__ import annotations

import base64
import hashlib
import json

_INERT = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def inert_json(value: object) -> str:
    r"""JSON in plain ASCII that means nothing to an HTML parser.

    >>> inert_json("</script>")
    '"\\u003c/script\\u003e"'
    """
    return json.dumps(value, separators=(",", ":"), allow_nan=False).translate(_INERT)


def content_hash(text: str) -> str:
    """The name of a script or style in a Content-Security-Policy.

    >>> content_hash("")
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
    """
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def utf16_positions(text: str) -> list[int]:
    """The position of each character, and of the end, in UTF-16 units, which JavaScript counts.

    >>> utf16_positions("a🚀b")
    [0, 1, 3, 4]
    """
    positions = [0]
    for character in text:
        positions.append(positions[-1] + (2 if ord(character) > 0xFFFF else 1))
    return positions
