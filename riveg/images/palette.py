"""One colour for each entity type: the same in images, in the words below them, in the report."""

from __future__ import annotations

from collections.abc import Iterable

INK = "#1d2125"
"""The dark of letters, and of rims around coloured lines."""

PALETTE = (
    "#0072B2",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#7E57C2",
    "#B8860B",
    "#3A97DB",
    "#6B8E23",
    "#CC3366",
    "#8D6240",
    "#708090",
)
"""The first four, of the usual types, are from the set of Okabe and Ito (2008), which colour-blind
readers can tell apart. Each stands out from white and from a dark ground: a contrast of 3 or more.
"""

_USUAL = {
    "PER": PALETTE[0],
    "PERSON": PALETTE[0],
    "LOC": PALETTE[1],
    "LOCATION": PALETTE[1],
    "ORG": PALETTE[2],
    "ORGANIZATION": PALETTE[2],
    "ORGANISATION": PALETTE[2],
    "OTHER": PALETTE[3],
    "MISC": PALETTE[3],
}
_FREE = PALETTE[4:]


def type_colours(labels: Iterable[str]) -> dict[str, str]:
    """A colour ``#rrggbb`` for each distinct label, in sorted order.

    Usual labels (``PER``, ``LOC``, ``ORG``, ``OTHER``, ``MISC``, their long forms, in any case)
    always have the same one. The others get the rest of the palette in sorted order, and again from
    its beginning when it is used up. So pass all labels of a run and not those of one sample, for
    colours that are the same in each image.

    >>> type_colours(["SHIP", "PER"])
    {'PER': '#0072B2', 'SHIP': '#7E57C2'}
    """
    known = sorted(set(labels))
    others = [label for label in known if not is_usual(label)]
    free = {label: _FREE[index % len(_FREE)] for index, label in enumerate(others)}
    return {label: free.get(label) or _USUAL[label.upper()] for label in known}


def is_usual(label: str) -> bool:
    """Whether the label has the same colour whatever the other labels are."""
    return label.upper() in _USUAL


def ink_on(colour: str) -> str:
    """Whether dark or white letters are easier to read on a colour, as a colour."""
    return max((INK, "#ffffff"), key=lambda ink: contrast(ink, colour))


def contrast(one: str, other: str) -> float:
    """The contrast of two colours ``#rrggbb`` in [1, 21] (WCAG 2.2, relative luminance).

    >>> round(contrast("#000000", "#ffffff"))
    21
    """
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return sum(
        weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True)
    )
