"""Runs over shards of the same data, joined to the run over all of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from riveg.errors import UserError
from riveg.files import digest_of, file_digest, read_regular, write_atomically
from riveg.formats.accounts import merged_accounts, read_accounts, written_accounts
from riveg.formats.manifest import part_count
from riveg.formats.run_records import CONFIG, CONFIG_DIGEST, DIGEST, MANIFEST, finished_manifest
from riveg.llm.response_cache import ResponseCache
from riveg.runs.building import ANSWERS
from riveg.runs.checks import require_same_origin
from riveg.runs.folder import Part, RunFolder, StageFolder
from riveg.runs.portion import SHARED_OUT, Shard
from riveg.runs.progress import Progress, Silence
from riveg.runs.record_files import write_records
from riveg.runs.run_input import INPUT
from riveg.runs.sent_images import merged_records

_SAME = (
    *("schema", "system", "data", "origin", "data_version", "split", "part_size", "limit"),
    SHARED_OUT,
)
"""Keys of the manifest that are the same in every shard, besides the stages."""

_MOST_CONFIG_BYTES = 1 << 24


def merge_runs(folders: Sequence[Path], out: Path, progress: Progress | None = None) -> int:
    """Makes one run folder of the shards', with the bytes of a run that was never shared out.

    Parts that are there already are not written again, so that an interrupted merge goes on.

    Args:
        folders: Those of all shards, in any order; every run has come to its end.
        out: The folder to write: a run folder, with which ``riveg run`` goes on as with any other.
        progress: Told of every part.

    Returns:
        The number of samples.

    Raises:
        UserError: If a shard is missing, there twice, not finished, damaged, or of other data or
            settings, or the folder holds another run.
    """
    progress = progress or Silence()
    shards = _shards([(folder, finished_manifest(folder)) for folder in folders])
    settings = _settings(shards[0])
    merged = RunFolder(out)
    manifest = _manifest([found for _, _, found in shards])
    with merged.lock():
        require_same_origin(merged, manifest)
        before = merged.read_manifest().get("samples", 0)
        if before > manifest["samples"]:
            raise UserError(
                f"{out}: holds a run over {before} samples, the shards have "
                f"{manifest['samples']}; choose another --out"
            )
        # Until the end the folder says whose it is, and that it is not whole.
        merged.write_manifest({**manifest, "finished": None, DIGEST: None})
        parts = _merge_parts(shards, merged, progress)
        write_atomically(out / CONFIG, [settings], goes_on=True, is_private=True)
        _merge_answers([folder.path / ANSWERS for folder, _, _ in shards], out / ANSWERS)
        written = write_records(merged, _stages(merged, manifest)[-1], parts)
        digest = file_digest(merged.records_path)
        merged.write_manifest({**manifest, "failed": written.failed, DIGEST: digest})
    samples: int = manifest["samples"]
    return samples


_Found = tuple[RunFolder, Shard, Mapping[str, Any]]


def _shards(found: Sequence[tuple[Path, Mapping[str, Any]]]) -> list[_Found]:
    """In the order of their numbers; all of them are there, once, and of one run."""
    shards: dict[int, _Found] = {}
    first_path, first = found[0]
    of = _shard(first_path, first).of
    for path, manifest in found:
        shard = _shard(path, manifest)
        other = next((key for key in _SAME if manifest.get(key) != first.get(key)), None)
        if other is None and _prints(manifest) != _prints(first):
            other = _other_stage(manifest, first)
        if other is None and shard.of != of:
            other = "the number of shards"
        if other is not None:
            what = "the samples of the data" if other == SHARED_OUT else other
            raise UserError(f"{path}: differs from {first_path} in {what}; they are not one run")
        if shard.number in shards:
            raise UserError(f"{path}: is shard {shard}, as {shards[shard.number][0].path} is")
        shards[shard.number] = (RunFolder(path), shard, manifest)
    missing = [number for number in range(1, of + 1) if number not in shards]
    if missing:
        some = ", ".join(f"{number}/{of}" for number in missing[:10])
        more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
        raise UserError(f"shards {some}{more} are missing; name the folders of all {of}")
    return [shards[number] for number in sorted(shards)]


def _shard(path: Path, manifest: Mapping[str, Any]) -> Shard:
    if "shard" not in manifest:
        raise UserError(f"{path}: is a run over everything, not one with --shard")
    try:
        return Shard.parse(manifest["shard"])
    except UserError as error:
        raise UserError(f"{path / MANIFEST}: {error}") from error


def _settings(shard: _Found) -> bytes:
    """The ``config.yaml`` of a shard, as its run has written it."""
    folder, _, manifest = shard
    path = folder.path / CONFIG
    try:
        settings = read_regular(path, _MOST_CONFIG_BYTES)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give the run again") from error
    if manifest.get(CONFIG_DIGEST) not in {None, digest_of(BytesIO(settings))}:
        raise UserError(f"{path}: is not what the run had; give the run again")
    return settings


def _manifest(manifests: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The manifest of the run over everything."""
    own = {"shard", SHARED_OUT, INPUT}
    kept = {key: value for key, value in manifests[0].items() if key not in own}
    return {
        **kept,
        "samples": sum(manifest["samples"] for manifest in manifests),
        "image_roots": _united(manifests, "image_roots"),
        "notes": [*_united(manifests, "notes"), *_differences(manifests)],
        "started": min(_times(manifests, "started"), default=None),
        "finished": max(_times(manifests, "finished"), default=None),
        "seconds": _summed(manifests, "seconds"),
        "workers": _summed(manifests, "workers"),
        "accounts": written_accounts(merged_accounts(map(read_accounts, manifests))),
        "out_of_memory": _shortages(manifests),
        **_sent(manifests),
    }


