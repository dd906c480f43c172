"""``python -m riveg`` is the ``riveg`` command."""

from riveg.cli import main

main()
