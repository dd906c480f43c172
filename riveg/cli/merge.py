"""``riveg merge``: the runs of all shards, joined to one."""

from __future__ import annotations

from pathlib import Path

import typer

from riveg.cli.places import opened
from riveg.cli.visible import counted


def merge(
    runs: list[Path] = typer.Argument(
        metavar="RUN...",
        help="The run folders of all shards, in any order; also s3://BUCKET/RUN.",
        callback=opened,
    ),
    out: Path = typer.Option(help="The run folder to write; also s3://BUCKET/RUN."),
) -> None:
    """Join the runs of all shards. The folder is that of one run over all samples."""
    from riveg.cli.progress import RichProgress
    from riveg.cli.tables import plain, stdout
    from riveg.runs.merging import merge_runs
    from riveg.runs.stored import working_folder

    with RichProgress() as progress, working_folder(out, progress.note) as place:
        samples = merge_runs(runs, place, progress)
    shards = counted(len(runs), "shard")
    stdout().print(plain(f"{counted(samples, 'sample')} of {shards} in {out}"), soft_wrap=True)
