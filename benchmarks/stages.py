"""How fast is each embedded stage, and which of them takes the time?

Samples are made on the fly: images of 600 x 450 pixels with the quickstart's astronaut, with
OCR text that spells the name, with both, and with neither, in equal parts. Each image differs in
its pixels, so that no cache helps. Stages run one after the other over all samples, in batches, as
in a run.

    python benchmarks/stages.py [--posts 40] [--batch 8]

With `--cores`, `riveg run quickstart` instead, on one core and on all: seconds of each stage, and
of the whole command, and how many times as fast all cores are. On a machine that does other things,
give it more `--rounds`, of which the fastest count, and look at "cores": processor time by the
clock, which tells how much of the machine the run has had.

    python benchmarks/stages.py --cores --posts 512 [--rounds 1]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from riveg.config.backend import BuildContext
from riveg.files import asset, shipped
from riveg.images.loader import ImageLoader
from riveg.protocols import Mention
from riveg.registry import backend_config
from riveg.text.tokenise import join_tokens
from riveg.types import Entailment, Entity, ImageRef, Issue, Sample, Span

SIZE = (600, 450)
ENTITIES = (("Eileen Collins", "PER"), ("NASA", "ORG"), ("Houston", "LOC"))


def draw(kind: int, number: int) -> Image.Image:
    """Kinds: 0 a face, 1 OCR text, 2 both, 3 neither; ``number`` tints the image."""
    image = Image.new("RGB", SIZE, (40 + number % 50, 70, 120))
    pen = ImageDraw.Draw(image)
    for step in range(0, SIZE[0], 40):
        pen.line((step, 0, SIZE[0] - step, SIZE[1]), fill=(60, 90 + number % 40, 140), width=3)
    if kind in (0, 2):
        photo = Image.open(next(shipped("data", "quickstart", "images").glob("*astronaut*")))
        image.paste(photo.convert("RGB").resize((450, 450)), (number % 150, 0))
    if kind in (1, 2):
        pen.text((30, 300), "NASA", font=ImageFont.load_default(60), fill="white")
        pen.text((30, 380), "Houston, we are back", font=ImageFont.load_default(24), fill="white")
    return image


def make_samples(folder: Path, count: int) -> list[Sample]:
    """Samples with three entities each, their images written to ``folder``."""
    tokens = ("Eileen", "Collins", "of", "NASA", "lands", "in", "Houston", "!")
    text, offsets = join_tokens(tokens)
    spans = (Span(0, 2), Span(3, 4), Span(6, 7))
    entities = tuple(
        Entity(f"e{order}", name, label, span)
        for order, ((name, label), span) in enumerate(zip(ENTITIES, spans, strict=True))
    )
    samples = []
    for number in range(count):
        name = f"{number}.jpg"
        draw(number % 4, number).save(folder / name, quality=90)
        image = ImageRef(name, *SIZE)
        samples.append(Sample(str(number), text, tokens, offsets, image, entities=entities))
    return samples


def batches(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """Items, ``size`` at a time."""
    return [items[start : start + size] for start in range(0, len(items), size)]


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds on the clock, and of processor time over all cores."""

    clock: float
    processor: float


def timed(ask: Callable[[Any], Any], items: Sequence[Any], size: int) -> tuple[list[Any], Spent]:
    """The answers, and what they cost."""
    clock, processor = time.perf_counter(), time.process_time()
    answers = [answer for batch in batches(items, size) for answer in ask(batch)]
    return answers, Spent(time.perf_counter() - clock, time.process_time() - processor)


def mentions(samples: Sequence[Sample]) -> list[Mention]:
    """Every entity with its sample."""
    return [Mention(sample, entity) for sample in samples for entity in sample.entities or ()]


def joined(samples: Sequence[Sample], field: str, answers: Sequence[Any]) -> list[Sample]:
    """Samples with one answer for each entity; an entity's Issue stops the benchmark."""
    queue = iter(answers)
    out = []
    for sample in samples:
        entities = []
        for entity in sample.entities or ():
            answer = next(queue)
            if isinstance(answer, Issue):
                raise SystemExit(f"{sample.id}: {answer.stage}: {answer.message}")
            entities.append(replace(entity, **{field: answer}))
        out.append(replace(sample, entities=tuple(entities)))
    return out


