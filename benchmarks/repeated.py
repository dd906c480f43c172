"""How much is saved where the same is asked again?

Each stage over the same samples twice: asked every question, and equal ones once, as a run does.
The records have to be equal. First a long post, whose names all have the same box; then many posts
that share few images, as retweets do.

    python benchmarks/repeated.py [--names 14000] [--posts 40]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from stages import ENTITIES, make_samples

from riveg.config.backend import BuildContext
from riveg.images.loader import ImageLoader
from riveg.pipeline import StageRunner
from riveg.registry import backend_config
from riveg.stages.table import stage_named
from riveg.text.tokenise import join_tokens
from riveg.types import Box, Entity, ImageRef, Region, Sample, Span

IMAGES = 4
KEPT = 2048


def long_post(image: ImageRef, names: int) -> Sample:
    """A post that is nothing but names; each has the same box."""
    tokens = tuple(f"Name{at % 500}" for at in range(names))
    text, offsets = join_tokens(tokens)
    regions = (Region(Box(20, 20, 300, 400), 0.9, source="evidence:person"),)
    entities = tuple(
        Entity(f"e{at}", token, "PER", Span(at, at + 1), regions=regions)
        for at, token in enumerate(tokens)
    )
    return Sample("long", text, tokens, offsets, image, entities=entities)


def retweets(folder: Path, posts: int) -> list[Sample]:
    """Posts that share a few images, names and boxes."""
    drawn = make_samples(folder, IMAGES)
    boxes = [Box(10, 10, 200, 300), Box(150, 50, 400, 420), Box(30, 290, 220, 380)]
    entities = tuple(
        replace(entity, regions=(Region(box, 0.9, source="evidence:person"),))
        for entity, box in zip(drawn[0].entities or (), boxes, strict=True)
    )
    assert len(entities) == len(ENTITIES)
    return [
        replace(drawn[number % IMAGES], id=str(number), entities=entities)
        for number in range(posts)
    ]


def seconds(
    stage: str, samples: Sequence[Sample], folder: Path, *, once: bool
) -> tuple[float, list[Sample]]:
    """Processor seconds of a stage over samples, loading left out, and what it gives."""
    found = stage_named(stage)
    assert found is not None
    assert found.reads is not None
    config = backend_config(stage, "mini" if stage == "tag" else "evidence")()
    own = config.reads()
    assert own is not None
    runner = StageRunner(
        found,
        config.build(BuildContext(ImageLoader([folder]), folder)),
        ImageLoader([folder]),
        needs_image=config.needs_image,
        batch_size=8,
        gated=False,
        reads=found.reads | own if once else None,
        most_kept=KEPT,
    )
    started = time.process_time()
    answered = list(runner(samples))
    return time.process_time() - started, answered


def main() -> None:
    """Runs each stage both ways and prints the table."""
    parser = argparse.ArgumentParser(description="What asking once saves.")
    parser.add_argument("--names", type=int, default=14_000)
    parser.add_argument("--posts", type=int, default=40)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shared = retweets(folder, arguments.posts)
        assert shared[0].image is not None
        cases = {
            f"one post of {arguments.names} names": (
                [long_post(shared[0].image, arguments.names)],
                ["segment"],
            ),
            f"{arguments.posts} posts, {IMAGES} images": (shared, ["tag", "observe", "segment"]),
        }
        print(f"{'processor seconds':<28} {'stage':<8} {'each':>7} {'once':>7} {'ratio':>6}")
        for case, (samples, stages) in cases.items():
            for stage in stages:
                each, expected = seconds(stage, samples, folder, once=False)
                once, found = seconds(stage, samples, folder, once=True)
                if found != expected:
                    raise SystemExit(f"{stage}: the records differ")
                print(f"{case:<28} {stage:<8} {each:>7.2f} {once:>7.2f} {each / once:>6.1f}")


if __name__ == "__main__":
    main()
