"""Counts of a perfect prediction on Twitter-GMNER v2.0, as the released programs arrive at them."""

import os
from pathlib import Path

import pytest
import yaml

from riveg.datasets.opening import open_dataset
from riveg.evaluation.cases import AnnotatedEntity, PredictedEntity
from riveg.evaluation.counts import NOTHING, Count
from riveg.evaluation.gold import GoldSet, read_gold
from riveg.evaluation.protocols import PROTOCOLS
from riveg.files import shipped
from riveg.formats.e2e_answer import Triple, format_answer, parse_answer
from riveg.types import Region


def gold_of(split: str, folder: Path) -> GoldSet:
    data = os.environ.get("RIVEG_TEST_DATA")
    if not data:
        pytest.skip("RIVEG_TEST_DATA is not set")
    values = yaml.safe_load(shipped("configs", "datasets", "twitter-gmner.yaml").read_text())
    values["root"] = str(Path(data) / "twitter-gmner-v2")
    (folder / "dataset.yaml").write_text(yaml.safe_dump(values))
    return read_gold(open_dataset(str(folder / "dataset.yaml"), split=split))


def perfect(entity: AnnotatedEntity) -> PredictedEntity:
    regions = tuple(map(Region, entity.boxes or ()))
    return PredictedEntity(entity.text, entity.label, entity.span, bool(regions), regions)


def total(gold: GoldSet, protocol: str, metric: str) -> Count:
    score = PROTOCOLS[protocol].scorer()
    cases = (
        gold.case(sample_id, tuple(map(perfect, sample.entities)))
        for sample_id, sample in gold.samples.items()
    )
    return sum((score(case)[metric] for case in cases), NOTHING)


DEV = [
    ("canonical", "gmner", Count(2450, 2450, 2450), "every entity"),
    ("riveg", "gmner", Count(2450, 2450, 2450), "every entity"),
    ("h-index", "gmner", Count(2450, 2450, 2450), "every entity"),
    ("e2e", "gmner", Count(2450, 2450, 2450), "every entity"),
    ("tiger", "gmner", Count(2438, 2438, 2438), "12 mentions repeat an entity"),
    ("tiger-inloop", "gmner", Count(2438, 2525, 2351), "and 87 tweets have no entity"),
    ("sysu-unco", "gmner", Count(2450, 2450, 2630), "a gold row for each of the boxes"),
    ("sysu-sake", "gmner", Count(2438, 2438, 2623), "and 12 mentions repeat an entity"),
]
TRAIN = [
    ("e2e", "gmner", Count(11779, 11779, 11779), "every entity"),
    ("tiger", "gmner", Count(11705, 11705, 11705), "75 mentions repeat a name, one in two types"),
    ("tiger-inloop", "gmner", Count(11705, 12063, 11347), "and 358 tweets have no entity"),
]


@pytest.mark.parametrize(("protocol", "metric", "expected", "reason"), DEV)
def test_dev(tmp_path: Path, protocol: str, metric: str, expected: Count, reason: str) -> None:
    assert total(gold_of("dev", tmp_path), protocol, metric) == expected, reason


@pytest.mark.slow
@pytest.mark.parametrize(("protocol", "metric", "expected", "reason"), TRAIN)
def test_train(tmp_path: Path, protocol: str, metric: str, expected: Count, reason: str) -> None:
    assert total(gold_of("train", tmp_path), protocol, metric) == expected, reason


@pytest.mark.slow
def test_four_names_of_the_training_split_lose_their_head_in_e2e(tmp_path: Path) -> None:
    changed = 0
    for entity in gold_of("train", tmp_path).entities():
        (read,) = parse_answer(format_answer([Triple(entity.text, entity.label, ())])).triples
        changed += read.mention != entity.text
    assert changed == 4
