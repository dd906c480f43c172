"""``riveg train crf-tagger`` on tiny encoders: it learns by heart, and its folder answers alike."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

pytest.importorskip("accelerate", reason='needs the extra: pip install "riveg[train]"')

from helpers.tiny_taggers import FINE, KINDS, POSTS, save_encoder, write_dataset
from helpers.training import Heard, trained

from riveg.datasets.knowledge import knowledge_of
from riveg.datasets.opening import open_dataset
from riveg.errors import UserError
from riveg.evaluation.evaluate import evaluate
from riveg.evaluation.gold import read_gold
from riveg.evaluation.predictions import predictions_of_run
from riveg.formats.records import encode
from riveg.nn.encoders import most_pieces
from riveg.runs.system import load_system
from riveg.stages.taggers.crf import CrfTagger
from riveg.text.bio import bio_to_spans
from riveg.training.config import Course
from riveg.training.crf_tagger.config import CrfTaggerTrainingConfig
from riveg.training.crf_tagger.trainee import CrfTagger as Trainee
from riveg.types import Sample

LOOP = {"epochs": 10, "batch_size": 4, "learning_rate": 0.02, "device": "cpu", "threads": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: save_encoder(tmp_path_factory.mktemp(kind), kind) for kind in KINDS}


def settings(data: Path, encoder: Path, out: Path, **more: Any) -> CrfTaggerTrainingConfig:
    values = {
        **{"data": str(data), "model": str(encoder), "out": out, "loop": LOOP},
        **{"dropout": 0.0, "max_pieces": 60, "shapes": True},
        **more,
    }
    return CrfTaggerTrainingConfig.model_validate(values)


CASES = [
    ("bert", {"head": "linear"}),
    ("bert", {"level": "both", "knowledge": "appended", "scheme": "bioes"}),
    ("roberta", {"scheme": "bioes"}),
    ("roberta", {"level": "fine", "knowledge": "appended", "shapes": False}),
    ("xlm-roberta", {"head": "linear", "level": "both"}),
    ("xlm-roberta", {"knowledge": "appended", "knowledge_is_scored": True}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "more"), CASES, ids=str)
def test_eight_posts_are_learnt_by_heart_and_the_folder_answers_alike(
    kind: str, more: dict[str, Any], data: Path, encoders: dict[str, Path], tmp_path: Path
) -> None:
    config = settings(data, encoders[kind], tmp_path / "out", **more)
    heard = Heard()
    folder = trained(config, heard)
    card = (folder / "CARD.md").read_text(encoding="utf-8")
    assert "| f1 | 100.00 | [100.0, 100.0] | 100.00 | 100.00 |" in card
    tagger = CrfTagger(folder, knowledge=config.knowledge, device="cpu")
    answers = tagger.tag(_samples(data, config))
    for (_, tags, _), answer in zip(POSTS, answers, strict=True):
        assert isinstance(answer, tuple)
        found = [(one.span, one.label) for one in answer]
        assert found == list(bio_to_spans(tags.split()))
        if config.level != "coarse":
            assert [one.fine_label for one in answer] == [FINE[one.label] for one in answer]
        else:
            assert {one.fine_label for one in answer} <= {None}


def _samples(data: Path, config: CrfTaggerTrainingConfig) -> list[Sample]:
    dataset = open_dataset(str(data), split="dev")
    samples = list(dataset.samples())
    if config.knowledge == "none":
        return samples
    known = knowledge_of(samples, dataset.knowledge["dev"], "tiny dev")
    return [replace(sample, knowledge=known[sample.id][0]) for sample in samples]


@pytest.mark.slow
def test_knowledge_of_runs_trains_a_tagger_that_runs_with_it(
    data: Path, encoders: dict[str, Path], tmp_path: Path
) -> None:
    """The whole way: knowledge by runs, a tagger by training, entities by a run, their F1."""
    dataset = open_dataset(str(data), split="dev")
    samples = list(dataset.samples())
    known = knowledge_of(samples, dataset.knowledge["dev"], "tiny dev")
    records = [encode(replace(one, knowledge=known[one.id][0])) for one in samples]
    (tmp_path / "known.jsonl").write_bytes(b"\n".join(records) + b"\n")
    system = tmp_path / "system.yaml"
    augment = "augment: {backend: recorded, file: known.jsonl}"
    system.write_text(f"name: tiny-pgim\n{augment}\n", encoding="utf-8")
    files = {}
    for split in ("train", "dev"):
        files[split] = [tmp_path / f"know-{split}"]
        posts = open_dataset(str(data), split=split)
        load_system(system).run(posts, out=files[split][0], until="augment")
    config = settings(
        data, encoders["bert"], tmp_path / "out", knowledge="appended", knowledge_files=files
    )
    folder = trained(config, Heard())
    tag = f"tag: {{backend: crf, model: {folder}, knowledge: appended, device: cpu}}"
    system.write_text(f"name: tiny-pgim\n{augment}\n{tag}\n", encoding="utf-8")
    load_system(system).run(dataset, out=tmp_path / "run")
    found = evaluate(predictions_of_run(tmp_path / "run"), read_gold(dataset))
    mner = found.scores["canonical"]["mner"]
    assert mner is not None
    assert mner.f1 == 100


def trainee(config: CrfTaggerTrainingConfig, tmp_path: Path) -> Trainee:
    return Trainee(config, Course(config, tmp_path / "model", tmp_path / "work", Heard()))


def test_several_pieces_of_knowledge_make_several_rows(
    data: Path, encoders: dict[str, Path], tmp_path: Path
) -> None:
    more = tmp_path / "more.jsonl"
    lines = [{"id": str(number), "knowledge": f"other {number}"} for number in range(3)]
    more.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    files = {"train": [str(data.parent / "train-knowledge.txt"), str(more)]}
    config = settings(data, encoders["bert"], tmp_path, knowledge="appended", knowledge_files=files)
    found = trainee(config, tmp_path)
    assert len(found.rows()) == len(POSTS) + 3
    assert "11 rows have knowledge" in " ".join(found.remarks())


def test_knowledge_that_does_not_fit_is_counted_and_the_text_is_whole(
    data: Path, encoders: dict[str, Path], tmp_path: Path
) -> None:
    config = settings(data, encoders["bert"], tmp_path, knowledge="appended", max_pieces=16)
    found = trainee(config, tmp_path)
    assert any("the end of 8 is cut off" in remark for remark in found.remarks())
    for row in found.rows():
        owned = [word for window in row.windows for word in window.owned]
        assert owned == list(range(len(row.tags)))


def _with(data: Path, tmp_path: Path, file: str, text: str) -> Path:
    folder = tmp_path / "data"
    shutil.copytree(data.parent, folder)
    (folder / file).write_text(text, encoding="utf-8")
    return folder / data.name


def test_knowledge_about_other_posts_is_refused(
    data: Path, encoders: dict[str, Path], tmp_path: Path
) -> None:
    text = "Ann\tO\n<EOS>\tX\nactor\tX\n"
    changed = _with(data, tmp_path, "train-knowledge.txt", text)
    config = settings(changed, encoders["bert"], tmp_path, knowledge="appended")
    with pytest.raises(UserError, match=r"train-knowledge\.txt:1: 'Ann' is no post of .* train"):
        trainee(config, tmp_path)


def test_a_label_of_dev_that_train_lacks_is_refused(
    data: Path, encoders: dict[str, Path], tmp_path: Path
) -> None:
    text = "IMGID:9\nMars\tB-PLANET\tB-planet\n"
    changed = _with(data, tmp_path, "dev.txt", text)
    config = settings(changed, encoders["bert"], tmp_path)
    with pytest.raises(UserError, match="dev: the label 'PLANET' of '9' is on no entity of"):
        trainee(config, tmp_path)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"max_pieces": 67}, "max_pieces: 67: this encoder reads 66 at most"),
        ({"model": "package:not_here_at_all"}, "the Python package not_here_at_all is not here"),
        ({"model": "package:json"}, "json carries no encoder"),
        ({"model": "nobody/nothing"}, "in the cache of the hub; `hf download nobody/nothing` gets"),
    ],
)
def test_mistakes_are_told_in_one_line(
    more: dict[str, Any],
    message: str,
    data: Path,
    encoders: dict[str, Path],
    tmp_path: Path,
) -> None:
    config = settings(data, encoders["bert"], tmp_path / "out", **more)
    with pytest.raises(UserError, match=message) as raised:
        trainee(config, tmp_path)
    assert "\n" not in str(raised.value)


def test_an_encoder_without_a_fast_tokenizer_is_refused_and_nothing_is_written(
    data: Path, encoders: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "slow"
    shutil.copytree(encoders["bert"], folder)
    (folder / "tokenizer.json").unlink()
    config = settings(data, folder, tmp_path / "out")
    with pytest.raises(UserError, match=r"has no fast tokenizer \(no tokenizer.json\)"):
        trained(config, Heard())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["slow"]


def test_a_gpu_that_is_not_there_is_told(
    data: Path, encoders: dict[str, Path], tmp_path: Path
) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    loop = {**LOOP, "device": "cuda"}
    config = settings(data, encoders["bert"], tmp_path / "out", loop=loop)
    with pytest.raises(UserError, match=r"loop\.device: cuda: torch sees no GPU here"):
        trained(config, Heard())


@pytest.mark.parametrize("kind", ["t5", "bart", "vit"])
def test_a_network_that_does_not_read_texts_alone_is_refused(
    kind: str, data: Path, encoders: dict[str, Path], tmp_path: Path
) -> None:
    import transformers

    folder = shutil.copytree(encoders["bert"], tmp_path / kind)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32}
    made = {
        "t5": transformers.T5Config(vocab_size=80, d_model=32, d_ff=32, num_layers=1, num_heads=2),
        "bart": transformers.BartConfig(
            vocab_size=80,
            d_model=32,
            **dict.fromkeys(("encoder_layers", "decoder_layers"), 1),
            **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 2),
        ),
        "vit": transformers.ViTConfig(**sizes),
    }
    transformers.AutoModel.from_config(made[kind]).save_pretrained(folder)
    config = settings(data, folder, tmp_path / "out")
    with pytest.raises(UserError, match=f"{kind}: {kind} .*; choose an encoder of texts") as raised:
        trained(config)
    assert "\n" not in str(raised.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == [kind]


def test_positions_without_an_end_set_no_limit() -> None:
    import transformers

    config = transformers.XLNetConfig(vocab_size=80, d_model=32, n_layer=1, n_head=2, d_inner=32)
    assert most_pieces(transformers.AutoModel.from_config(config)) > 10_000


def test_an_entity_of_dev_without_a_fine_label_is_told(
    data: Path, encoders: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    for split, more in (("train", {"fine_label": "actor"}), ("dev", {})):
        entities = [{"label": "PER", "start": 0, "end": 1, **more}]
        post = json.dumps({"id": split, "text": "Ann sings", "entities": entities})
        (folder / f"{split}.jsonl").write_text(post, encoding="utf-8")
    values = {"name": "own", "format": "jsonl"}
    text = {split: f"{split}.jsonl" for split in ("train", "dev")}
    (folder / "own.yaml").write_text(json.dumps({**values, "text": text}), encoding="utf-8")
    config = settings(folder / "own.yaml", encoders["bert"], tmp_path, level="both")
    with pytest.raises(UserError, match="own dev: 'Ann' of 'dev' has no fine label; level: both"):
        trainee(config, tmp_path)


def test_more_labels_than_a_tagger_can_have_are_refused(
    encoders: dict[str, Path], tmp_path: Path
) -> None:
    rows = (
        {"text": "Ann", "entities": [{"label": f"L{number}", "start": 0, "end": 1}]}
        for number in range(1001)
    )
    (tmp_path / "posts.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    values = {"name": "many", "format": "jsonl"}
    text = {"train": "posts.jsonl", "dev": "posts.jsonl"}
    (tmp_path / "data.yaml").write_text(json.dumps({**values, "text": text}), encoding="utf-8")
    config = settings(tmp_path / "data.yaml", encoders["bert"], tmp_path)
    with pytest.raises(UserError, match=r"many train: nobody can learn its labels: tags: .* 2000"):
        trainee(config, tmp_path)


def test_the_knowledge_that_a_dataset_names_is_among_what_is_learnt_from(
    data: Path, encoders: dict[str, Path], tmp_path: Path
) -> None:
    plain = settings(data, encoders["bert"], tmp_path)
    told = settings(data, encoders["bert"], tmp_path, knowledge="appended")
    names = [
        [path.name for path in config.learnt_from(Course(config, tmp_path, tmp_path, Heard()))]
        for config in (plain, told)
    ]
    assert names == [[], ["train-knowledge.txt", "dev-knowledge.txt"]]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"knowledge_files": {"tarin": ["a.txt"]}}, "'tarin' is no split of this training, which"),
        ({"loop": {"learning_rates": {"hed": 0.1}}}, "no parameter's name begins with 'hed'; they"),
        ({"loop": {"learning_rate": float("inf")}}, "finite"),
        ({"loop": {"threads": 10**8}}, "less than or equal to 1024"),
        ({"beta": float("nan")}, "finite"),
    ],
)
def test_settings_that_mean_nothing_are_refused(
    more: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValidationError, match=message):
        settings(tmp_path, tmp_path, tmp_path, knowledge="appended", **more)


def test_the_tokenizer_of_another_encoder_is_refused(
    data: Path, encoders: dict[str, Path], tmp_path: Path
) -> None:
    mixed = shutil.copytree(encoders["bert"], tmp_path / "mixed")
    shutil.copy(encoders["roberta"] / "tokenizer.json", mixed)
    with pytest.raises(UserError, match=r"mixed: has the piece \d+, the encoder knows \d+: they"):
        trainee(settings(data, mixed, tmp_path), tmp_path)


def test_a_dev_without_entities_is_refused(
    data: Path, encoders: dict[str, Path], tmp_path: Path
) -> None:
    changed = _with(data, tmp_path, "dev.txt", "IMGID:9\nnothing\tO\tO\n")
    config = settings(changed, encoders["bert"], tmp_path)
    with pytest.raises(UserError, match="dev: has no entity by which the best epoch could be"):
        trainee(config, tmp_path)


def test_of_entities_that_overlap_the_longest_is_learnt_and_the_others_are_told(
    encoders: dict[str, Path], tmp_path: Path
) -> None:
    spans = [("ORG", 2, 3), ("PER", 0, 2), ("LOC", 1, 2), ("ORG", 0, 2)]
    entities = [{"label": label, "start": start, "end": end} for label, start, end in spans]
    post = {"id": "1", "tokens": ["Ann", "Lee", "Acme"], "entities": entities}
    (tmp_path / "posts.jsonl").write_text(json.dumps(post), encoding="utf-8")
    values = {"name": "nested", "format": "jsonl"}
    text = {"train": "posts.jsonl", "dev": "posts.jsonl"}
    (tmp_path / "data.yaml").write_text(json.dumps({**values, "text": text}), encoding="utf-8")
    found = trainee(settings(tmp_path / "data.yaml", encoders["bert"], tmp_path), tmp_path)
    (row,) = found.rows()
    assert [found.design.tags[tag] for tag in row.tags] == ["B-PER", "I-PER", "B-ORG"]
    assert "nested train: 2 entities overlap longer ones" in " ".join(found.remarks())


def test_the_matrix_between_the_levels_starts_from_what_goes_together(
    data: Path, encoders: dict[str, Path], tmp_path: Path
) -> None:
    config = settings(data, encoders["bert"], tmp_path, level="both")
    found = trainee(config, tmp_path)
    matrix = found.network().coarse_to_fine.detach()
    tags, fine_tags = found.design.tags, found.design.fine_tags
    assert matrix[tags.index("B-PER"), fine_tags.index(f"B-{FINE['PER']}")] == 1
    assert matrix[tags.index("B-PER"), fine_tags.index(f"I-{FINE['PER']}")] == 0
    assert float(matrix.sum()) == len({tag for _, row, _ in POSTS for tag in row.split()})