def measure(samples: list[Sample], folder: Path, batch: int) -> dict[str, Spent]:
    """What each stage costs, in the order of a run; models are loaded before the clock starts."""
    context = BuildContext(ImageLoader([folder]), folder)

    def backend(stage: str, name: str) -> Any:
        return backend_config(stage, name)().build(context)

    seconds: dict[str, Spent] = {}
    if find_spec("riveg.stages.taggers.mini") and asset("tagger").is_dir():
        _, seconds["tag: mini"] = timed(backend("tag", "mini").tag, samples, batch)
    observer = backend("observe", "evidence")
    seen, seconds["observe: evidence"] = timed(observer.observe, samples, batch)
    samples = [
        replace(sample, observations=found) for sample, found in zip(samples, seen, strict=True)
    ]
    if find_spec("riveg.stages.entailers.mini") and asset("entailer").is_dir():
        entail = backend("entail", "mini").entail
        answers, seconds["entail: mini"] = timed(entail, mentions(samples), batch)
        samples = joined(samples, "entailment", answers)
    # Two of three entities are groundable here; in Twitter-GMNER it is two of five.
    shown = [one.entity.label != "LOC" for one in mentions(samples)]
    samples = joined(samples, "entailment", [Entailment(None, is_shown) for is_shown in shown])
    asked = [one for one, is_shown in zip(mentions(samples), shown, strict=True) if is_shown]
    regions, seconds["ground: evidence"] = timed(backend("ground", "evidence").ground, asked, batch)
    cut = [
        Mention(one.sample, replace(one.entity, regions=found))
        for one, found in zip(asked, regions, strict=True)
    ]
    _, seconds["segment: evidence"] = timed(backend("segment", "evidence").segment, cut, batch)
    return seconds


@dataclass(frozen=True, slots=True)
class Timed:
    """A run of `quickstart`: seconds of the command and of each stage, and its processor time."""

    clock: float
    processor: float
    stages: Mapping[str, float]


def run_quickstart(folder: Path, out: Path, cores: set[int]) -> Timed:
    """Runs it on these cores alone, as a command of its own."""
    command = [sys.executable, "-m", "riveg", "run", "quickstart", "--data"]
    command += [str(folder / "posts.jsonl"), "--out", str(out), "--set", "run.overlays=0"]
    own = os.sched_getaffinity(0)
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    os.sched_setaffinity(0, cores)
    try:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    finally:
        os.sched_setaffinity(0, own)
    clock, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    stages = json.loads((out / "manifest.json").read_text())["seconds"]
    return Timed(clock, processor, stages)


def compare_cores(samples: Sequence[Sample], folder: Path, rounds: int) -> None:
    """Runs on one core and on all of them in turn, and prints the fastest of each."""
    with (folder / "posts.jsonl").open("w") as handle:
        for one in samples:
            assert one.image is not None
            post = {"id": one.id, "text": one.text, "image": one.image.path}
            handle.write(json.dumps(post) + "\n")
    cores = os.sched_getaffinity(0)
    one_core: list[Timed] = []
    all_cores: list[Timed] = []
    for number in range(rounds):
        one_core.append(run_quickstart(folder, folder / f"one-{number}", {min(cores)}))
        all_cores.append(run_quickstart(folder, folder / f"all-{number}", cores))
        parts = [sorted((folder / f"{name}-{number}").rglob("*.jsonl")) for name in ("one", "all")]
        if [path.read_bytes() for path in parts[0]] != [path.read_bytes() for path in parts[1]]:
            raise SystemExit("the bytes differ")
    slow, fast = (min(found, key=lambda one: one.clock) for found in (one_core, all_cores))
    print(f"{len(samples)} posts, the same bytes on 1 core and on {len(cores)}")
    print(f"{'stage':<10} {'1 core, s':>10} {f'{len(cores)} cores, s':>12} {'times as fast':>14}")
    for stage, seconds in slow.stages.items():
        print(
            f"{stage:<10} {seconds:>10.1f} {fast.stages[stage]:>12.1f} "
            f"{seconds / fast.stages[stage]:>14.2f}"
        )
    ratio = slow.clock / fast.clock
    print(f"{'command':<10} {slow.clock:>10.1f} {fast.clock:>12.1f} {ratio:>14.2f}")
    shares = [one.processor / one.clock for one in (slow, fast)]
    print(f"{'cores':<10} {shares[0]:>10.2f} {shares[1]:>12.2f}")


def main() -> None:
    """Makes samples, runs the stages, prints the table."""
    parser = argparse.ArgumentParser(description="Posts a second of each embedded stage.")
    parser.add_argument("--posts", type=int, default=40)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--cores", action="store_true", help="the whole command, one core and all")
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        samples = make_samples(folder, arguments.posts)
        if arguments.cores:
            compare_cores(samples, folder, arguments.rounds)
            return
        seconds = measure(samples, folder, arguments.batch)
    count = len(samples)
    clocks = [spent.clock for spent in seconds.values()]
    total = Spent(sum(clocks), sum(spent.processor for spent in seconds.values()))
    print(f"{count} posts of {SIZE[0]}x{SIZE[1]} pixels")
    print(
        f"{'stage':<20} {'ms a post':>10} {'posts/s':>8} {'share':>7} {'processor ms a post':>20}"
    )
    for stage, spent in (*seconds.items(), ("all", total)):
        print(
            f"{stage:<20} {1000 * spent.clock / count:>10.1f} {count / spent.clock:>8.1f} "
            f"{spent.clock / total.clock:>7.1%} {1000 * spent.processor / count:>20.1f}"
        )


if __name__ == "__main__":
    main()
