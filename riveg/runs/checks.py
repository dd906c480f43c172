"""Checks before a run begins: data, images, models and clients are there and fit together."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from riveg.checkpoints.adapters import adapter_files, adapter_of
from riveg.checkpoints.folders import (
    LoadsModels,
    ModelFiles,
    cache_name,
    model_file,
    model_folder,
)
from riveg.checkpoints.wheel_models import require_made
from riveg.config.extras import missing_client
from riveg.config.system import LLM_FIELD, Step, SystemConfig
from riveg.datasets.dataset import quoted
from riveg.errors import ImageFault, MissingExtra, MissingModel, UserError
from riveg.images.loader import ImageLoader
from riveg.llm.endpoint import Endpoint
from riveg.runs.folder import RunFolder
from riveg.runs.portion import Shard
from riveg.runs.sources import DataSource
from riveg.types import Gold, Sample

_FEWEST_MISSING = 3
"""Missing images that say something about the folder."""


def gold_of(source: DataSource, steps: Sequence[Step]) -> Mapping[str, Gold]:
    """The gold by sample id that oracle stages look at; nothing where there is no such stage.

    Raises:
        UserError: If they want gold and the data has none.
    """
    if not any(step.config.oracle for step in steps):
        return {}
    gold = {item.sample_id: item for item in source.gold()}
    if not gold:
        raise UserError(f"{source.name}: has no gold, which the oracle stages need")
    return gold


def require_clients(config: SystemConfig, steps: Sequence[Step]) -> None:
    """Makes sure, before a run, that what talks to its language models is installed.

    Raises:
        MissingExtra: If it is not.
        MissingModel: If a model is one that ``riveg fetch`` makes of a wheel and has not made.
    """
    for step in steps:
        endpoint = config.endpoint_of(step)
        if endpoint is None:
            continue
        missing = missing_client(endpoint)
        if missing is not None:
            what = f"{step.stage.name}: {step.config.name}"
            raise MissingExtra(what, missing.package, missing.extra)
        if not endpoint.base_urls:
            require_made(endpoint.model)


def require_images(steps: Sequence[Step], source: DataSource) -> None:
    """Makes sure, before a run, that one of the image folders is there where stages need it.

    Raises:
        UserError: If none is.
    """
    needing = [step.stage.name for step in steps if step.config.needs_image]
    if not needing or not source.image_roots or any(root.is_dir() for root in source.image_roots):
        return
    folders = ", ".join(map(str, source.image_roots))
    text_only = "" if needing[0] == steps[0].stage.name else ", or stop before with --until"
    raise UserError(
        f"{source.name}: no picture folder at {folders}, which the stages {', '.join(needing)} "
        f"need; put them there, say where they are with --images{text_only}"
    )


def refuse_missing_images(
    samples: Iterator[Sample], source: DataSource, *, most: int
) -> Iterator[Sample]:
    """The samples as they are; ends at once where the first images are all missing.

    A wrong folder would otherwise be noticed when every sample has an Issue. Fewer than three
    images say nothing about the folder.

    Args:
        samples: In the order in which they are read.
        source: Where they come from.
        most: How many images are looked for, or all of them where there are fewer; 0: none.

    Raises:
        UserError: If none of them is there.
    """
    loader = ImageLoader(source.image_roots, cache_bytes=0)
    missing: list[str] = []
    for sample in samples:
        if sample.image is not None and most:
            if loader.stamp(sample.image):
                most = 0
            else:
                missing.append(sample.image.path)
                if len(missing) == most:
                    raise _missing_images(missing, source, loader)
        yield sample
    if most and len(missing) >= _FEWEST_MISSING:
        raise _missing_images(missing, source, loader)


def _missing_images(missing: Sequence[str], source: DataSource, loader: ImageLoader) -> UserError:
    folders = ", ".join(str(root.absolute()) for root in source.image_roots) or "no folder"
    reason = f"{quoted(missing[0])} was looked for in {folders}; say where they are with --images"
    try:
        loader.locate(missing[0])
    except ImageFault as fault:
        if fault.kind != "missing-image":  # it may well be there, and is not looked at
            reason = str(fault)
    return UserError(
        f"{source.name}: none of the first {len(missing)} pictures is there: {reason}, "
        "or run without them: --set run.first_images=0"
    )


_ORIGIN = ("system", "data", "origin", "part_size")


def origin_of(config: SystemConfig, source: DataSource, shard: Shard | None) -> dict[str, object]:
    """What the manifest of a run says of its origin."""
    values = (config.name, source.name, list(source.origin), config.run.part_size)
    return {**dict(zip(_ORIGIN, values, strict=True)), "shard": shard and str(shard)}


def require_same_origin(folder: RunFolder, run: Mapping[str, object]) -> None:
    """Makes sure that a run folder is of a run's system, data and share, if of any.

    Args:
        folder: The folder.
        run: The manifest of the run that is to be written there, or what :func:`origin_of` gives.

    Raises:
        UserError: If it is of others.
    """
    manifest = folder.read_manifest()
    for key in _ORIGIN:
        now = run.get(key)
        before = manifest.get(key, now)
        if before != now:
            raise UserError(
                f"{folder.path}: holds a run of {key} {_listed(before)}, this one is of "
                f"{_listed(now)}; choose another --out"
            )
    held, wanted = manifest.get("shard"), run.get("shard")
    if manifest and held != wanted:
        raise UserError(
            f"{folder.path}: holds a run of {_share(held)}, this one is of {_share(wanted)}; "
            "choose another --out"
        )


def _share(shard: object) -> str:
    return "all samples" if shard is None else f"shard {shard}"


def _listed(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def require_models(config: SystemConfig, steps: Sequence[Step]) -> None:
    """Makes sure, before a run, that every model its stages load from the hub's cache is there.

    Raises:
        MissingModel: With all that are not, and how to get them.
        UserError: If an adapter of a language model is none, or for another model.
    """
    missing: list[str] = []
    untrained: list[str] = []
    for step in steps:
        options = step.config
        if (endpoint := config.endpoint_of(step)) is not None:
            untrained += _untrained_adapter(endpoint, str(getattr(options, LLM_FIELD)))
        if isinstance(options, LoadsModels):
            for files in options.model_files():
                if not _is_missing(files, config.base):
                    continue
                what = f"{step.stage.name}.{files.setting} "
                if files.trained_by is None:
                    missing.append(what + " ".join((files.model, *files.files[:1])))
                else:
                    untrained.append(f"{what}{_place(files, config.base)} ({files.trained_by})")
    told = []
    if missing:
        told.append(
            f"neither folders nor in the cache of the hub ({cache_name()}): {', '.join(missing)}; "
            f"riveg fetch {config.command_name}, with the same --set, gets them"
        )
    if untrained:
        each = ", ".join(dict.fromkeys(untrained))
        told.append(f"not there, and nobody has published them; train them: {each}")
    if told:
        raise MissingModel("; ".join(told))


def _untrained_adapter(endpoint: Endpoint, name: str) -> Iterator[str]:
    """An adapter of one's own that is not there; one that is there is checked."""
    files = adapter_files(endpoint)
    if files is not None and files.trained_by is not None and _is_missing(files, Path()):
        yield f"llm.{name}.{files.setting} {files.model} ({files.trained_by})"
    else:
        adapter_of(endpoint)


def _place(files: ModelFiles, base: Path) -> str:
    return os.path.relpath(base / files.model)


def _is_missing(files: ModelFiles, base: Path) -> bool:
    try:
        if files.files:
            model_file(files, base)
        else:
            model_folder(files, base)
    except MissingModel:
        return True
    except UserError:
        return False  # something is there, and the stage says what is wrong with it
    return False
