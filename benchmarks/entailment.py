"""Whether an entailer learns: a small BLIP with random weights on the drawn world.

    python benchmarks/entailment.py WORLD OUT [--epochs 8] [--batch-size 16] [--threads 2]
                      [--query "{mention} is belong {label}"]

``WORLD`` is a folder of ``benchmarks/learning.py``; a few thousand posts are learnt by heart, so
12 000 of 96 pixels a side are advised (``--train 12000 --side 96``). The network begins with random
weights and the pieces of train's words, so that nothing has to be fetched: what is measured is
whether it learns to see what a text says, not how good it is on photographs. ``OUT`` gets the
network to start from and the trained folder, as ``riveg train entailer-itm`` makes it; a training
that was interrupted goes on, and one that is there is not done again.

Prints how often ``entail: itm`` with that folder is right about the gold mentions of test, by
whether they are shown, with 95 % intervals by bootstrap over posts, beside one answer for all.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from own_words import learn_word_pieces
from spoken import train_once

from riveg.evaluation.bootstrap import Tally
from riveg.evaluation.counts import Count
from riveg.training.data import AnnotatedSplit, read_annotated
from riveg.training.entailer_itm.config import EntailerItmTrainingConfig
from riveg.vision.matchers.trained import MatcherSettings

_SIDE, _PATCH = 48, 8
"""Of the pictures as the network sees them, and of its patches, in pixels."""
_WHOLE = "is belong PER LOC ORG OTHER"
"""Words of queries, which stay whole."""
_WIDTH = 64
_SPREAD = 0.1
"""Of the first weights, for this width. BLIP's own is next to nothing in its vision tower."""


def main() -> None:
    """Trains what is not there yet and prints figures of test."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("world", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--query", default="{mention} is belong {label}")
    options = parser.parse_args()
    data = options.world / "world.yaml"
    config = EntailerItmTrainingConfig.model_validate(
        {
            "data": str(data),
            "model": str(save_blip(options.out / "random-blip", data)),
            "out": options.out / "entailer",
            "query": options.query,
            "loop": {
                "epochs": options.epochs,
                "batch_size": options.batch_size,
                "learning_rate": 1e-3,
                "weight_decay": 0.05,
                "schedule": "cosine",
                "warmup": 0.1,
                "device": "cpu",
                "threads": options.threads,
            },
        }
    )
    started = time.monotonic()
    train_once(config, MatcherSettings.file)
    minutes = (time.monotonic() - started) / 60
    test = read_annotated(str(data), "test")
    print(f"{'test':12}{'mentions':>10}{'right, percent':>24}")
    for name, score in answered(config.out, test).scores().items():
        print(f"{name:12}{score.count.gold:>10}{score.count.f1:>10.1f} {score.f1}")
    print(f"trained in {minutes:.1f} minutes")


def save_blip(folder: Path, data: Path) -> Path:
    """A ``BlipForImageTextRetrieval`` of few layers with random weights."""
    import torch
    from transformers import (
        BlipConfig,
        BlipForImageTextRetrieval,
        BlipImageProcessorPil,
        PreTrainedTokenizerFast,
    )

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=learn_word_pieces(data, whole=[_WHOLE]),
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=48,
    )
    sizes = {
        "hidden_size": _WIDTH,
        "intermediate_size": 2 * _WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "initializer_range": _SPREAD,
    }
    text = {
        **sizes,
        "vocab_size": len(tokenizer),
        "encoder_hidden_size": _WIDTH,
        "max_position_embeddings": 48,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "sep_token_id": 3,
    }
    seen = {**sizes, "image_size": _SIDE, "patch_size": _PATCH}
    torch.manual_seed(0)
    network = BlipForImageTextRetrieval(
        BlipConfig(text_config=text, vision_config=seen, image_text_hidden_size=16)
    )
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    BlipImageProcessorPil(size={"height": _SIDE, "width": _SIDE}).save_pretrained(folder)
    return folder


def answered(folder: Path, source: AnnotatedSplit) -> Tally:
    """How often ``entail: itm`` is right about gold mentions, of all, what is shown, and the rest.

    Args:
        folder: What ``riveg train entailer-itm`` made.
        source: The split that is asked about.
    """
    from riveg.config.backend import BuildContext
    from riveg.protocols import Mention
    from riveg.stages.entailers.itm import ItmEntailerConfig
    from riveg.types import Entailment, Entity

    backend = ItmEntailerConfig(model=str(folder.absolute()), device="cpu", batch_size=32).build(
        BuildContext(images=source.images)
    )
    counted = Tally()
    for sample, gold in source.pairs:
        mentions = [
            Mention(sample, Entity(f"e{number}", one.text, one.label, one.span))
            for number, one in enumerate(gold.entities)
        ]
        shown = [bool(one.boxes) for one in gold.entities]
        said = [one.groundable for one in backend.entail(mentions) if isinstance(one, Entailment)]
        right = [one == two for one, two in zip(said, shown, strict=True)]
        parts = {
            "all": right,
            "shown": [one for one, is_shown in zip(right, shown, strict=True) if is_shown],
            "not shown": [one for one, is_shown in zip(right, shown, strict=True) if not is_shown],
        }
        counted.add(
            {name: Count(sum(part), len(part), len(part)) for name, part in parts.items()}
            | {"always yes": Count(sum(shown), len(shown), len(shown))}
        )
    return counted


if __name__ == "__main__":
    main()
