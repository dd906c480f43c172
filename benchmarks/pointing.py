"""Whether `ground: itm-gradcam` points at what is named: the hottest point in the gold box.

    python benchmarks/pointing.py WORLD MODEL [--split test] [--layers 0,1,...]
                      [--query "{mention} is belong {label}"]

``WORLD`` is a folder of ``benchmarks/learning.py`` (any folder with a ``world.yaml`` that has boxes
does), ``MODEL`` a BLIP with a matching head, such as the ``entailer`` that
``benchmarks/entailment.py`` trains there. Gold mentions that are shown are asked about; no box was
trained on, and no segmenter is needed.

Prints for each layer how often the hottest point lies in one of the mention's gold boxes, with a
95 % interval by bootstrap over posts, beside chance (the mean share of the picture that its boxes
cover) and the middle of the picture. Where things stand out from a plain background, a network with
random weights points at them, too: what a training has taught is the difference from that one.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from riveg.evaluation.bootstrap import Tally
from riveg.evaluation.counts import Count
from riveg.geometry.heat_maps import Point, heat_from_array, hottest_point
from riveg.images.loader import ImageLoader
from riveg.protocols import ImageSource
from riveg.stages.grounders.itm_gradcam import ItmGradcamConfig
from riveg.training.data import read_annotated
from riveg.types import Box, Entity, Gold, ImageSize, Sample
from riveg.vision.matchers.itm import ItmMatcher, load_itm_matcher
from riveg.vision.matchers.itm_heat import ItmHeat
from riveg.vision.queries import query_text
from riveg.vision.runtime.tensors import image_tensors

if TYPE_CHECKING:
    from riveg.vision.runtime.tensors import ImageTensors


def main() -> None:
    """Prints a line for each layer, and the two lines to compare them with."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("world", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--layers", default="", help="numbers with commas between; all of them")
    parser.add_argument("--query", default="{mention} is belong {label}")
    options = parser.parse_args()
    config = ItmGradcamConfig(model=str(options.model), query=options.query, device="cpu")
    matcher = load_itm_matcher(options.model, config)
    layers = [int(one) for one in options.layers.split(",") if one] or [
        *range(matcher.network.config.text_config.num_hidden_layers)
    ]
    source = read_annotated(str(options.world / "world.yaml"), options.split)
    images = ImageLoader(source.dataset.image_roots)
    shown = list(shown_mentions(source.pairs, images, matcher, options.query))
    print(f"{sum(len(one.texts) for one in shown)} mentions that are shown, in {len(shown)} posts")
    share = np.mean([share for one in shown for share in one.shares()])
    print(f"{'chance':12}{100 * share:10.1f}")
    tallied("middle", [[one.is_hit(one.middle, boxes) for boxes in one.boxes] for one in shown])
    for layer in layers:
        tallied(f"layer {layer}", pointed(shown, ItmHeat(matcher, layer, batch_size=32)))


@dataclass(frozen=True)
class ShownMentions:
    """The mentions of one post that its picture shows: each one's text, and its gold boxes."""

    image: ImageTensors
    size: ImageSize
    texts: tuple[str, ...]
    boxes: tuple[tuple[Box, ...], ...]

    @property
    def middle(self) -> Point:
        return Point(self.size.width / 2, self.size.height / 2)

    def shares(self) -> Iterator[float]:
        """Of the picture, what the boxes of each mention cover; they do not overlap here."""
        for boxes in self.boxes:
            yield sum(box.area for box in boxes) / (self.size.width * self.size.height)

    def is_hit(self, point: Point, boxes: Sequence[Box]) -> bool:
        """Whether a point lies in one of the boxes."""
        return any(
            box.x_min <= point.x <= box.x_max and box.y_min <= point.y <= box.y_max for box in boxes
        )


def shown_mentions(
    pairs: Sequence[tuple[Sample, Gold]], images: ImageSource, matcher: ItmMatcher, query: str
) -> Iterator[ShownMentions]:
    """Of each post that has some."""
    for sample, gold in pairs:
        found = [one for one in gold.entities if one.boxes]
        if not found or sample.image is None:
            continue
        pixels = images.load(sample.image)
        texts = (query_text(query, Entity("e", one.text, one.label, one.span)) for one in found)
        yield ShownMentions(
            image_tensors(matcher.processor, pixels),
            ImageSize(pixels.shape[1], pixels.shape[0]),
            tuple(texts),
            tuple(one.boxes or () for one in found),
        )


def pointed(shown: Sequence[ShownMentions], heat: ItmHeat) -> Iterator[list[bool]]:
    """For each post, whether the hottest point of each mention hits; one without heat does not."""
    maps = heat.maps([one.image for one in shown], [one.texts for one in shown])
    for one, of_post in zip(shown, maps, strict=True):
        found = [heat_from_array(values) for values in of_post]
        yield [
            known is not None and one.is_hit(hottest_point(known, one.size), boxes)
            for known, boxes in zip(found, one.boxes, strict=True)
        ]


def tallied(name: str, hits: Sequence[list[bool]] | Iterator[list[bool]]) -> None:
    """Prints a share with its interval."""
    counted = Tally()
    for of_post in hits:
        counted.add({"hit": Count(sum(of_post), len(of_post), len(of_post))})
    score = counted.scores()["hit"]
    print(f"{name:12}{score.count.f1:10.1f} {score.f1}", flush=True)


if __name__ == "__main__":
    main()
