"""Whether MNER-QG learns: trained on the drawn world, whole and with a part left out each time.

    python benchmarks/mner_qg.py WORLD OUT [--seeds 1 2 3] [--epochs 16] [--batch-size 8]
                      [--threads 1] [--image-side 64]
                      [--ways whole,no-grounding,no-existence,no-cross-modality]

``WORLD`` is a folder of ``benchmarks/learning.py``. Encoder and backbone are small and begin with
random weights and the words of train, so that nothing has to be fetched: what is measured is
whether the network learns, not how good it is on photographs. ``OUT`` gets a folder for each way
and seed, as ``riveg train mner-qg`` makes it; a training that was interrupted goes on, and one that
is there is not done again.

Prints figures of test for each training, with 95 % intervals by bootstrap over posts, and the
minutes that this call spent on it: by the clock, and of processors where other work shares them;
then the mean of each way's seeds, with the least and the most.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from own_words import learn_word_pieces
from spoken import train_once

from riveg.evaluation.bootstrap import Score
from riveg.nn.mner_qg_design import SETTINGS, read_settings
from riveg.runs.progress import Silence
from riveg.training.config import Course
from riveg.training.mner_qg.config import MnerQgTrainingConfig
from riveg.vision.runtime.loading import silent_transformers

if TYPE_CHECKING:
    from torch import Tensor

WAYS: dict[str, dict[str, Any]] = {
    "whole": {},
    "no-grounding": {"weights": {"anchor": 0}},
    "no-existence": {"weights": {"existence": 0}},
    "no-cross-modality": {"cross_modality": False},
}
_QUERIES = {
    "PER": "people",
    "LOC": "places",
    "ORG": "companies",
    "OTHER": "products",
}
_FIGURES = ("f1", "existence", "grounding", "gmner_f1")


def main() -> None:
    """Trains what is not there yet and prints a line for each way."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("world", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--image-side", type=int, default=64)
    options = parser.parse_args()
    ways = options.ways.split(",")
    if unknown := [way for way in ways if way not in WAYS]:
        raise SystemExit(f"--ways: {unknown[0]}: expected {', '.join(WAYS)}")
    data = options.world / "world.yaml"
    if not data.is_file():
        raise SystemExit(f"{data}: no such file; benchmarks/learning.py {options.world} makes it")
    encoder, backbone = options.out / "encoder", options.out / "backbone"
    with silent_transformers():
        save_encoder(encoder, data)
        save_backbone(backbone)
    print(f"{'':20}", *(f"{name:>24}" for name in _FIGURES), f"{'minutes':>8} {'processor':>9}")
    for way in ways:
        found: list[Mapping[str, Score]] = []
        for seed in options.seeds:
            config = config_of(way, seed, options, data, encoder, backbone)
            started, used = time.monotonic(), time.process_time()
            train_once(config, SETTINGS)
            minutes = [(time.monotonic() - started) / 60, (time.process_time() - used) / 60]
            found.append(figures_on_test(config))
            cells = (_cell(found[-1].get(name)) for name in _FIGURES)
            _print_row(f"{way} {seed}", cells, "{:8.1f} {:9.1f}".format(*minutes))
        if len(found) > 1:
            _print_row(f"{way}, mean", (_mean(found, name) for name in _FIGURES))


def config_of(
    way: str, seed: int, options: argparse.Namespace, data: Path, encoder: Path, backbone: Path
) -> MnerQgTrainingConfig:
    """What trains one way with one seed."""
    values = {
        "data": str(data),
        "model": str(encoder),
        "backbone": str(backbone),
        "out": options.out / f"{way}-{seed}",
        "queries": _QUERIES,
        "max_pieces": 96,
        "image_side": options.image_side,
        "width": 64,
        "frozen_norms": False,
        "loop": {
            "epochs": options.epochs,
            "batch_size": options.batch_size,
            "learning_rate": 1e-3,
            "learning_rates": {"encoder": 5e-4, "image": 2e-3, "grounding": 2e-3},
            "schedule": "cosine",
            "device": "cpu",
            "threads": options.threads,
            "seed": seed,
        },
        **WAYS[way],
    }
    return MnerQgTrainingConfig.model_validate(values)


def _print_row(name: str, cells: Iterable[str], more: str = "") -> None:
    print(f"{name:20}", *(f"{cell:>24}" for cell in cells), more, flush=True)


def _mean(found: Sequence[Mapping[str, Score]], name: str) -> str:
    values = [one[name].count.f1 for one in found if name in one]
    if not values:
        return "-"
    return f"{sum(values) / len(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def _cell(score: Score | None) -> str:
    return "-" if score is None else f"{score.count.f1:.1f} {score.f1}"


def save_encoder(folder: Path, data: Path) -> None:
    """A BERT of two layers with random weights; its pieces are learnt from train and queries.

    Names fall into syllables, and each query is one piece. Positions begin as waves, since a few
    thousand posts are not enough to learn which pieces are neighbours, and letters as nothing: of
    those that train does not need the network knows nothing. First weights are larger than BERT's
    own, for a narrow network; much larger ones would mix the pieces of a sentence until they are
    all alike.
    """
    import torch
    from transformers import BertConfig, BertModel

    tokenizer = learn_word_pieces(data, whole=_QUERIES.values())
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=256,
        max_position_embeddings=128,
        initializer_range=0.04,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    encoder = BertModel(config)
    positions = encoder.embeddings.position_embeddings.weight
    letters = [at for one, at in tokenizer.get_vocab().items() if len(one.removeprefix("##")) == 1]
    with torch.no_grad():
        encoder.embeddings.word_embeddings.weight[letters] = 0
        positions.copy_(_waves(*positions.shape) * config.initializer_range)
    encoder.save_pretrained(folder)


def _waves(count: int, width: int) -> Tensor:
    """Sines and cosines of positions, *shape* ``(count, width)``: neighbours are alike."""
    import torch

    rates = 10000 ** (-torch.arange(0, width, 2) / width)
    angles = torch.arange(count)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def save_backbone(folder: Path) -> None:
    """A ResNet of four blocks with random weights."""
    import torch
    from transformers import ResNetConfig, ResNetModel

    torch.manual_seed(0)
    config = ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 32, 64, 96], depths=[1] * 4, layer_type="basic"
    )
    ResNetModel(config).save_pretrained(folder)


def figures_on_test(config: MnerQgTrainingConfig) -> Mapping[str, Score]:
    """Figures of a trained folder on test, with the threshold that was chosen on dev."""
    from riveg.nn.mner_qg_folder import read_network
    from riveg.training.mner_qg.figures import tally
    from riveg.training.mner_qg.trainee import MnerQgTrainee

    settings = read_settings(config.out)
    on_test = config.model_copy(update={"dev_split": "test"})
    trainee = MnerQgTrainee(on_test, Course(on_test, config.out, config.out, Silence()))
    answers = trainee.answers_on_dev(read_network(config.out, settings))
    return tally(trainee.dev.posts, answers, settings, config.level).scores()


if __name__ == "__main__":
    main()
