"""Every worked case under every protocol, to the last count."""

from dataclasses import replace
from itertools import product

import pytest
from helpers.evaluation_strategies import cases
from helpers.worked_cases import WorkedCase, worked_cases
from hypothesis import given

from riveg.errors import UserError
from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity
from riveg.evaluation.protocols import PROTOCOLS

CASES = worked_cases()


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("worked", CASES, ids=lambda worked: worked.case.id)
def test_the_counts_are_those_worked_by_hand(worked: WorkedCase, name: str) -> None:
    expected = worked.expected[name]
    score = PROTOCOLS[name].scorer()
    if isinstance(expected, str):
        with pytest.raises(UserError, match=expected):
            score(worked.case)
        return
    counts = score(worked.case)
    assert {metric: counts[metric] for metric in expected} == expected, worked.reason
    assert name == "canonical" or expected.keys() == counts.keys()


def test_all_ten_examples_of_the_reference_are_there() -> None:
    numbers = {worked.case.id.rstrip("ab" + "c") for worked in CASES}
    assert {str(number) for number in range(1, 11)} <= numbers
    assert len({worked.case.id for worked in CASES}) == len(CASES)


def test_no_two_protocols_agree_on_all_of_them() -> None:
    for one, other in product(PROTOCOLS, repeat=2):
        if one == other:
            continue
        shared = {*PROTOCOLS[one].metrics} & {*PROTOCOLS[other].metrics}
        pairs = [(worked.expected[one], worked.expected[other]) for worked in CASES]
        assert any(
            counts[metric] != others[metric]
            for counts, others in pairs
            for metric in shared
            if isinstance(counts, dict) and isinstance(others, dict)
        ), (one, other)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_protocol_counts_the_metrics_that_it_names(name: str) -> None:
    protocol = PROTOCOLS[name]
    counts = protocol.scorer()(CASES[0].case)
    assert (*counts,) == protocol.metrics
    assert protocol.name == name
    assert protocol.summary
    assert "\n" not in protocol.summary + "".join(protocol.notes)


@pytest.mark.parametrize("worked", CASES, ids=lambda worked: worked.case.id)
def test_what_is_left_out_counts_nowhere(worked: WorkedCase) -> None:
    for name, protocol in PROTOCOLS.items():
        left_out = protocol.leaves_out(worked.case)
        assert left_out == (
            name == "e2e"
            and worked.case.id in {"e2e-small-picture", "e2e-long-picture", "e2e-gold-in-pieces"}
        )
        if left_out:
            expected = worked.expected[name]
            assert isinstance(expected, dict)
            assert {*protocol.scorer()(worked.case).values()} == {next(iter(expected.values()))}


def test_fine_labels_are_counted_beside_coarse_ones() -> None:
    case = CASES[0].case
    gold = tuple(replace(entity, fine_label="park") for entity in case.gold)
    predicted = tuple(replace(entity, fine_label="park") for entity in case.predicted)
    fine = replace(case, gold=gold, predicted=predicted)
    for name in {*PROTOCOLS} - {"canonical"}:
        protocol = PROTOCOLS[name]
        coarse = protocol.scorer()(case)
        counts = protocol.scorer(fine=True)(fine)
        assert {key: counts[key] for key in coarse} == coarse
        assert counts["fmnerg"] == coarse["gmner"]
        assert ("fmner" in counts) == ("mner" in coarse)


@given(cases)
def test_fine_labels_are_counted_as_the_program_counts_a_file_of_them(case: Case) -> None:
    def on_fine(entity: PredictedEntity | AnnotatedEntity) -> str:
        return entity.fine_label or entity.label

    held = Case(
        "s",
        tuple(replace(entity, label=on_fine(entity)) for entity in case.predicted),
        tuple(replace(entity, label=on_fine(entity)) for entity in case.gold),
    )
    for name in ("riveg", "tiger", "tiger-inloop", "e2e"):
        protocol = PROTOCOLS[name]
        coarse, fine = protocol.scorer()(case), protocol.scorer()(held)
        counts = protocol.scorer(fine=True)(case)
        assert counts["gmner"] == coarse["gmner"]
        assert counts["fmnerg"] == fine["gmner"]
        assert counts.get("mner") == coarse.get("mner")
        assert counts.get("fmner") == fine.get("mner")
        assert counts.get("eeg") == fine.get("eeg")
