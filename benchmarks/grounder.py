"""Whether a grounder learns: a tiny GroundingDINO with random weights on the drawn world.

    python benchmarks/grounder.py OUT [--kind grounding-dino|mm-grounding-dino]
                                      [--ways by-heart,unseen] [--threads 1]

Two ways, both by ``riveg train grounder``'s own code. ``by-heart``: 16 posts are train and dev at
once; the best box of every mention that is shown must come right. ``unseen``: 100 posts, measured
on 40 others, for whose pictures the loss must fall.

``OUT`` gets the world, the network and a folder for each way; one that is there is not trained
again. Prints a line for each: loss on dev before and after, Acc@0.5, mean IoU and box AP on dev in
percent, and the minutes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from learning import draw_world
from own_words import often_pieces, word_piece_tokenizer
from spoken import train_once

from riveg.datasets.opening import open_dataset
from riveg.runs.progress import Silence
from riveg.training.config import Course
from riveg.training.grounder.config import GrounderTrainingConfig
from riveg.training.grounder.figures import ACCURACY, BOX_AP, LOSS, MEAN_IOU
from riveg.training.grounder.trainee import GrounderTrainee

SIDE = 96


@dataclass(frozen=True)
class Way:
    """Posts of each split, the split that is measured on, and settings of the loop."""

    posts: dict[str, int]
    dev_split: str
    loop: dict[str, Any]


WAYS = {
    "by-heart": Way({"train": 16}, "train", {"epochs": 80, "batch_size": 4}),
    "unseen": Way({"train": 100, "dev": 40}, "dev", {"epochs": 15, "batch_size": 8}),
}
_MARKS = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 1012: ".", 1029: "?"}
"""Numbers of pieces that the network knows by heart, those of BERT."""


def main() -> None:
    """Trains what is not there yet and prints a line for each training."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--kind", default="grounding-dino", choices=["grounding-dino", "mm-grounding-dino"]
    )
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    ways = options.ways.split(",")
    if unknown := [way for way in ways if way not in WAYS]:
        raise SystemExit(f"--ways: {unknown[0]}: expected {', '.join(WAYS)}")
    print(f"{'':10} {'loss before':>12} {'after':>7} {ACCURACY:>7} {MEAN_IOU:>9} {BOX_AP:>7} min")
    for name in ways:
        way = WAYS[name]
        folder = options.out / f"{options.kind}-{name}"
        data = draw_world(folder / "world", way.posts, side=SIDE)
        model = save_network(folder / "random", data, options.kind)
        loop = {**way.loop, "threads": options.threads}
        config = settings(data, model, folder / "trained", dev_split=way.dev_split, loop=loop)
        before = _measured(config)
        started = time.monotonic()
        train_once(config, "CARD.md")
        minutes = (time.monotonic() - started) / 60
        after = _measured(config.model_copy(update={"model": str(config.out)}))
        shares = f"{after[ACCURACY]:7.1f} {after[MEAN_IOU]:9.1f} {after[BOX_AP]:7.1f}"
        losses = f"{before[LOSS]:12.2f} {after[LOSS]:7.2f}"
        print(f"{name:10} {losses} {shares} {minutes:3.1f}", flush=True)


def settings(data: Path, model: Path, out: Path, **more: Any) -> GrounderTrainingConfig:
    """A training that a tiny random network learns by in some hundred steps."""
    loop = {
        "learning_rate": 1e-3,
        "weight_decay": 1e-4,
        "warmup": 0.05,
        "device": "cpu",
        **more.pop("loop", {}),
    }
    values = {
        "data": str(data),
        "model": str(model),
        "out": out,
        "query": "{mention} {label}",
        "shortest_edge": SIDE,
        "longest_edge": SIDE,
        "loop": loop,
        **more,
    }
    return GrounderTrainingConfig.model_validate(values)


def save_network(folder: Path, data: Path, kind: str = "grounding-dino", **fields: Any) -> Path:
    """A GroundingDINO of a million random weights; its pieces are learnt from train.

    Args:
        folder: Where to.
        data: The dataset.
        kind: ``grounding-dino`` or ``mm-grounding-dino``.
        **fields: Of the configuration, instead of the usual ones.
    """
    import torch
    import transformers

    save_tokenizer(folder, data)
    transformers.GroundingDinoImageProcessorPil().save_pretrained(folder)
    text = transformers.BertConfig(
        vocab_size=1100,
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    backbone = transformers.SwinConfig(
        embed_dim=16,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=4,
        out_features=["stage2", "stage3", "stage4"],
        drop_path_rate=0.0,
    )
    usual = {
        "num_queries": 30,
        "d_model": 64,
        "encoder_layers": 1,
        "encoder_attention_heads": 4,
        "encoder_ffn_dim": 128,
        "decoder_layers": 2,
        "decoder_attention_heads": 4,
        "decoder_ffn_dim": 128,
        "max_text_len": 32,
        "dropout": 0.0,
        "fusion_droppath": 0.0,
    }
    prefix = "MM" if kind == "mm-grounding-dino" else ""
    config_kind = getattr(transformers, f"{prefix}GroundingDinoConfig")
    network_kind = getattr(transformers, f"{prefix}GroundingDinoForObjectDetection")
    torch.manual_seed(0)
    config = config_kind(backbone_config=backbone, text_config=text, **{**usual, **fields})
    network_kind(config).save_pretrained(folder)
    return folder


def save_tokenizer(folder: Path, data: Path) -> None:
    """BERT's kind of tokenizer, whose marks have BERT's numbers; each word of train is a piece."""
    from transformers import PreTrainedTokenizerFast

    dataset = open_dataset(str(data), split="train")
    texts = [sample.text for sample in dataset.samples()]
    free = (number for number in range(1100) if number not in _MARKS)
    numbers = {name: number for number, name in _MARKS.items()}
    for piece in often_pieces(texts, whole=[*texts, *dataset.labels]):
        if piece not in numbers:
            numbers[piece] = next(free)
    folder.mkdir(parents=True, exist_ok=True)
    PreTrainedTokenizerFast(
        tokenizer_object=word_piece_tokenizer(numbers),
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    ).save_pretrained(folder)


def _measured(config: GrounderTrainingConfig) -> Mapping[str, float]:
    trainee = GrounderTrainee(config, Course(config, config.out, config.out, Silence()))
    return trainee.evaluate(trainee.network())


if __name__ == "__main__":
    main()
