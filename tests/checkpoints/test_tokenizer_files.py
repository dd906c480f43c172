"""Tokenizers that make too much of a text are refused before they are loaded."""

from __future__ import annotations

import json
import shutil
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.factories import NoImages
from helpers.tiny_embedding_models import save_text_encoder
from helpers.tiny_siglip import save_siglip

from riveg.checkpoints.tokenizer_files import (
    read_tokenizer,
    require_bounded_file,
    require_bounded_files,
    require_bounded_tokenizer,
)
from riveg.errors import UserError
from riveg.files import asset
from riveg.llm.conversation import Message, Request
from riveg.llm.endpoint import Endpoint
from riveg.llm.images import ImageEncoder
from riveg.llm.token_counts import TokenCounter
from riveg.stages.taggers.mini import MiniTagger

Json = dict[str, Any]


def replace(pattern: Json, content: str) -> Json:
    return {"type": "Replace", "pattern": pattern, "content": content}


DOUBLING = replace({"String": "a"}, "aa")
CHARSMAP = b64encode((4).to_bytes(4, "little") + b"trie" + b"x\0" + b"y" * 200 + b"\0").decode()


def steps(kind: str, *inner: Json) -> Json:
    return {"type": "Sequence", kind: [*inner]}


def template(pieces: int, ids: int = 1) -> Json:
    single = [{"Sequence": {"id": "A", "type_id": 0}}] * pieces
    single.append({"SpecialToken": {"id": "[CLS]", "type_id": 0}})
    mark = {"id": "[CLS]", "ids": [1] * ids, "tokens": ["[CLS]"] * ids}
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [],
        "special_tokens": {"[CLS]": mark},
    }


def padding(**values: Any) -> Json:
    usual = {"direction": "Right", "pad_id": 0, "pad_type_id": 0, "pad_token": "?"}
    return {"strategy": "BatchLongest", "pad_to_multiple_of": None, **usual, **values}


def write(path: Path, **parts: Any) -> Path:
    model = {"type": "WordLevel", "vocab": {"?": 0, "[CLS]": 1}, "unk_token": "?"}
    empty = dict.fromkeys(("truncation", "padding", "normalizer", "pre_tokenizer"))
    whole: Json = {
        "version": "1.0",
        "added_tokens": [],
        **empty,
        "post_processor": None,
        "decoder": None,
    }
    model |= parts.pop("model", {})
    path.write_text(json.dumps({**whole, "model": model, **parts}))
    return path


SPLIT: Json = {"type": "Split", "pattern": {"String": ""}, "behavior": "Isolated"}
METASPACE: Json = {"type": "Metaspace", "replacement": "_", "prepend_scheme": "always"}

