"""``riveg train``: from a configuration to a folder with a model and its card."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import riveg
from riveg.errors import MissingExtra, UserError
from riveg.files import file_digest, make_folder, write_atomically, writing
from riveg.formats.run_records import RECORDS
from riveg.runs.progress import Progress
from riveg.training.checkpoints import seconds_below
from riveg.training.config import Course, TrainingConfig
from riveg.training.work_lock import alone_in

_SETTINGS = "settings.json"
_DATA = "data.json"
_DONE = "done"
_WEIGHTS = "model.safetensors"
_IMMATERIAL = ".workers"
"""The setting that no weight depends on."""

_PACKAGES = ("torch", "transformers", "accelerate", "peft", "tokenizers", "numpy", "onnxruntime")


def train_model(
    config: TrainingConfig, *, progress: Progress, command: str, resume: bool = False
) -> Path:
    """Trains what the configuration says and writes the model's folder.

    Args:
        config: A trainee's configuration.
        progress: What the user sees.
        command: The command that does the same again, for the card.
        resume: Whether to go on with what ``work`` holds.

    Returns:
        The folder with the model and its ``CARD.md``; its earlier files of the same names are
        replaced when everything is there.

    Raises:
        UserError: If a package, the data or a base model is missing, ``out`` is a file, or ``work``
            holds another training, one of other data, one that is under way, or one that was
            interrupted and ``resume`` is not asked for.
    """
    _require_packages(config)
    work = _work_of(config)
    if process_rank():
        # It only lends a hand in the loop; the first process writes, and may not have looked yet
        # whether its folder holds anything.
        with TemporaryDirectory(prefix="riveg-") as unused:
            config.train(Course(config, Path(unused), work, progress))
        return config.out
    started = time.monotonic()
    with alone_in(work), _opened(work, config, progress, resume=resume):
        before = seconds_below(work)
        made = _empty(work / "model")
        course = Course(config, made, work, progress)
        _require_same_data(course)
        card = config.train(course)
        now = time.monotonic() - started
        card = f"{card.rstrip()}\n\n{_provenance(course, command, before, now)}"
        write_atomically(made / "CARD.md", [card.encode()])
        _move(made, config.out)
    return config.out


def process_rank() -> int:
    """The number of this process among those that train together; ``torchrun`` sets it."""
    return int(os.environ.get("RANK", "0"))


def _work_of(config: TrainingConfig) -> Path:
    """The folder for checkpoints, apart from that of the model."""
    out = config.out
    if out.exists() and not out.is_dir():
        raise UserError(f"out: {out} is a file; name a folder")
    if config.work is None and not out.name:
        raise UserError(f"out: {out} has no name for a folder beside it; name a folder, or `work`")
    work = config.work or out.with_name(f"{out.name}.training")
    places = [out.resolve(), work.resolve()]
    if any(one.is_relative_to(other) for one, other in permutations(places, 2)):
        raise UserError(f"work: {work} and out: {out} lie in each other; name two folders")
    return work


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _require_packages(config: TrainingConfig) -> None:
    for package in config.packages:
        if find_spec(package) is None:
            raise MissingExtra(f"riveg train {config.name}", package, config.extra)


@contextmanager
def _opened(
    work: Path, config: TrainingConfig, progress: Progress, *, resume: bool
) -> Iterator[None]:
    settings = json.loads(config.model_dump_json(exclude={"out", "work"}))
    before = _kept(work, _SETTINGS)
    is_done = (work / _DONE).exists()
    if before is None and any(work.iterdir()):
        raise UserError(f"work: {work} holds other things than a training; name another folder")
    if resume and before is not None:
        names = (name for name in _changed(before, settings) if not name.endswith(_IMMATERIAL))
        if changed := sorted(names):
            raise UserError(
                f"--resume: {work} was begun with another {', '.join(changed)}; give the same "
                "settings, or begin anew without --resume in another `work`"
            )
    elif before is not None and not is_done and _has_checkpoint(work):
        raise UserError(
            f"{work} holds a training that was interrupted: --resume goes on with it; to begin "
            "anew, remove that folder"
        )
    elif before is not None:
        _clear(work)
    if resume and before is None:
        progress.note(f"{work}: nothing to go on with yet, so it begins")
    write_atomically(work / _SETTINGS, [json.dumps(settings, indent=2).encode()])
    try:
        yield
    except BaseException:
        if not _has_checkpoint(work):
            shutil.rmtree(work)
        raise
    write_atomically(work / _DONE, [b""])
    for used in (*work.rglob("checkpoint-*"), *work.glob("model*")):
        shutil.rmtree(used)


def _clear(work: Path) -> None:
    # Its lock is on the folder itself, which therefore stays.
    for path in work.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """The settings that differ, as ``--set`` names them."""
    for key in {*before, *now}:
        one, other = before.get(key), now.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            yield from (f"{key}.{inner}" for inner in _changed(one, other))
        elif one != other:
            yield key


def _kept(work: Path, name: str) -> dict[str, object] | None:
    path = work / name
    if not path.exists():
        return None
    try:
        kept: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: is no JSON; remove {work} and begin anew") from error
    if not isinstance(kept, dict):
        raise UserError(f"{path}: is not of a training; remove {work} and begin anew")
    return kept


def _require_same_data(course: Course) -> None:
    """Keeps the digests of the data; what has learnt from others is not gone on with."""
    found = {
        **{split.name: split.digest for split in (course.train, course.dev, *course.others)},
        **{str(path): _digest(path) for path in course.config.learnt_from(course)},
    }
    before = _kept(course.work, _DATA)
    if before is not None and before != found:
        names = {**before, **found}
        changed = " and ".join(name for name in names if before.get(name) != found.get(name))
        raise UserError(
            f"--resume: {changed} changed since {course.work} was begun; begin anew "
            "without --resume in another `work`"
        )
    write_atomically(course.work / _DATA, [json.dumps(found, indent=2).encode()])


def _digest(path: Path) -> str | None:
    """Of a file, a run's records or a model; ``None`` where whoever reads it says what it lacks."""
    within = (path / name for name in (RECORDS, _WEIGHTS))
    try:
        return file_digest(next((one for one in within if one.is_file()), path))
    except OSError:
        return None


