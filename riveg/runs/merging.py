"""Runs over shards of the same data, joined to the run over all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from riveg.errors import UserError
from riveg.files import file_digest, read_regular, write_atomically
from riveg.formats.run_records import CONFIG, DIGEST, finished_manifest
from riveg.llm.response_cache import ResponseCache
from riveg.runs.building import ANSWERS
from riveg.runs.folder import RunFolder, StageFolder
from riveg.runs.portion import Shard
from riveg.runs.progress import Progress, Silence
from riveg.runs.record_files import write_records
from riveg.runs.sent_images import merged_records

_SAME = ("schema", "system", "data", "origin", "data_version", "split", "part_size", "limit")
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
        UserError: If a shard is missing, there twice, not finished, or of other data or settings.
    """
    progress = progress or Silence()
    shards = _shards([(folder, finished_manifest(folder)) for folder in folders])
    manifests = [manifest for _, _, manifest in shards]
    first = manifests[0]
    merged = RunFolder(out)
    with merged.lock():
        if (before := merged.read_manifest()).get("shard"):
            raise UserError(
                f"{out}: holds the run of shard {before['shard']}; choose another --out"
            )
        parts = _merge_parts(shards, merged, [*first["stages"]], progress)
        config = read_regular(shards[0][0].path / CONFIG, _MOST_CONFIG_BYTES)
        write_atomically(out / CONFIG, [config], goes_on=True, is_private=True)
        _merge_answers([folder.path / ANSWERS for folder, _, _ in shards], out / ANSWERS)
        last = _stages(merged, [*first["stages"]])[-1]
        failed = write_records(merged, last, parts)
        samples: int = sum(manifest["samples"] for manifest in manifests)
        merged.write_manifest(
            {
                **{key: value for key, value in first.items() if key != "shard"},
                "samples": samples,
                "failed": failed,
                "image_roots": _united(manifests, "image_roots"),
                "notes": [*_united(manifests, "notes"), *_differences(manifests)],
                "started": min(manifest["started"] for manifest in manifests),
                "finished": max(manifest["finished"] for manifest in manifests),
                "seconds": _summed(manifests),
                "out_of_memory": _shortages(manifests),
                **_sent(manifests),
                DIGEST: file_digest(merged.records_path),
            }
        )
    return samples


_Found = tuple[RunFolder, Shard, Mapping[str, Any]]


def _shards(found: Sequence[tuple[Path, Mapping[str, Any]]]) -> list[_Found]:
    """In the order of their numbers; all of them are there, once, and of one run."""
    shards: dict[int, _Found] = {}
    first_path, first = found[0]
    for path, manifest in found:
        if "shard" not in manifest:
            raise UserError(f"{path}: is a run over everything, not one with --shard")
        shard = Shard.parse(manifest["shard"])
        other = next((key for key in _SAME if manifest.get(key) != first.get(key)), None)
        if other is None and _prints(manifest) != _prints(first):
            other = _other_stage(manifest, first)
        if other is None and shard.of != Shard.parse(first["shard"]).of:
            other = "the number of shards"
        if other is not None:
            raise UserError(f"{path}: differs from {first_path} in {other}; they are not one run")
        if shard.number in shards:
            raise UserError(f"{path}: is shard {shard}, as {shards[shard.number][0].path} is")
        shards[shard.number] = (RunFolder(path), shard, manifest)
    of = Shard.parse(first["shard"]).of
    missing = [number for number in range(1, of + 1) if number not in shards]
    if missing:
        some = ", ".join(f"{number}/{of}" for number in missing[:10])
        more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
        raise UserError(f"shards {some}{more} are missing; name the folders of all {of}")
    return [shards[number] for number in sorted(shards)]


def _prints(manifest: Mapping[str, Any]) -> dict[str, str]:
    return {name: stage["fingerprint"] for name, stage in manifest["stages"].items()}


def _other_stage(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    mine, its = _prints(one), _prints(other)
    names = (name for name in (*mine, *its) if mine.get(name) != its.get(name))
    return f"the settings of {next(names, 'its stages, which are in another order')}"


def _stages(run: RunFolder, names: Sequence[str]) -> list[StageFolder]:
    return [run.input, *(run.stage(place, name) for place, name in enumerate(names, start=1))]


def _merge_parts(
    shards: Sequence[_Found], merged: RunFolder, names: Sequence[str], progress: Progress
) -> int:
    """Copies the parts, stage by stage, and gives their number."""
    count = sum(folder.input.count() for folder, _, _ in shards)
    for place, target in enumerate(_stages(merged, names)):
        progress.begin(target.stage, None)
        for folder, shard, _ in shards:
            source = _stages(folder, names)[place]
            for index in range(folder.input.count()):
                part = source.read(index)
                if part is None:
                    raise UserError(f"{source.part_path(index)}: is damaged; give the run again")
                at = shard.place(index)
                if at >= count:
                    raise UserError(
                        f"{folder.path}: has part {index}, which would be number {at} of {count}; "
                        "the shards are not of the same data"
                    )
                if target.read(at) != part:
                    target.write(at, part)
                progress.advance(len(part.lines), 0)
        progress.end(0.0)
    return count


def _merge_answers(caches: Sequence[Path], target: Path) -> None:
    """Joins what language models answered, for runs that go on with other settings."""
    there = [path for path in caches if path.is_file()]
    if there:
        with ResponseCache(target) as cache:
            for path in there:
                cache.add_all(path)


def _united(manifests: Sequence[Mapping[str, Any]], key: str) -> list[Any]:
    return [*dict.fromkeys(item for manifest in manifests for item in manifest.get(key, []))]


def _summed(manifests: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for manifest in manifests:
        for stage, seconds in manifest.get("seconds", {}).items():
            total[stage] = round(total.get(stage, 0.0) + seconds, 3)
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
