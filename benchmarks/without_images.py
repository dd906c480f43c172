"""What the embedded systems score on Twitter-GMNER where no image of it is at hand.

    python benchmarks/without_images.py [--data twitter-gmner] [--split dev]

MNER and GMNER F1 under riveg's canonical protocol, of ``quickstart``, which gives no box without
evidence, and of ``quickstart-benchmark``, which guesses one. Both twice:

- *Text alone*: the entailer is told nothing of the image, neither that something is there nor that
  nothing is. Guesses need the declared size of the image only.
- *Blank images* of the declared sizes are looked at: nobody is seen, which speaks against every
  person.

Neither says what the systems score on the benchmark's images. The text alone is what guesses are
worth; a blank image is what an observer that finds nothing does to them.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from PIL import Image

from riveg.config.backend import BuildContext
from riveg.datasets.dataset import Dataset
from riveg.datasets.opening import open_dataset
from riveg.evaluation.evaluate import evaluate
from riveg.evaluation.evaluation import Evaluation
from riveg.evaluation.gold import GoldSet, read_gold
from riveg.evaluation.predictions import predictions_of_samples
from riveg.images.loader import ImageLoader
from riveg.runs.building import build_runner
from riveg.runs.reading import read_records
from riveg.runs.system import System, load_system
from riveg.types import ImageSize, Sample

SYSTEMS = ("quickstart", "quickstart-benchmark")
_UNDECLARED = ImageSize(600, 450)


def main() -> None:
    """Prints a line for each system and way."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="twitter-gmner")
    parser.add_argument("--split", default="dev")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images"
        draw_blank(open_dataset(arguments.data, split=arguments.split), images)
        data = open_dataset(arguments.data, split=arguments.split, images=images)
        gold = read_gold(data)
        run = Path(folder) / "run"
        # Both systems are the same up to here.
        load_system(SYSTEMS[0]).run(data, out=run, until="observe")
        for name in SYSTEMS:
            system = load_system(name)
            for way, has_eyes in (("text alone", False), ("blank images", True)):
                told = list(asked(system, read_records(run), has_eyes=has_eyes))
                print_scores(f"{name}, {way}", scored(told, gold, name))


def draw_blank(data: Dataset, folder: Path) -> None:
    """Writes a grey image of the declared size for each sample."""
    for row in data.rows():
        if row.sample.image is not None:
            path = folder / row.sample.image.path
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", row.size or _UNDECLARED, "grey").save(path)


def asked(system: System, records: Iterator[Sample], *, has_eyes: bool) -> Iterator[Sample]:
    """The samples after ``entail`` and ``ground``, whose entities and observations are known."""
    context = BuildContext(ImageLoader([]))
    entail, ground = (
        build_runner(step, context, batch_size=64, gated=True)
        for step in system.config.steps
        if step.stage.name in ("entail", "ground")
    )
    if has_eyes:
        yield from ground(list(entail(list(records))))
        return
    told = entail([replace(sample, observations=None) for sample in records])
    # The grounder has to know that nothing was seen; the entailer must not.
    yield from ground([replace(sample, observations=()) for sample in told])


def scored(samples: list[Sample], gold: GoldSet, name: str) -> Evaluation:
    """What records score that are in no run folder."""
    return evaluate(predictions_of_samples(Path(name), "jsonl", lambda: iter(samples)), gold)


def print_scores(what: str, found: Evaluation) -> None:
    """Data, protocol and the F1 of both tasks, in percent."""
    tasks = (found.scores["canonical"].get(task) for task in ("mner", "gmner"))
    mner, gmner = (float("nan") if one is None else one.f1 for one in tasks)
    data = f"{found.data} {found.data_version} {found.split}, {found.samples} samples"
    print(f"{what}: {data}, canonical: MNER F1 {mner:.2f}, GMNER F1 {gmner:.2f}", flush=True)


if __name__ == "__main__":
    main()