BOMBS: dict[str, Json] = {
    "replace": {"normalizer": steps("normalizers", *[DOUBLING] * 40)},
    "replace in replace": {
        "normalizer": steps("normalizers", *[steps("normalizers", *[DOUBLING] * 4)] * 10)
    },
    "without types": {
        "normalizer": {"normalizers": [{"pattern": {"String": "a"}, "content": "aa"}] * 40}
    },
    "a long text": {"normalizer": replace({"String": "a"}, "a" * 129)},
    "nothing": {"normalizer": steps("normalizers", *[replace({"String": ""}, "b")] * 40)},
    "regex": {"normalizer": steps("normalizers", *[replace({"Regex": "[ab]"}, "bb")] * 40)},
    "regex of nothing": {"normalizer": steps("normalizers", *[replace({"Regex": "x*"}, "b")] * 40)},
    "prepend": {"normalizer": steps("normalizers", *[{"type": "Prepend", "prepend": "ab"}] * 40)},
    "charsmap": {"normalizer": {"type": "Precompiled", "precompiled_charsmap": CHARSMAP}},
    "unicode": {
        "normalizer": steps(
            "normalizers", *[replace({"Regex": "."}, "\ufdfa"), {"type": "NFKD"}] * 9
        )
    },
    "chinese": {
        "normalizer": steps(
            "normalizers",
            *[{"type": "BertNormalizer"}, replace({"String": " "}, "\u4e2d")] * 9,
        )
    },
    "bytes": {
        "pre_tokenizer": steps(
            "pretokenizers",
            *[{"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}] * 30,
        )
    },
    "blanks": {
        "pre_tokenizer": steps("pretokenizers", *[SPLIT, METASPACE] * 30),
    },
    "half and half": {
        "normalizer": steps("normalizers", *[DOUBLING] * 5),
        "pre_tokenizer": steps(
            "pretokenizers",
            *[METASPACE] * 5,
        ),
    },
    "decoder": {"decoder": steps("decoders", *[DOUBLING] * 40)},
    "template": {"post_processor": steps("processors", *[template(2)] * 30)},
    "template with many ids": {"post_processor": template(1, ids=1000)},
    "padding": {"padding": padding(strategy={"Fixed": 10**9})},
    "padding to a multiple": {"padding": padding(pad_to_multiple_of=10**9)},
    "a long mark": {"padding": padding(pad_token="x" * 9999)},
    "a long unknown": {"model": {"unk_token": "x" * 9999}},
    "long words": {"model": {"type": "WordPiece", "max_input_chars_per_word": 10**9}},
    "long prefixes": {"model": {"type": "WordPiece", "continuing_subword_prefix": "#" * 9999}},
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_grows_too_much_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / "tokenizer.json", **BOMBS[name])
    with pytest.raises(UserError, match=r"tokenizer\.json: ") as error:
        read_tokenizer(path)
    assert "\n" not in str(error.value)


USUAL: dict[str, Json] = {
    "bert": {
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "post_processor": template(1),
    },
    "llama": {
        "normalizer": steps(
            "normalizers",
            {"type": "Prepend", "prepend": "\u2581"},
            replace({"String": " "}, "\u2581"),
        )
    },
    "clip": {
        "normalizer": steps(
            "normalizers", {"type": "NFC"}, replace({"Regex": r"\s+"}, " "), {"type": "Lowercase"}
        ),
        "pre_tokenizer": {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": True,
            "use_regex": True,
        },
    },
    "albert": {
        "normalizer": steps(
            "normalizers",
            replace({"String": "``"}, '"'),
            replace({"String": "''"}, '"'),
            {"type": "NFKD"},
            {"type": "StripAccents"},
            {"type": "Lowercase"},
            replace({"Regex": " {2,}"}, " "),
        ),
        "pre_tokenizer": {
            "type": "Metaspace",
            "replacement": "\u2581",
            "prepend_scheme": "always",
            "split": True,
        },
    },
    "padded": {"padding": padding(strategy={"Fixed": 512})},
}


@pytest.mark.parametrize("name", USUAL)
def test_what_published_models_do_is_loaded(name: str, tmp_path: Path) -> None:
    tokenizer = read_tokenizer(write(tmp_path / "tokenizer.json", **USUAL[name]))
    assert tokenizer.encode("a word").ids


def test_a_table_of_short_texts_is_no_growth(tmp_path: Path) -> None:
    table = b64encode((4).to_bytes(4, "little") + b"trie" + b"ab\0" + b"c\0").decode()
    normalizer = {"type": "Precompiled", "precompiled_charsmap": table}
    require_bounded_file(write(tmp_path / "tokenizer.json", normalizer=normalizer))


def test_the_shipped_tagger_is_loaded() -> None:
    tokenizer = read_tokenizer(asset("tagger", "tokenizer.json"))
    assert tokenizer.encode("a word").ids


def test_a_file_that_changes_is_looked_at_again(tmp_path: Path) -> None:
    path = write(tmp_path / "tokenizer.json")
    require_bounded_file(path)
    write(path, **BOMBS["replace"])
    with pytest.raises(UserError):
        require_bounded_file(path)


def test_another_tokenizer_that_a_library_may_choose_is_looked_at(tmp_path: Path) -> None:
    write(tmp_path / "tokenizer.json")
    write(tmp_path / "tokenizer.4.0.0.json", **BOMBS["replace"])
    with pytest.raises(UserError, match=r"tokenizer\.4\.0\.0\.json: the tokenizer's steps"):
        require_bounded_files(tmp_path)


def test_one_that_a_library_has_put_together_is_looked_at(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, normalizers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    made.normalizer = normalizers.Lowercase()
    loaded = PreTrainedTokenizerFast(tokenizer_object=made)
    require_bounded_tokenizer(loaded, tmp_path)
    made.normalizer = normalizers.Sequence([normalizers.Replace("a", "aa")] * 40)
    loaded = PreTrainedTokenizerFast(tokenizer_object=made)
    with pytest.raises(UserError, match="steps may make more than 10\\^9 characters of one"):
        require_bounded_tokenizer(loaded, tmp_path)


def with_bomb(folder: Path) -> Path:
    """A model's folder whose tokenizer explodes as soon as it is loaded."""
    path = folder / "tokenizer.json"
    values = json.loads(path.read_text())
    token = {"id": 0, "content": "a", "single_word": False, "lstrip": False, "rstrip": False}
    values["added_tokens"].append({**token, "normalized": True, "special": False})
    values["normalizer"] = BOMBS["replace"]["normalizer"]
    path.write_text(json.dumps(values))
    return folder


def load_tagger(folder: Path) -> None:
    shutil.copytree(asset("tagger"), folder, dirs_exist_ok=True)
    MiniTagger(with_bomb(folder))


def load_siglip(folder: Path) -> None:
    from riveg.vision.matchers.siglip import load_siglip_matcher
    from riveg.vision.runtime.options import TorchOptions

    save_siglip(folder)
    load_siglip_matcher(with_bomb(folder), TorchOptions(model=str(folder), device="cpu"))


def load_embeddings(folder: Path) -> None:
    from riveg.stages.augmenters.embeddings import TransformerTexts

    save_text_encoder(folder)
    TransformerTexts(with_bomb(folder))


def load_engine(folder: Path) -> None:
    from riveg.llm.vllm_engine import load_engine as load

    write(folder / "tokenizer.json")
    load(Endpoint(engine="vllm-offline", model=str(with_bomb(folder))))


def train_tagger(folder: Path) -> None:
    from helpers.training import trained

    from riveg.training.tagger.config import TaggerTrainingConfig

    save_text_encoder(folder)
    base = str(with_bomb(folder))
    config = TaggerTrainingConfig(
        data="quickstart",
        train_split="test",
        dev_split="test",
        base=base,
        out=folder / "out",
        work=folder / "work",
    )
    trained(config)


@pytest.mark.slow
@pytest.mark.parametrize(
    "load", [load_tagger, load_siglip, load_embeddings, load_engine, train_tagger]
)
def test_every_backend_refuses_it(load: Callable[[Path], None], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"tokenizer\.json: the tokenizer's steps may make"):
        load(tmp_path)


def test_tokens_are_estimated_without_it(tmp_path: Path) -> None:
    write(tmp_path / "tokenizer.json")
    endpoint = Endpoint(model=str(with_bomb(tmp_path)), base_urls=("http://127.0.0.1:1/v1",))
    found = TokenCounter(endpoint, ImageEncoder(NoImages(), 280)).count(
        Request((Message("user", "a red ball"),), str)
    )
    assert not found.exact
