"""Boxes and masks by full-size networks: riveg, the loop of the published demos, and the floor.

Images are made up, their entities as many as Twitter-GMNER's samples have (1.7 on average); the
networks have the real ones' sizes and random weights. Three ways are measured in turns, in one run:

- the loop of the demos: for each phrase open the image, prepare it and send both through the
  whole detector; for each box send the image through the whole of Segment Anything;
- riveg, ``phrases: separate`` and ``joined``, asked as a run asks it;
- the floor: only the forwards that no program can save, at the best of some batch sizes, on
  prepared images: the detector's backbone once an image, the rest of it once a phrase (joined: once
  an image), Segment Anything's encoder once an image, its decoder once an image.

    python benchmarks/vision.py                       on a processor, some ten minutes
    python benchmarks/vision.py --device cuda         grounding-dino-base, SAM ViT-H, 200 images
    python benchmarks/vision.py --device cuda --posts 1500   riveg alone over 2 543 entities
"""

from __future__ import annotations

import argparse
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from random_models import save_grounding_dino, save_sam

from riveg.config.backend import BuildContext
from riveg.images.loader import ImageLoader
from riveg.protocols import Grounder, Mention
from riveg.stages.grounders.grounding_dino import GroundingDinoConfig
from riveg.stages.segmenters.sam import SamConfig
from riveg.text.tokenise import join_tokens
from riveg.types import Box, Entity, ImageRef, Region, Sample, Span
from riveg.vision.detectors.grounding_dino import GroundingDinoNetwork
from riveg.vision.detectors.grounding_dino_prompts import join_phrases, read_phrase

SHARES = (0.4894, 0.3613, 0.1190, 0.0248, 0.0055)
"""Of samples with one, two ... entities: next to those of Twitter-GMNER's dev split, and such that
1 500 samples have the 2 543 entities of its test split."""
SIDES = ((480, 640), (640, 480), (450, 600), (600, 800))
"""Heights and widths of the images, in turns."""
BATCHES = {"cpu": (1, 2), "cuda": (1, 4, 8, 16)}
"""What the floor may choose from."""


Run = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Preset:
    """Which networks, at which input, over how much."""

    detector: str
    segmenter: str
    edges: tuple[int, int]
    images: int
    rounds: int
    batch_size: int
    dtype: str


