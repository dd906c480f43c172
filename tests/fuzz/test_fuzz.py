"""Damaged files of every kind, given to the commands that read them.

``make fuzz`` runs it for minutes; the tests as a whole run a handful of examples.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from fuzz.child import Child, Outcome
from fuzz.material import DATA, gold_of, make_material
from fuzz.mutations import damage
from fuzz.properties import require_gold, require_orderly, require_score
from fuzz.targets import TARGETS, Target
from helpers.places import ROOT
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from riveg.files import file_digest
from riveg.formats.run_records import DIGEST, MANIFEST, RECORDS
from riveg.types import Gold

SEED = int(os.environ.get("FUZZ_SEED", "0"))
MINUTES = float(os.environ.get("FUZZ_MINUTES", "0"))

_ROUND = settings(
    max_examples=20 if MINUTES else 2,
    deadline=None,
    database=None,
    suppress_health_check=[*HealthCheck],
    phases=(Phase.generate, Phase.shrink),
    report_multiple_bugs=False,
)

KEPT = ROOT / "out" / "fuzz"
"""Where the least damage that fails is left, a folder a target."""

_LARGE = 1 << 20
"""Bytes of a file that examples share: no command writes to models."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What all examples share."""

    material: Path
    scratch: Path
    child: Child
    gold: Mapping[str, Gold]
    codes: Counter[int]
    share_s: float


@pytest.fixture(scope="session")
def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    material = make_material(tmp_path_factory.mktemp("material"))
    scratch = tmp_path_factory.mktemp("scratch")
    child = Child(tmp_path_factory.mktemp("worker"))
    chosen = sum(1 for one in request.session.items if one.path == Path(__file__))
    share_s = MINUTES * 60 / chosen
    yield Bench(material, scratch, child, gold_of(material), Counter(), share_s)
    child.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files(name: str, bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    target = TARGETS[name]
    for command in target.commands if MINUTES else target.commands[:1]:
        folder = copied(bench, target, name)
        whole = bench.child.do(folder, at(command, bench))
        assert not whole.fault, (command, whole)
        assert not whole.trace, (command, whole)
        assert whole.code in {0, int(command[:2] == ("data", "check"))}, (command, whole)
    bench.codes.clear()
    rounds(name, bench.share_s, lambda data: try_one(data, bench, name, target))
    if MINUTES:
        with capsys.disabled():
            told = ", ".join(f"{number} ended with {code}" for code, number in bench.codes.items())
            sys.stdout.write(f"{name}: {told}\n")


def rounds(name: str, share_s: float, example: Callable[[st.DataObject], None]) -> None:
    """Runs examples for the target's share of the minutes, or a few; each round has its seed."""
    end = time.monotonic() + share_s
    for number in count():
        drawn = seed(SEED * 1_000_003 + number)(_ROUND(given(st.data())(example)))
        try:
            drawn()
        except AssertionError as error:
            error.add_note(f"{name}: FUZZ_SEED={SEED}, round {number}; kept in {KEPT / name}")
            raise
        if time.monotonic() >= end:
            return


def try_one(data: st.DataObject, bench: Bench, name: str, target: Target) -> None:
    folder = copied(bench, target, name)
    command = data.draw(st.sampled_from(target.commands), label="command")
    files = files_to_damage(folder, target, command)
    for path in data.draw(st.lists(st.sampled_from(files), min_size=1, max_size=2, unique=True)):
        damage(data.draw, path)
    if target.is_signed:
        sign(folder / "run")
    shutil.rmtree(KEPT / name, ignore_errors=True)
    shutil.copytree(folder, KEPT / name, copy_function=linked)
    outcome = bench.child.do(folder, at(command, bench))
    bench.codes[outcome.code] += 1
    require_orderly(outcome, is_configuration=target.is_configuration)
    require_right(outcome, folder, command, bench)
    shutil.rmtree(KEPT / name)


def sign(run: Path) -> None:
    manifest = json.loads((run / MANIFEST).read_bytes())
    manifest[DIGEST] = file_digest(run / RECORDS)
    (run / MANIFEST).write_text(json.dumps(manifest))


def files_to_damage(folder: Path, target: Target, command: tuple[str, ...]) -> list[Path]:
    """The files, of those that the command reads where it names one or a folder of them."""
    files = [path for one in target.damaged for path in sorted(folder.glob(one)) if path.is_file()]
    named = [folder / word for word in command if (folder / word).exists()]
    read = [path for path in files if any(path.is_relative_to(one) for one in named)]
    return read or files


def copied(bench: Bench, target: Target, name: str) -> Path:
    folder = bench.scratch / name
    shutil.rmtree(folder, ignore_errors=True)
    for one in target.folders:
        shutil.copytree(bench.material / one, folder / one, copy_function=linked)
    return folder


def linked(source: str, target: str) -> None:
    """Copies a file; a large one is linked."""
    if Path(source).stat().st_size > _LARGE:
        Path(target).hardlink_to(source)
    else:
        shutil.copy(source, target)


def at(command: tuple[str, ...], bench: Bench) -> list[str]:
    return [str(bench.material / word[1:]) if word[0] == "@" else word for word in command]


def require_right(outcome: Outcome, folder: Path, command: tuple[str, ...], bench: Bench) -> None:
    """Asserts that no damage has changed a score or a record without a word."""
    if outcome.code != 0:
        return
    if command[0] == "eval" and command[-1] == "-" and command[1] == "@run":
        same = [(one / DATA).read_bytes() for one in (folder, bench.material)]
        if same[0] == same[1]:
            records, tags = bench.material / "run" / RECORDS, folder / "data" / "txt" / "test.txt"
            require_gold(json.loads(outcome.stdout), records, tags)
    elif command[0] == "eval" and command[-1] == "-":
        path = folder / command[1]
        require_score(json.loads(outcome.stdout), path, bench.gold)
        require_bound(path)
    if command[0] == "run" and command[-1] == "short-run":
        made, whole = (one / "short-run" / RECORDS for one in (folder, bench.material))
        assert made.read_bytes() == whole.read_bytes()


def require_bound(run: Path) -> None:
    """Asserts that records of a run whose manifest knows their digest are those of the run."""
    manifest = run / MANIFEST
    told = json.loads(manifest.read_bytes()).get(DIGEST) if manifest.is_file() else None
    assert told is None or file_digest(run / RECORDS) == told