def _times(manifests: Sequence[Mapping[str, Any]], key: str) -> list[float]:
    return [time for manifest in manifests if (time := manifest.get(key)) is not None]


def _prints(manifest: Mapping[str, Any]) -> dict[str, str | None]:
    stages = manifest.get("stages", {})
    return {name: stage.get("fingerprint") for name, stage in stages.items()}


def _other_stage(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    mine, its = _prints(one), _prints(other)
    names = (name for name in (*mine, *its) if mine.get(name) != its.get(name))
    return f"the settings of {next(names, 'its stages, which are in another order')}"


def _stages(run: RunFolder, manifest: Mapping[str, Any]) -> list[StageFolder]:
    return [run.input, *(folder for folder, _ in run.stages(manifest))]


def _merge_parts(shards: Sequence[_Found], merged: RunFolder, progress: Progress) -> int:
    """Copies the parts, stage by stage, and gives their number."""
    counts = [part_count(manifest) for _, _, manifest in shards]
    total = sum(counts)
    for place, target in enumerate(_stages(merged, shards[0][2])):
        progress.begin(target.stage, None)
        for (folder, shard, manifest), count in zip(shards, counts, strict=True):
            source = _stages(folder, manifest)[place]
            for index in range(count):
                at = shard.place(index)
                if at >= total:
                    raise UserError(
                        f"{folder.path}: has part {index}, which would be number {at} of {total}; "
                        "the shards are not of the same data"
                    )
                part = _whole_part(source, index, _prints(manifest).get(source.stage, ""))
                if target.read(at) != part:
                    target.write(at, part)
                    # As old as in its shard: `riveg status` measures speed by it.
                    made = source.part_path(index).stat().st_mtime
                    os.utime(target.part_path(at), (made, made))
                progress.advance(len(part.lines), 0)
        progress.end(0.0)
    return total


def _whole_part(source: StageFolder, index: int, fingerprint: str | None) -> Part:
    part = source.read(index)
    if part is None or not part.is_whole or part.header.fingerprint != fingerprint:
        raise UserError(f"{source.part_path(index)}: is damaged; give the run again")
    return part


def _merge_answers(caches: Sequence[Path], target: Path) -> None:
    """Joins what language models answered, for runs that go on with other settings."""
    there = [path for path in caches if path.is_file()]
    if there:
        with ResponseCache(target) as cache:
            for path in there:
                cache.add_all(path)


def _united(manifests: Sequence[Mapping[str, Any]], key: str) -> list[Any]:
    return [*dict.fromkeys(item for manifest in manifests for item in manifest.get(key, []))]


def _summed(manifests: Sequence[Mapping[str, Any]], key: str) -> dict[str, float]:
    total: dict[str, float] = {}
    for manifest in manifests:
        for stage, number in manifest.get(key, {}).items():
            total[stage] = round(total.get(stage, 0) + number, 3)
    return total


def _sent(manifests: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    told = [one["images_sent"] for one in manifests if "images_sent" in one]
    return {"images_sent": merged_records(told)} if told else {}


def _shortages(manifests: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for manifest in manifests:
        for stage, noted in manifest.get("out_of_memory", {}).items():
            known = found.setdefault(stage, [])
            known += [shortage for shortage in noted if shortage not in known]
    return found


def _differences(manifests: Sequence[Mapping[str, Any]]) -> list[str]:
    """Notes on what the shards were not equally made with."""
    names = sorted({name for manifest in manifests for name in manifest.get("packages", {})})
    notes = []
    for name in names:
        versions = {manifest.get("packages", {}).get(name) for manifest in manifests} - {None}
        if len(versions) > 1:
            notes.append(f"shards were made with different {name}: {', '.join(sorted(versions))}")
    return notes
