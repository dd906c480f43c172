"""How fast ``tag: crf`` is, against asking its network about one post at a time.

    python benchmarks/taggers.py [--model FOLDER] [--posts 400] [--batch-size 32] [--device auto]
                                 [--threads 1] [--knowledge 90]

Without ``--model``, a network of MiniLM's size (6 layers of 384) or of BERT base's (``--size
base``) with random weights and a made-up vocabulary: speed does not depend on what weights know.
Prints posts a second of both ways, their ratio, and the peak memory of each, which has a process of
its own. On a CPU the seconds are those of the processor, all threads together, so that other work
does not change them, and the memory is the process's; on a GPU they are those of the clock, and
the memory is what was allocated there. Posts have 5 to 30 words, with ``--knowledge`` so many
behind each.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from riveg.types import Sample

WAYS = ("batches", "one by one")
_LABELS = ("PER", "LOC", "ORG", "OTHER")
_SIZES = {"minilm": (384, 6, 12, 1536), "base": (768, 12, 12, 3072)}
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def main() -> None:
    """Prints a line for each way, and the ratio."""
    options = _options()
    if options.way is not None:
        print(json.dumps(measured(options)))
        return
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or save_tagger(
            Path(folder), options.size, with_knowledge=options.knowledge > 0
        )
        found = {}
        for way in WAYS:
            command = [sys.executable, __file__, *sys.argv[1:], "--way", way, "--model", str(model)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[way] = json.loads(done.stdout.splitlines()[-1])
            rate, memory = found[way]["rate"], found[way]["memory"]
            print(f"{way}: {rate:.1f} posts/s, at most {memory:.0f} MiB", flush=True)
    ratio = found[WAYS[0]]["rate"] / found[WAYS[1]]["rate"]
    print(f"batches are {ratio:.1f} times as fast")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path)
    parser.add_argument("--size", choices=[*_SIZES], default="minilm")
    parser.add_argument("--posts", type=int, default=400)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--knowledge", type=int, default=0)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    return parser.parse_args()


def measured(options: argparse.Namespace) -> dict[str, float]:
    """Posts a second and the peak of memory in MiB, of one way."""
    import torch

    from riveg.stages.taggers.crf import CrfTagger

    torch.set_num_threads(options.threads)
    tagger = CrfTagger(
        options.model,
        knowledge="appended" if options.knowledge else "none",
        device=options.device,
        dtype=options.dtype,
        batch_size=options.batch_size,
    )
    samples = made_up_posts(options.posts, options.knowledge)
    tagger.tag(samples[:8])
    on_gpu = bool(torch.cuda.is_available() and torch.cuda.max_memory_allocated())
    clock = time.perf_counter if on_gpu else time.process_time
    started = clock()
    if options.way == WAYS[0]:
        tagger.tag(samples)
    else:
        for sample in samples:
            tagger.tag([sample])
    seconds = clock() - started
    return {"rate": len(samples) / seconds, "memory": _peak_memory(on_gpu=on_gpu)}


def _peak_memory(*, on_gpu: bool) -> float:
    import torch

    if on_gpu:
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def made_up_posts(count: int, knowledge: int) -> list[Sample]:
    """Posts of random words, the same ones each time."""
    from riveg.runs.sources import make_sample

    chance = random.Random(0)
    samples = []
    for number in range(count):
        text = " ".join(_words(chance, chance.randint(5, 30)))
        known = " ".join(_words(chance, knowledge)) if knowledge else None
        sample = make_sample(text, id=str(number))
        samples.append(
            Sample(sample.id, sample.text, sample.tokens, sample.offsets, knowledge=known)
        )
    return samples


def _words(chance: random.Random, count: int) -> Sequence[str]:
    return [
        "".join(chance.choices(_LETTERS, k=chance.choice((2, 2, 2, 3, 4)))) for _ in range(count)
    ]


def save_tagger(folder: Path, size: str, *, with_knowledge: bool) -> Path:
    """A tagger with random weights; every pair of letters is a piece."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    from riveg.nn.sequence_tagger import SequenceTagger
    from riveg.nn.tagger_design import TaggerDesign, TaggerSettings, write_settings
    from riveg.nn.tagger_folder import write_network

    pairs = [first + second for first in _LETTERS for second in _LETTERS]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *_LETTERS, *pairs]
    pieces += [f"##{piece}" for piece in (*_LETTERS, *pairs)]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    hidden, layers, heads, inner = _SIZES[size]
    config = transformers.BertConfig(
        vocab_size=30_522,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=inner,
    )
    torch.manual_seed(0)
    encoder = transformers.AutoModel.from_config(config)
    encoder.pooler = None
    tags = ("O", *(f"{letter}-{label}" for label in _LABELS for letter in "BI"))
    design = TaggerDesign(tags=tags)
    network = SequenceTagger(encoder, design)
    with torch.no_grad():
        network.head.bias[0] = 4.0  # most words are outside, as in posts
    write_network(folder, network, tokenizer)
    knowledge = "appended" if with_knowledge else "none"
    write_settings(
        folder,
        TaggerSettings.model_validate(
            {"design": design, "max_pieces": 256, "knowledge": knowledge}
        ),
    )
    return folder


if __name__ == "__main__":
    main()
