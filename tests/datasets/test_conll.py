"""The Twitter sets: hand-made files with the published quirks, then the published files."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from riveg.datasets.check import TypeCounts, check
from riveg.datasets.dataset import Dataset
from riveg.datasets.opening import open_dataset
from riveg.errors import UserError
from riveg.types import Box, Span

XML = """<annotation><filename>other.jpg</filename><size><width>100</width><height>80</height>
<depth>3</depth></size>{objects}</annotation>"""
OBJECT = """<object><name>{name}</name><bndbox><xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax>
<ymax>{3}</ymax></bndbox></object>"""


def voc(*objects: tuple[str, tuple[object, ...]]) -> str:
    return XML.format(objects="".join(OBJECT.format(*edges, name=name) for name, edges in objects))


def gmner(
    folder: Path,
    text: str,
    xml: dict[str, str] | None = None,
    extra: str = "",
    kind: str = "twitter-gmner",
) -> Dataset:
    """A dataset of one split in the layout of Twitter-GMNER."""
    (folder / "xml").mkdir(parents=True, exist_ok=True)
    (folder / "images").mkdir(exist_ok=True)
    (folder / "test.txt").write_text(text, encoding="utf-8", newline="")
    for name, content in (xml or {}).items():
        (folder / "xml" / f"{name}.xml").write_text(content, encoding="utf-8")
    path = folder / "set.yaml"
    path.write_text(
        f"name: small\nformat: {kind}\ntext: {{test: test.txt}}\nimages: [images]\n"
        + ("" if kind == "twitter-mner" else "xml: xml\n")
        + extra
    )
    return open_dataset(str(path))


def kinds(dataset: Dataset) -> list[str]:
    return [defect.kind for row in dataset.rows() for defect in row.defects]


def test_a_tweet_is_joined_to_its_boxes_by_name(tmp_path: Path) -> None:
    text = "IMGID:17_1\nTom\tB-PER\nHanks\tI-PER\n&\tO\nRita\tB-PER\n\nIMGID:O_2\nhi\tO\n"
    boxes = voc(("Tom Hanks", (1, 2, 30, 40)), ("Tom Hanks", (0, 0, 100, 80)))
    dataset = gmner(tmp_path, text, {"17_1": boxes})
    first, second = dataset.samples()
    assert (first.id, first.text, first.offsets[1]) == ("17_1", "Tom Hanks & Rita", (4, 9))
    assert first.image is not None
    assert first.image.path == "17_1.jpg"
    assert (second.id, second.tokens, second.issues) == ("O_2", ("hi",), ())
    tom, rita = next(dataset.gold()).entities
    # Taken raw: VOC's edges are not moved by one.
    assert (tom.span, tom.boxes) == (Span(0, 2), (Box(1, 2, 30, 40), Box(0, 0, 100, 80)))
    assert rita.boxes == ()
    assert kinds(dataset) == []


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("IMGID:1\nNike\tO\nSNKRS\tI-ORG\n", "SNKRS", ["orphan-i"]),
        ("IMGID:1\nA\tB-PER\nB\tI-ORG\n", "A", ["orphan-i"]),
        ("IMGID:1\nTom\tB-PER\nHanks\tI-PER\n", "Tom Hank", ["name-without-entity"]),
        ("IMGID:1\nTom\tB-PER\n", "tom", ["name-without-entity"]),
        ("IMGID:1\nTom\tPER\nX\tB-PER\n", "X", ["bad-tag"]),
    ],
    ids=["after O", "after another type", "letter lost", "case", "no BIO"],
)
def test_quirks_of_version_one_are_defects_and_not_fatal(
    tmp_path: Path, text: str, name: str, expected: list[str]
) -> None:
    dataset = gmner(tmp_path, text, {"1": voc((name, (1, 1, 2, 2)))})
    assert kinds(dataset) == expected
    assert len(list(dataset.gold())) == 1


@pytest.mark.parametrize(
    ("tags", "expected", "note"),
    [
        ("B-PER I-PER O B-LOC", [], None),
        ("I-PER I-PER B-PER I-LOC", [], "IOB1"),
        ("B-PER E-PER S-PER S-LOC", [], "BIOES"),
        ("B-PER L-PER U-PER U-LOC", [], "BILOU"),
        ("B-PER E-PER B-PER I-LOC", ["open-entity", "orphan-i", "open-entity"], "BIOES"),
    ],
)
def test_gold_may_have_any_scheme(
    tmp_path: Path, tags: str, expected: list[str], note: str | None
) -> None:
    words = "Ann Lee Bob Oslo"
    rows = "".join(
        f"{word}\t{tag}\n" for word, tag in zip(words.split(), tags.split(), strict=True)
    )
    dataset = gmner(
        tmp_path, f"-DOCSTART-\tO\n\nIMGID:1\n{rows}", {"1": voc(("Ann Lee", (1, 1, 9, 9)))}
    )
    (gold,) = dataset.gold()
    first, *_, last = gold.entities
    assert (first.text, first.label, first.boxes) == ("Ann Lee", "PER", (Box(1, 1, 9, 9),))
    assert (last.text, last.label) == ("Oslo", "LOC")
    assert kinds(dataset) == expected
    report = check(dataset)
    assert report.splits["test"].samples == 1
    assert [*report.notes] == ([f"the tags of test.txt are read as {note}"] if note else [])


def test_a_scheme_is_named_in_the_yaml(tmp_path: Path) -> None:
    text = "IMGID:1\nAnn\tI-PER\nLee\tI-PER\n"
    assert kinds(gmner(tmp_path, text)) == ["orphan-i"]
    named = gmner(tmp_path, text, extra="scheme: IOB1\n")
    assert kinds(named) == []
    assert [entity.text for entity in next(named.gold()).entities] == ["Ann Lee"]
    with pytest.raises(UserError, match="no tag scheme 'bilo'; did you mean bilou"):
        gmner(tmp_path, text, extra="scheme: bilo\n")
    wrong = gmner(tmp_path, text, extra="scheme: bmes\n")
    assert len(list(wrong.samples())) == 1
    with pytest.raises(UserError, match=r"test\.txt:2: 'I-PER' is no tag of the named scheme bmes"):
        list(wrong.gold())


def test_gold_of_two_schemes_is_refused(tmp_path: Path) -> None:
    dataset = gmner(tmp_path, "IMGID:1\nAnn\tB-PER\nLee\tE-PER\n\nIMGID:2\nOslo\tU-LOC\n")
    with pytest.raises(UserError, match=r"test\.txt:6: 'U-LOC', and 'E-PER' of line 3"):
        list(dataset.gold())


@pytest.mark.parametrize(
    "name",
    ["Ann Lee", "Ann Lee ", "\n    Ann Lee\n  ", "Ann  Lee", "Ann\u00a0Lee", "Ann\u3000 Lee"],
)
def test_names_are_compared_with_blanks_folded(tmp_path: Path, name: str) -> None:
    text = "IMGID:1\nAnn\tB-PER\nLee\tI-PER\nAnn\u00a0Lee\tB-PER\n"
    dataset = gmner(tmp_path, text, {"1": voc((name, (1, 1, 9, 9)))})
    (gold,) = dataset.gold()
    assert [entity.boxes for entity in gold.entities] == [(Box(1, 1, 9, 9),)] * 2
    assert kinds(dataset) == []


def test_an_orphan_opens_an_entity_as_in_the_published_counts(tmp_path: Path) -> None:
    dataset = gmner(tmp_path, "IMGID:1\nNike\tB-ORG\nSNKRS\tI-OTHER\n")
    (gold,) = dataset.gold()
    assert [(entity.text, entity.label) for entity in gold.entities] == [
        ("Nike", "ORG"),
        ("SNKRS", "OTHER"),
    ]


def test_a_repeated_mention_counts_its_boxes_twice(tmp_path: Path) -> None:
    text = "IMGID:1\nTom\tB-PER\nand\tO\nTom\tB-PER\n"
    dataset = gmner(tmp_path, text, {"1": voc(("Tom", (1, 1, 9, 9)), ("Tom", (2, 2, 8, 8)))})
    counts = check(dataset).splits["test"]
    assert (counts.groundable, counts.boxes, counts.boxes_in_files) == (2, 4, 2)
    assert counts.boxes_per_mention == {2: 2}


@pytest.mark.parametrize(
    ("xml", "kind"),
    [
        ("<annotation><object>", "bad-xml"),
        ("", "bad-xml"),
        (voc(("", (1, 1, 2, 2))), "bad-xml"),
        (voc(("Tom", (9, 1, 2, 2))), "bad-box"),
        (voc(("Tom", ("a", 1, 2, 2))), "bad-box"),
        (voc(("Tom", ("nan", 1, 2, 2))), "bad-box"),
        ('<!DOCTYPE a [<!ENTITY x "y">]><annotation>&x;</annotation>', "bad-xml"),
        ('<?xml version="1.0" encoding="no-such"?><annotation/>', "bad-xml"),
    ],
    ids=["broken", "empty", "no name", "inverted", "letters", "nan", "entities", "encoding"],
)
def test_unreadable_boxes_spoil_gold_but_not_samples(tmp_path: Path, xml: str, kind: str) -> None:
    dataset = gmner(tmp_path, "IMGID:1\nTom\tB-PER\n", {"1": xml})
    assert [sample.issues for sample in dataset.samples()] == [()]
    assert kinds(dataset)[0] == kind
    with pytest.raises(UserError, match=r"1\.xml: .*riveg data check"):
        list(dataset.gold())


@pytest.mark.parametrize(
    "image_id", ["../secret", "/etc/passwd", "a/b", "nul\0", "x" * 5000, "..", "{{ 7*7 }}"]
)
def test_ids_are_never_paths(tmp_path: Path, image_id: str) -> None:
    extra = "suffixes: [.jpg, .png]\n"
    dataset = gmner(tmp_path / "data", f"IMGID:{image_id}\nTom\tB-PER\n", extra=extra)
    (tmp_path / "data" / "xml" / "a").mkdir()
    for place in ("secret", "xml/a/b"):
        (tmp_path / "data" / f"{place}.xml").write_text(voc(("Tom", (1, 1, 2, 2))))
    (sample,) = dataset.samples()
    (gold,) = dataset.gold()
    assert sample.id == image_id
    assert gold.entities[0].boxes == ()


def test_a_sample_without_text_or_id_is_a_sample_all_the_same(tmp_path: Path) -> None:
    dataset = gmner(tmp_path, "IMGID:1\n\nfree\tO\n\nIMGID:\nalso\tO\n")
    samples = list(dataset.samples())
    assert [sample.id for sample in samples] == ["1", "line-3", "line-5"]
    assert [issue.kind for issue in samples[0].issues] == ["empty-text"]
    assert [sample.image is None for sample in samples] == [False, True, True]
    assert [gold.entities for gold in dataset.gold()] == [(), (), ()]


def test_the_first_suffix_that_exists_is_taken(tmp_path: Path) -> None:
    dataset = gmner(tmp_path, "IMGID:1\na\tO\n\nIMGID:2\nb\tO\n", extra="suffixes: [.jpg, .png]\n")
    (tmp_path / "images" / "2.png").write_bytes(b"never opened")
    assert [s.image.path for s in dataset.samples() if s.image] == ["1.jpg", "2.png"]


def test_captions_of_both_forms(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("1.jpg :a cat : two\nb.c.PNG :dog\n1.jpg :later\n")
    (tmp_path / "long.txt").write_text("imgid:1###no\nimgid:O_2###first line.\n\nthird line.\n")
    dataset = gmner(
        tmp_path,
        "IMGID:1\na\tO\n\nIMGID:O_2\nb\tO\n\nIMGID:b.c\nc\tO\n\nIMGID:4\nd\tO\n",
        extra="captions: [short.txt, long.txt, gone.txt]\n",
    )
    found = [sample.caption for sample in dataset.samples()]
    assert found == ["a cat : two", "first line.\n\nthird line.", "dog", None]
    assert any("gone.txt" in note for note in dataset.notes)
    (tmp_path / "short.txt").write_text("nonsense\n")
    with pytest.raises(UserError, match=r"short\.txt:1: expected"):
        list(dataset.samples())


def test_fine_types_are_kept_beside_the_mapped_type(tmp_path: Path) -> None:
    text = "IMGID:1\nPak\tB-building\tB-cultural_place\nis\tO\tO\n"
    extra = "label_map: {building: LOC}\n"
    dataset = gmner(tmp_path, text, extra=extra, kind="twitter-fmnerg")
    (entity,) = next(dataset.gold()).entities
    assert (entity.label, entity.fine_label) == ("LOC", "cultural_place")
    dataset = gmner(tmp_path, text.replace("is\tO\tO", "is\tO\tB-city"), kind="twitter-fmnerg")
    assert kinds(dataset) == ["fine-tag-mismatch"]


def test_sets_without_boxes_say_none_and_keep_their_labels(tmp_path: Path) -> None:
    dataset = gmner(tmp_path, "IMGID:1\nX\tB-MISC\n", kind="twitter-mner")
    (entity,) = next(dataset.gold()).entities
    assert (entity.label, entity.boxes, dataset.has_boxes) == ("MISC", None, False)
    extra = "label_map: {MISC: OTHER}\n"
    mapped = gmner(tmp_path, "IMGID:1\nX\tB-MISC\n", extra=extra, kind="twitter-mner")
    assert next(mapped.gold()).entities[0].label == "OTHER"


def test_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    dataset = gmner(tmp_path, "IMGID:1\r\nX\tB-PER\r\n\r\n", kind="twitter-mner")
    assert [(sample.id, sample.tokens) for sample in dataset.samples()] == [("1", ("X",))]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"IMGID:1\nX\tB-PER\tB-actor\n", "test.txt:1: expected 2 columns"),
        (b"IMGID:1\nX\tO\nY\n", "test.txt:3: expected 2"),
        (b"IMGID:1\n\xff\xfe\tO\n", "is not UTF-8"),
    ],
)
def test_files_of_another_format_are_refused_with_their_place(
    tmp_path: Path, content: bytes, message: str
) -> None:
    dataset = gmner(tmp_path, "")
    (tmp_path / "test.txt").write_bytes(content)
    with pytest.raises(UserError, match=message):
        list(dataset.samples())


def test_a_missing_folder_of_boxes_is_one_line_and_only_for_gold(tmp_path: Path) -> None:
    dataset = gmner(tmp_path, "IMGID:1\nX\tO\n")
    (tmp_path / "xml").rmdir()
    assert len(list(dataset.samples())) == 1
    with pytest.raises(UserError, match=r"no such folder; it should hold one <id>\.xml"):
        list(dataset.gold())


def test_the_same_id_twice_names_both_lines(tmp_path: Path) -> None:
    dataset = gmner(tmp_path, "IMGID:1\nX\tO\n\nIMGID:1\nY\tO\n")
    with pytest.raises(UserError, match=r"'1' stands in test\.txt:1 and again in test\.txt:4"):
        list(dataset.samples())


def published(tmp_path: Path, kind: str, folder: str, extra: str = "") -> Dataset:
    data = os.environ.get("RIVEG_TEST_DATA")
    if not data:
        pytest.skip("RIVEG_TEST_DATA does not name the folder with Twitter-GMNER")
    path = tmp_path / "set.yaml"
    path.write_text(
        f"name: published\nformat: {kind}\nroot: ${{RIVEG_TEST_DATA}}/twitter-gmner-v2\n"
        f"text: {{train: {folder}/train.txt, dev: {folder}/dev.txt}}\nxml: xml\n"
        f"labels: [PER, LOC, ORG, OTHER]\n{extra}"
    )
    return open_dataset(str(path))


COUNTS = {
    "train": (7000, 11779, 4733, 5723, 5652, 3925, 358),
    "dev": (1500, 2450, 991, 1171, 1164, 832, 87),
}
BY_TYPE = {
    "train": {"PER": (5019, 3266), "ORG": (3035, 834), "LOC": (1918, 168), "OTHER": (1807, 465)},
    "dev": {"PER": (1072, 698), "ORG": (595, 139), "LOC": (407, 42), "OTHER": (376, 112)},
}


@pytest.mark.parametrize(
    ("kind", "folder", "extra"),
    [
        ("twitter-gmner", "txt", ""),
        (
            "twitter-fmnerg",
            "txt_fine",
            "label_map: {person: PER, location: LOC, building: LOC, organization: ORG, art: OTHER,"
            " event: OTHER, product: OTHER, other: OTHER}\n",
        ),
    ],
)
def test_the_published_counts(tmp_path: Path, kind: str, folder: str, extra: str) -> None:
    report = check(published(tmp_path, kind, folder, extra))
    for split, expected in COUNTS.items():
        found = report.splits[split]
        assert (
            found.samples,
            found.entities,
            found.groundable,
            found.boxes,
            found.boxes_in_files,
            found.with_file,
            found.without_entity,
        ) == expected
        assert found.by_type == {
            label: TypeCounts(*numbers) for label, numbers in BY_TYPE[split].items()
        }
    assert max(report.splits["train"].boxes_per_mention) == 22
    # No orphan tags, no names without entity, no box outside; two tweets of dev are in train.
    assert [defect.kind for defect in report.defects] == ["leaked-text"] * 2


COARSE = {
    "location": (1553, 345),
    "building": (365, 62),
    "organization": (3035, 595),
    "person": (5019, 1072),
    "other": (343, 65),
    "art": (495, 103),
    "event": (614, 126),
    "product": (355, 82),
}

# fine type, mentions and groundable mentions in train, the same in dev
FINE = """
city 613 7 132 2
country 353 22 79 5
state 139 4 27 1
continent 22 1 6 1
location_other 218 34 54 11
park 157 18 39 7
road 51 6 8 2
building_other 88 20 13 6
cultural_place 54 13 11 2
entertainment_place 166 24 26 1
sports_facility 57 19 12 4
company 479 113 82 21
educational_institution 167 27 30 2
band 198 104 35 16
government_agency 113 12 26 3
news_agency 187 43 39 5
organization_other 45 4 11 1
political_party 62 9 12 0
social_organization 135 24 31 3
sports_league 498 71 103 10
sports_team 1151 427 226 78
politician 843 494 204 128
musician 912 643 193 138
actor 653 530 141 105
artist 419 144 76 22
athlete 1228 913 272 195
author 143 47 42 14
businessman 170 105 37 26
character 186 117 29 17
coach 81 55 17 15
director 53 31 5 4
intellectual 73 44 21 11
journalist 85 46 10 7
person_other 173 97 25 16
animal 77 65 20 19
award 98 16 18 3
medical_thing 25 2 5 0
website 118 18 14 1
ordinance 25 2 8 2
art_other 27 18 3 3
film_and_television_works 308 35 70 11
magazine 38 16 7 4
music 81 16 16 3
written_work 41 20 7 2
event_other 49 2 9 3
festival 425 86 90 23
sports_event 140 22 27 7
brand_name_products 110 55 15 7
game 37 13 11 1
product_other 125 61 36 17
software 83 18 20 6
"""


def test_the_published_fine_types(tmp_path: Path) -> None:
    dataset = published(tmp_path, "twitter-fmnerg", "txt_fine")
    expected = {
        name: tuple(map(int, counts)) for name, *counts in map(str.split, FINE.split("\n")[1:-1])
    }
    assert len(expected) == 51
    for place, part in enumerate(dataset.by_split()):
        entities = [entity for gold in part.gold() for entity in gold.entities]
        assert Counter(entity.label for entity in entities) == {
            name: counts[place] for name, counts in COARSE.items()
        }
        assert Counter(entity.fine_label for entity in entities) == {
            name: counts[2 * place] for name, counts in expected.items()
        }
        grounded = Counter(entity.fine_label for entity in entities if entity.boxes)
        assert grounded == Counter(
            {name: counts[2 * place + 1] for name, counts in expected.items()}
        )


def test_the_published_quirks(tmp_path: Path) -> None:
    dataset = published(tmp_path, "twitter-gmner", "txt")
    families, repeated, grounded = [], [], []
    for part in dataset.by_split():
        families.append(Counter("digits" if s.id.isdigit() else s.id[:2] for s in part.samples()))
        extra = grounded_extra = 0
        for gold in part.gold():
            texts = [entity.text for entity in gold.entities]
            boxed = [entity.text for entity in gold.entities if entity.boxes]
            extra += len(texts) - len(set(texts))
            grounded_extra += len(boxed) - len(set(boxed))
        repeated.append(extra)
        grounded.append(grounded_extra)
    assert families == [
        {"digits": 4012, "16": 1168, "17": 757, "O_": 1063},
        {"digits": 877, "16": 251, "17": 149, "O_": 223},
    ]
    assert (repeated, grounded) == ([75, 12], [37, 5])


def test_published_captions_cover_nearly_all_tweets(tmp_path: Path) -> None:
    extra = "captions: [captions/BLIP2_15.txt, captions/BLIP2_17.txt]\n"
    samples = published(tmp_path, "twitter-gmner", "txt", extra).samples()
    # One line of the 13 107 has no text behind the colon.
    assert {sample.id for sample in samples if not sample.caption} == {"770560"}
    extra = "captions: [captions/owltraincaption_1.txt, captions/owldevcaption_1.txt]\n"
    samples = published(tmp_path, "twitter-gmner", "txt", extra).samples()
    # Three tweets of the ten thousand have no long caption; two of them are in these splits.
    assert {sample.id for sample in samples if not sample.caption} == {"8778", "555663"}