PRESETS = {
    "cpu": Preset("tiny", "base", (480, 640), 4, 2, 1, "float32"),
    "cuda": Preset("base", "huge", (800, 1333), 200, 1, 8, "bfloat16"),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """Networks on disk, samples with images, and how to run them."""

    detector: Path
    segmenter: Path
    image_folder: Path
    samples: Sequence[Sample]
    images: ImageLoader
    preset: Preset
    device: str

    @property
    def mentions(self) -> list[Mention]:
        return [
            Mention(sample, entity) for sample in self.samples for entity in sample.entities or ()
        ]

    def path(self, sample: Sample) -> Path:
        assert sample.image is not None
        return self.image_folder / sample.image.path

    def numbers(self) -> AbstractContextManager[Any]:
        """The number type of the products, for networks that are not riveg's."""
        dtype = getattr(torch, self.preset.dtype)
        enabled = dtype != torch.float32
        number = dtype if enabled else torch.bfloat16
        return torch.autocast(self.device, dtype=number, enabled=enabled)


def entity_count(place: float) -> int:
    """How many entities the sample at a place in [0, 1) of the distribution has."""
    return 1 + min(bisect_right(list(accumulate(SHARES)), place), len(SHARES) - 1)


def make_samples(
    folder: Path, count: int, sides: Sequence[tuple[int, int]] = SIDES
) -> list[Sample]:
    """Samples with images of noise and names of one letter a word, each with a box."""
    numbers = np.random.default_rng(0)
    samples = []
    for number in range(count):
        height, width = sides[number % len(sides)]
        coarse = numbers.integers(0, 256, (height // 20, width // 20, 3), dtype=np.uint8)
        pixels = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        pixels.save(folder / f"{number}.jpg")
        names = entity_count((number + 0.5) / count)
        words = [chr(97 + int(one)) for one in numbers.integers(0, 26, 4 * names)]
        text, offsets = join_tokens(tuple(words))
        entities = []
        for order in range(names):
            x, y = numbers.uniform(0, 0.5, 2) * (width, height)
            box = Box(float(x), float(y), float(x + width / 3), float(y + height / 3))
            span = Span(4 * order, 4 * order + 4)
            name = " ".join(words[span.start : span.end])
            entities.append(Entity(f"e{order}", name, "PER", span, regions=(Region(box),)))
        image = ImageRef(f"{number}.jpg", width, height)
        samples.append(
            Sample(str(number), text, tuple(words), offsets, image, entities=tuple(entities))
        )
    return samples


def demo_boxes(work: Measured) -> Run:
    """One image, one phrase, one forward."""
    from transformers import AutoTokenizer, GroundingDinoForObjectDetection
    from transformers import GroundingDinoImageProcessorPil as Processor

    network = GroundingDinoForObjectDetection.from_pretrained(work.detector).eval().to(work.device)
    processor = Processor.from_pretrained(work.detector)
    tokenizer = AutoTokenizer.from_pretrained(work.detector)
    shortest, longest = work.preset.edges
    size = {"shortest_edge": shortest, "longest_edge": longest}

    def run() -> None:
        for sample in work.samples:
            for entity in sample.entities or ():
                image = Image.open(work.path(sample)).convert("RGB")
                pixels = processor(image, size=size, return_tensors="pt").to(work.device)
                words = tokenizer(f"{entity.text}.", return_tensors="pt").to(work.device)
                with torch.inference_mode(), work.numbers():
                    answer = network(**pixels, **words)
                best = answer.logits.float().sigmoid().amax(-1).argmax()
                answer.pred_boxes[0, best].cpu()

    return run


def demo_masks(work: Measured) -> Run:
    """One image, one box, encoder and decoder."""
    from transformers import SamImageProcessorPil, SamModel, SamProcessor

    network = SamModel.from_pretrained(work.segmenter).eval().to(work.device)
    processor = SamProcessor(SamImageProcessorPil.from_pretrained(work.segmenter))

    def run() -> None:
        for mention in work.mentions:
            image = Image.open(work.path(mention.sample)).convert("RGB")
            inputs = processor(image, input_boxes=[[edges_of(mention)]], return_tensors="pt")
            with torch.inference_mode(), work.numbers():
                answer = network(
                    pixel_values=inputs["pixel_values"].to(work.device),
                    input_boxes=inputs["input_boxes"].float().to(work.device),
                    multimask_output=False,
                )
            processor.image_processor.post_process_masks(
                answer.pred_masks.float().cpu(),
                inputs["original_sizes"],
                inputs["reshaped_input_sizes"],
            )

    return run


def edges_of(mention: Mention) -> list[float]:
    """The box that a sample's entity was made with."""
    (region,) = mention.entity.regions or ()
    return [region.box.x_min, region.box.y_min, region.box.x_max, region.box.y_max]


def riveg_boxes(work: Measured, phrases: str) -> Run:
    """The grounder, asked about all mentions."""
    grounder = make_grounder(work, phrases)
    mentions = [Mention(one.sample, replace(one.entity, regions=None)) for one in work.mentions]
    return lambda: check(grounder.ground(mentions))


def make_grounder(work: Measured, phrases: str) -> Grounder:
    """The grounder as a system builds it."""
    shortest, longest = work.preset.edges
    config = GroundingDinoConfig.model_validate(
        {
            "model": str(work.detector),
            "device": work.device,
            "dtype": work.preset.dtype,
            "batch_size": work.preset.batch_size,
            "phrases": phrases,
            "shortest_edge": shortest,
            "longest_edge": longest,
        }
    )
    return config.build(BuildContext(work.images))


def riveg_masks(work: Measured) -> Run:
    """The segmenter, asked about all mentions."""
    config = SamConfig.model_validate(
        {
            "model": str(work.segmenter),
            "device": work.device,
            "dtype": work.preset.dtype,
            "batch_size": work.preset.batch_size,
        }
    )
    segmenter = config.build(BuildContext(work.images))
    return lambda: check(segmenter.segment(work.mentions))


def check(answers: Sequence[object]) -> None:
    """Stops where something was not answered: skipping it would look fast."""
    for answer in answers:
        if not isinstance(answer, tuple):
            raise SystemExit(f"not an answer: {answer}")


def least_boxes(work: Measured, *, joined: bool) -> list[Run]:
    """Backbone once an image, the rest once a prompt, nothing else."""
    options = GroundingDinoConfig.model_validate(
        {"model": str(work.detector), "device": work.device, "dtype": work.preset.dtype}
    )
    network = GroundingDinoNetwork(work.detector, options)
    asked: dict[tuple[int, ...], list[tuple[Any, list[Any]]]] = {}
    for sample in work.samples:
        assert sample.image is not None
        pixels = network.prepare(work.images.load(sample.image), *work.preset.edges)
        read = [read_phrase(entity.text, network.tokenizer) for entity in sample.entities or ()]
        known = [one for one in read if one is not None]
        groups = [known] if joined else [[one] for one in known]
        prompts = [join_phrases(group, network.tokenizer) for group in groups]
        asked.setdefault(tuple(pixels.shape), []).append((pixels, prompts))

    def run(size: int) -> None:
        for samples in asked.values():
            for part in parts(samples, size):
                maps = network.encode_images([pixels for pixels, _ in part])
                pairs = [
                    (one, prompt)
                    for one, (_, prompts) in zip(maps, part, strict=True)
                    for prompt in prompts
                ]
                for some in parts(pairs, size):
                    network.detect([one for one, _ in some], [prompt for _, prompt in some])

    return [partial(run, size) for size in BATCHES[work.device]]


def least_masks(work: Measured) -> list[Run]:
    """Encoder once an image, decoder once an image, nothing else."""
    from transformers import SamImageProcessorPil, SamModel, SamProcessor

    network = SamModel.from_pretrained(work.segmenter).eval().to(work.device)
    network.vision_encoder.to(getattr(torch, work.preset.dtype))
    encoder = next(network.vision_encoder.parameters())
    processor = SamProcessor(SamImageProcessorPil.from_pretrained(work.segmenter))
    asked: list[tuple[Any, Any]] = []
    for sample in work.samples:
        edges = [edges_of(Mention(sample, entity)) for entity in sample.entities or ()]
        image = Image.open(work.path(sample)).convert("RGB")
        inputs = processor(image, input_boxes=[edges], return_tensors="pt")
        asked.append((inputs["pixel_values"], inputs["input_boxes"].float().to(work.device)))

    def run(size: int) -> None:
        with torch.inference_mode():
            for part in parts(asked, size):
                pixels = torch.cat([pixels for pixels, _ in part]).to(encoder)
                embeddings = network.get_image_embeddings(pixels).float()
                for row, (_, boxes) in enumerate(part):
                    network(
                        image_embeddings=embeddings[row : row + 1],
                        input_boxes=boxes,
                        multimask_output=False,
                    )

    return [partial(run, size) for size in BATCHES[work.device]]


def parts(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """Items in batches."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def timed(run: Run, work: Measured) -> float:
    """Seconds; a GPU's work is waited for."""
    started = time.perf_counter()
    run()
    if work.device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def compare(work: Measured) -> None:
    """Measures all in turns and prints the ratios."""
    runs: dict[str, list[Run]] = {
        "boxes, demo": [demo_boxes(work)],
        "boxes, riveg separate": [riveg_boxes(work, "separate")],
        "boxes, riveg joined": [riveg_boxes(work, "joined")],
        "boxes, floor separate": least_boxes(work, joined=False),
        "boxes, floor joined": least_boxes(work, joined=True),
        "masks, demo": [demo_masks(work)],
        "masks, riveg": [riveg_masks(work)],
        "masks, floor": least_masks(work),
    }
    best = dict.fromkeys(runs, float("inf"))
    for number in range(work.preset.rounds):
        for name, ways in runs.items():
            seconds = min(timed(run, work) for run in ways)
            best[name] = min(best[name], seconds)
            print(f"round {number + 1}  {name:24}{seconds:9.2f} s", flush=True)
    print()
    demo = {"boxes": best["boxes, demo"], "masks": best["masks, demo"]}
    for phrases in ("separate", "joined"):
        riveg = {"boxes": best[f"boxes, riveg {phrases}"], "masks": best["masks, riveg"]}
        floor = {"boxes": best[f"boxes, floor {phrases}"], "masks": best["masks, floor"]}
        for name, what in (
            (f"boxes, {phrases}", ("boxes",)),
            ("masks", ("masks",)),
            (f"boxes ({phrases}) and masks", ("boxes", "masks")),
        ):
            ours, theirs, least = (sum(one[key] for key in what) for one in (riveg, demo, floor))
            print(f"{name:30}{theirs / ours:6.2f} times the demo{least / ours:7.2f} of the floor")


def run_alone(work: Measured) -> None:
    """Boxes and masks of all samples by riveg."""
    boxes = timed(riveg_boxes(work, "separate"), work)
    masks = timed(riveg_masks(work), work)
    samples, entities = len(work.samples), len(work.mentions)
    print(f"{samples} posts, {entities} entities: boxes {boxes:.1f} s, masks {masks:.1f} s")


def main() -> None:
    """Reads the options and measures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=sorted(PRESETS), default="cpu")
    parser.add_argument("--pictures", type=int, help="how many, instead of the device's usual")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--posts", type=int, help="riveg alone over so many posts")
    options = parser.parse_args()
    preset = PRESETS[options.device]
    preset = replace(preset, rounds=options.rounds or preset.rounds)
    count = options.posts or options.pictures or preset.images
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        samples = make_samples(root, count)
        work = Measured(
            save_grounding_dino(root / "detector", preset.detector),
            save_sam(root / "segmenter", preset.segmenter),
            root,
            samples,
            ImageLoader([root]),
            preset,
            options.device,
        )
        print(
            f"{len(samples)} pictures, {len(work.mentions)} entities; grounding-dino-"
            f"{preset.detector} at {preset.edges[0]}/{preset.edges[1]}, SAM ViT-"
            f"{preset.segmenter}, {preset.dtype}, {options.device}, batches of "
            f"{preset.batch_size}, {torch.get_num_threads()} threads\n"
        )
        (run_alone if options.posts else compare)(work)


if __name__ == "__main__":
    main()
