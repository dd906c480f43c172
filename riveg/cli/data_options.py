"""Options of every command that reads data."""

from __future__ import annotations

from typing import Any

import typer

KINDS = "A shipped dataset, a dataset YAML, a .jsonl, .json, .csv, .tsv or .parquet file, or -"
"""What data may be, for help texts."""

COLUMN: Any = typer.Option(
    [],
    "--column",
    metavar="COLUMN=NAME",
    help="Which column is which, for example text=tweet; may be repeated.",
)
