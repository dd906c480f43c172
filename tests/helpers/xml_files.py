"""XML files as tests read them: what is looked for is there."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element

from defusedxml import ElementTree


def read_xml(path: Path) -> Element:
    """The root of a file."""
    root = ElementTree.parse(path).getroot()
    assert root is not None
    return root


def text_of(element: Element, path: str) -> str:
    """The text of the first element at a path below this one."""
    text = element.findtext(path)
    assert text is not None, path
    return text
