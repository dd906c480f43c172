"""How long 100 000 samples with 250 000 entities take to score.

    python benchmarks/evaluation.py [--samples 100000]

Reads and scores generated predictions, and works the intervals out twice in one run: as riveg does,
drawing over groups of samples that count alike, and drawing sample by sample. Prints seconds, and
the ratio of the last two.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from riveg.evaluation.bootstrap import RESAMPLES, Tally, percentages
from riveg.evaluation.canonical import Rules
from riveg.evaluation.evaluate import evaluate
from riveg.evaluation.joining import JoinCounts, join
from riveg.evaluation.reading import open_gold, open_predictions
from riveg.evaluation.scoring import scorer_of

Result = TypeVar("Result")

LABELS = ("PER", "ORG", "LOC", "OTHER")


def write_data(folder: Path, samples: int) -> tuple[Path, Path]:
    """A file of records and one of gold, 2.5 entities a sample, three quarters of them right."""
    generator = random.Random(0)
    records, gold = folder / "records.jsonl", folder / "gold.jsonl"
    with records.open("w") as said, gold.open("w") as true:
        for number in range(samples):
            tokens = [f"w{place}" for place in range(10)]
            text = " ".join(tokens)
            entities, annotated = [], []
            for place in range(2 + number % 2):
                label, box = generator.choice(LABELS), [10.0, 10.0, 110.0, 110.0]
                shown = generator.random() < 0.41
                annotated.append(
                    {
                        "text": tokens[2 * place],
                        "label": label,
                        "start": 2 * place,
                        "end": 2 * place + 1,
                        "boxes": [box] if shown else [],
                    }
                )
                said_label = label if generator.random() < 0.85 else generator.choice(LABELS)
                said_shown = shown if generator.random() < 0.85 else not shown
                region = {
                    "box": dict(zip(("x_min", "y_min", "x_max", "y_max"), box, strict=True)),
                    "score": 0.5,
                }
                entities.append(
                    {
                        "id": f"e{place}",
                        "text": tokens[2 * place],
                        "label": said_label,
                        "span": {"start": 2 * place, "end": 2 * place + 1},
                        "regions": [region] if said_shown else [],
                    }
                )
            offsets = [[3 * place, 3 * place + 2] for place in range(10)]
            head = {"id": str(number), "text": text, "tokens": tokens, "offsets": offsets}
            said.write(json.dumps({**head, "entities": entities}) + "\n")
            true.write(json.dumps({**head, "entities": annotated}) + "\n")
    return records, gold


def timed(what: str, work: Callable[[], Result]) -> tuple[Result, float]:
    """Does the work, prints how long it took."""
    started = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - started
    print(f"{what:<44}{seconds:8.2f} s")
    return result, seconds


def sample_by_sample(rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """F1 of resamples drawn one sample at a time; rows of counts, one a sample."""
    generator = np.random.default_rng(0)
    drawn = [
        rows[generator.integers(0, len(rows), len(rows))].sum(axis=0) for _ in range(RESAMPLES)
    ]
    return percentages(np.stack(drawn).reshape(RESAMPLES, -1, 3))[2]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=100_000)
    samples = parser.parse_args().samples
    with tempfile.TemporaryDirectory() as folder:
        records, gold_file = write_data(Path(folder), samples)
        predictions = open_predictions(records, format="jsonl")
        gold, gold_seconds = timed("gold read", lambda: open_gold(str(gold_file), predictions))
        evaluation, seconds = timed(
            "predictions read, scored, intervals", lambda: evaluate(predictions, gold)
        )
        cases, _ = timed("predictions read", lambda: list(join(predictions, gold, JoinCounts())))
    scorer = scorer_of(gold, Rules())
    counted, _ = timed("counted, without reading", lambda: [scorer(case) for case in cases])
    rows = np.array(
        [[n for c in counts.values() for n in (c.hits, c.predicted, c.gold)] for counts in counted]
    )
    tally = Tally()
    for counts in counted:
        tally.add(counts)
    _, grouped = timed("intervals, riveg's tally", tally.scores)
    _, plain = timed("intervals, drawn sample by sample", lambda: sample_by_sample(rows))
    print(f"{samples} samples, {evaluation.gold} entities: {gold_seconds + seconds:.1f} s in all")
    print(f"intervals: {plain / grouped:.0f} times as fast as sample by sample")


if __name__ == "__main__":
    main()
