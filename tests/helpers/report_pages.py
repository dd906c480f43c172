"""A page of the report, as it was written and as it lies open in a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from riveg.report.builder import WrittenPage
from riveg.types import Sample

_FOLLOW = """(hash) => new Promise((done) => {
  if (location.hash === hash) { done(); return; }
  addEventListener('hashchange', () => done(), {once: true});
  location.hash = hash;
})"""


@dataclass
class Opened:
    """A page in the browser, and everything it has asked for or complained about."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def goto(self, path: Path, hash: str = "") -> None:
        self.page.goto(path.as_uri() + hash)
        self.page.wait_for_selector("html[data-ready=whole]")

    def show(self, hash: str = "") -> None:
        """Another address in the same document: everything chosen before is forgotten."""
        self.page.evaluate(_FOLLOW, hash)

    def check(self) -> None:
        """Fails if the page has asked for anything but files, or has complained."""
        assert not [url for url in self.requests if not url.startswith(("file:", "data:"))]
        assert not self.complaints

    def ids(self) -> list[str]:
        ids: list[str] = self.page.locator("#list .row-id").all_inner_texts()
        return ids


Open = Callable[..., Opened]


@dataclass(frozen=True)
class Written:
    """A page and what it was made from."""

    written: WrittenPage
    samples: list[Sample]
    run: Path

    @property
    def path(self) -> Path:
        return self.written.path


def data_of(path: Path, attribute: str) -> Any:
    """The JSON of the page's elements with an attribute."""
    pattern = rf'<script type="application/json" {attribute}>(.*?)</script>'
    return [json.loads(found) for found in re.findall(pattern, path.read_text(encoding="utf-8"))]


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The samples on a page."""
    return [one for rows in data_of(path, 'class="rows"') for one in rows]