def _has_checkpoint(work: Path) -> bool:
    return any(work.rglob("checkpoint-*"))


def _move(made: Path, out: Path) -> None:
    make_folder(out)
    with writing(out):
        for path in sorted(made.rglob("*")):
            target = out / path.relative_to(made)
            if path.is_dir():
                target.mkdir(exist_ok=True)
            else:
                shutil.move(path, target)


def _provenance(course: Course, command: str, before: float, now: float) -> str:
    splits = [course.train, course.dev, *course.others]
    tests = [split for split in splits if split.is_test]
    lines = [
        "## How it was made",
        "",
        f"- Command: `{command}`",
        f"- Learnt from {course.train.described()}",
        f"- Chosen on {course.dev.described()}",
        *(
            f"- **It has seen the test split of {split.dataset.name}**: figures on it say nothing."
            for split in tests
        ),
        f"- Time: {timedelta(seconds=round(before + now))} on {platform.machine()}"
        + _peak_memory("at most since it was interrupted" if before else "at most"),
        f"- riveg {riveg.__version__}, Python {platform.python_version()}, "
        + ", ".join(f"{name} {found}" for name, found in _versions()),
    ]
    return "\n".join(lines) + "\n"


def _peak_memory(when: str) -> str:
    """What this process held at most; Windows does not tell."""
    try:
        import resource
    except ImportError:
        return ""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Bytes on macOS, KiB elsewhere.
    gibibytes = most / 2 ** (30 if sys.platform == "darwin" else 20)
    return f"; {gibibytes:.1f} GiB of memory {when}"


def _versions() -> Iterator[tuple[str, str]]:
    for name in _PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue
