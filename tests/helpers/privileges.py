"""Commands that may not write what is read-only, whoever runs the tests."""

from __future__ import annotations

import os
import shutil

import pytest

WITHOUT_PRIVILEGES = (
    ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
)
"""Before a command: root may write anything, unless it gives that up."""

needs_setpriv = pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="needs setpriv, as root"
)
