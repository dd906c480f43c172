"""The figure in docs/mner-qg.md is the one that its script draws."""

from __future__ import annotations

import runpy
from xml.etree import ElementTree

from helpers.places import ROOT


def test_the_figure_is_what_its_script_draws() -> None:
    drawn = runpy.run_path(str(ROOT / "docs" / "mner_qg_figure.py"))["figure"]()
    assert (ROOT / "docs" / "mner-qg.svg").read_text("utf-8") == drawn
    ElementTree.fromstring(drawn)
