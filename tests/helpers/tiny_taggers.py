"""Tiny encoders of three kinds with random weights, and eight annotated posts with knowledge."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import Tokenizer

KINDS = ("bert", "roberta", "xlm-roberta")
"""Those that differ in their tokenizers; ``deberta-v2`` can be saved, too."""

_WITH_WORDPIECES = ("bert", "deberta-v2")

POSTS = (
    ("Ann Lee met Bob in Rome", "B-PER I-PER O B-PER O B-LOC", "actor"),
    ("Rome is far from Oslo", "B-LOC O O O B-LOC", "city"),
    ("Bob reads The Post daily", "B-PER O B-ORG I-ORG O", "paper"),
    ("nothing to see here", "O O O O", ""),
    ("The Post wrote about Ann Lee", "B-ORG I-ORG O O B-PER I-PER", "paper"),
    ("Oslo Rome Bob", "B-LOC B-LOC B-PER", "city"),
    ("fans of Bob love Oslo !", "O O B-PER O B-LOC O", "actor"),
    ("Acme hired Ann Lee", "B-ORG O B-PER I-PER", "actor"),
)
"""Text, tags, and what a language model might know of it."""

FINE = {"PER": "person_actor", "LOC": "city", "ORG": "company"}


def write_dataset(folder: Path) -> Path:
    """The posts as train and dev of a dataset with fine labels and PGIM's knowledge; its YAML."""
    folder.mkdir(parents=True, exist_ok=True)
    splits = ("train", "dev")
    for split in splits:
        (folder / f"{split}.txt").write_text(_conll(), encoding="utf-8")
        (folder / f"{split}-knowledge.txt").write_text(_pgim(), encoding="utf-8")
    (folder / "xml").mkdir(exist_ok=True)
    values = {
        "name": "tiny",
        "format": "twitter-fmnerg",
        "text": {split: f"{split}.txt" for split in splits},
        "xml": "xml",
        "knowledge": {split: [f"{split}-knowledge.txt"] for split in splits},
    }
    path = folder / "tiny.yaml"
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


def _conll() -> str:
    blocks = []
    for number, (text, tags, _) in enumerate(POSTS):
        rows = [f"IMGID:{number}"]
        for token, tag in zip(text.split(), tags.split(), strict=True):
            below = tag if tag == "O" else f"{tag[:2]}{FINE[tag[2:]]}"
            rows.append(f"{token}\t{tag}\t{below}")
        blocks.append("\n".join(rows) + "\n")
    return "\n".join(blocks)


def _pgim() -> str:
    blocks = []
    for text, tags, knowledge in reversed(POSTS):  # joined by text, so the order does not matter
        rows = [f"{token}\t{tag}" for token, tag in zip(text.split(), tags.split(), strict=True)]
        words = ["<EOS>", "kind:", *knowledge.split(), f"({len(text)})"]
        blocks.append("\n".join([*rows, *(f"{word}\tX" for word in words)]) + "\n")
    return "\n".join(blocks)


def save_encoder(folder: Path, kind: str) -> Path:
    """An encoder of one layer with a fast tokenizer that was trained on the posts."""
    import torch
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tiny_tokenizer(kind)
    tokenizer.save(str(folder / "tokenizer.json"))
    padding = tokenizer.token_to_id("[PAD]" if kind in _WITH_WORDPIECES else "<pad>")
    sizes: dict[str, Any] = {
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 66,
        "pad_token_id": padding,
    }
    torch.manual_seed(0)
    config = {
        "bert": transformers.BertConfig,
        "deberta-v2": partial(
            transformers.DebertaV2Config, relative_attention=True, pos_att_type=["p2c", "c2p"]
        ),
        "roberta": transformers.RobertaConfig,
        "xlm-roberta": transformers.XLMRobertaConfig,
    }[kind](**sizes)
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    return folder


def tiny_tokenizer(kind: str) -> Tokenizer:
    """A tokenizer whose words are those of the posts."""
    made = {"roberta": _byte_level, "xlm-roberta": _unigram}
    return _wordpiece() if kind in _WITH_WORDPIECES else made[kind]()


def _texts() -> list[str]:
    return [text for text, _, _ in POSTS]


def _wordpiece() -> Tokenizer:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    letters = sorted({letter for text in _texts() for letter in text.lower() if letter != " "})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{letter}" for letter in letters)]
    made = Tokenizer(
        models.WordPiece({piece: at for at, piece in enumerate(pieces)}, unk_token="[UNK]")
    )
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return made


def _byte_level() -> Tokenizer:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    special = ["<s>", "<pad>", "</s>", "<unk>"]
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([*_texts(), "a a a"], trainer)
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return made


def _unigram() -> Tokenizer:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    letters = sorted({letter for text in _texts() for letter in text if letter != " "})
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -3.0)]
    pieces += [(letter, -4.0) for letter in letters]
    pieces += [(f"▁{letter}", -3.5) for letter in letters]
    made = Tokenizer(models.Unigram(pieces, unk_id=3))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return made
