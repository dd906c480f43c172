"""What grows with the data? Peak memory, the start of a resume, and how fast rows are read.

Each command runs over few and over many generated posts without pictures; "peak" is the largest of
its processes. `run, tag: gold` is an oracle: it holds the gold of all posts. Then a finished run
over the answers of another one is started once more, which looks whether data and records are what
they were; and rows are read.

    python benchmarks/scale.py [--few 5000] [--many 200000] [--tagged 2000 20000]
        [--resume 1000000] [--rows 1000000]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from riveg.datasets.opening import open_dataset

NAMES = (("Grace Hopper", "PER"), ("Houston", "LOC"), ("NASA", "ORG"), ("Apollo", "OTHER"))
LIGHT = "name: light\ntag: {backend: gold}\n"
TAGGED = "name: tagged\ntag: {backend: mini}\n"


def write_posts(path: Path, count: int) -> Path:
    """Posts with two entities each, one of them of one word."""
    if path.is_file():
        return path
    with path.open("w") as handle:
        for number in range(count):
            (first, one), (second, two) = NAMES[number % 4], NAMES[(number + 1) % 4]
            words = [*first.split(), "says", "hello", "to", *second.split(), f"on day {number}"]
            text = " ".join(words)
            start = len(first.split()) + 3
            entities = [
                {"label": one, "start": 0, "end": len(first.split()), "boxes": []},
                {"label": two, "start": start, "end": start + len(second.split()), "boxes": []},
            ]
            post = {"id": f"p{number}", "text": text, "entities": entities}
            handle.write(json.dumps(post) + "\n")
    return path


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds by the clock and of the processor, and the memory of the largest process in MiB."""

    seconds: float
    processor: float
    peak: float


def spent_by(*arguments: str | Path) -> Spent:
    """What a riveg command takes."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "riveg", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    said = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{arguments}: {said}")
    seconds = time.perf_counter() - started
    return Spent(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def run_over(folder: Path, system: str, count: int) -> tuple[Path, Path, Spent]:
    """The data, the run folder, and what the run took."""
    file = folder / f"{system.splitlines()[0].removeprefix('name: ')}.yaml"
    file.write_text(system)
    data = write_posts(folder / f"posts-{count}.jsonl", count)
    out = folder / f"{file.stem}-{count}"
    return data, out, spent_by("run", file, "--data", data, "--out", out)


def of_commands(folder: Path, count: int) -> dict[str, Spent]:
    """Every command over so many posts."""
    data, out, run = run_over(folder, LIGHT, count)
    found = {"run, tag: gold": run}
    found["eval"] = spent_by("eval", out, "--gold", data)
    found["report"] = spent_by("report", out, "--gold", data)
    for form in ("jsonl", "coco", "smner"):
        target = folder / f"{form}-{count}"
        found[f"export {form}"] = spent_by("export", out, "--format", form, "--out", target)
    return found


def print_growth(few: int, small: dict[str, Spent], many: int, large: dict[str, Spent]) -> None:
    """A row a command: peaks, what one more post takes, and posts a second of processor (*)."""
    sizes = [f"{count}, MiB" for count in (few, many)]
    print(f"{'command':<16} {sizes[0]:>14} {sizes[1]:>14} {'KiB a post':>12} {'posts/s*':>9}")
    for name, first in small.items():
        last = large[name]
        each = 1024 * (last.peak - first.peak) / (many - few)
        rate = many / last.processor
        print(f"{name:<16} {first.peak:>14.0f} {last.peak:>14.0f} {each:>12.2f} {rate:>9.0f}")


def print_start() -> None:
    """How long riveg takes to be there; the quickest of five."""
    for arguments in (["-c", "import riveg"], ["-m", "riveg", "--help"]):
        seconds = []
        for _ in range(5):
            started = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - started)
        print(f"python {' '.join(arguments)}: {min(seconds):.2f} s")


def main() -> None:
    """Prints the rows."""
    parser = argparse.ArgumentParser(description="What grows with the data.")
    parser.add_argument("--few", type=int, default=5_000)
    parser.add_argument("--many", type=int, default=200_000)
    parser.add_argument("--tagged", type=int, nargs=2, default=(2_000, 20_000))
    parser.add_argument("--resume", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    given = parser.parse_args()
    print_start()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small, large = (of_commands(folder, count) for count in (given.few, given.many))
        print_growth(given.few, small, given.many, large)
        few, many = ({"run, tag: mini": run_over(folder, TAGGED, n)[2]} for n in given.tagged)
        print_growth(given.tagged[0], few, given.tagged[1], many)
        _, made, _ = run_over(folder, LIGHT, given.resume)
        recorded = f"name: recorded\ntag: {{backend: recorded, file: {made}}}\n"
        run_over(folder, recorded, given.resume)
        again = run_over(folder, recorded, given.resume)[2]
        spent = f"{again.processor:.1f} s of processor, {again.seconds:.1f} by the clock"
        print(f"resume of {given.resume} finished: {spent}, {again.peak:.0f} MiB")
        posts = open_dataset(str(write_posts(folder / f"posts-{given.rows}.jsonl", given.rows)))
        clock, processor = time.perf_counter(), time.process_time()
        read = sum(1 for _ in posts.samples())
        rates = read / (time.perf_counter() - clock), read / (time.process_time() - processor)
        print(f"rows read: {read}, {rates[0]:.0f} a second, {rates[1]:.0f} a second of processor")


if __name__ == "__main__":
    main()
