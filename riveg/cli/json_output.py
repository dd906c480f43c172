"""Dataclasses as JSON documents: what commands write with ``--json``."""

from __future__ import annotations

from pathlib import Path


def write_json(document: object, target: str) -> None:
    """Writes a dataclass as JSON to a file, or to stdout for ``-``.

    Its JSON schema is in ``docs/schemas``; its first key is the version.
    """
    import typer
    from pydantic import TypeAdapter

    text = TypeAdapter(type(document)).dump_json(document, indent=1)
    if target == "-":
        typer.echo(text)
        return
    from riveg.files import make_folder, write_atomically

    path = Path(target)
    make_folder(path.parent)
    write_atomically(path, [text, b"\n"])
