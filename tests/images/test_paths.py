"""Ways to write the path of an image, and which file each means."""

from __future__ import annotations

import string
import unicodedata
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.errors import ImageFault
from riveg.images.loader import ImageLoader
from riveg.images.paths import leads_out, spelling_on_disk
from riveg.types import ImageRef


def located(root: Path, name: str) -> str:
    return str(ImageLoader([root]).locate(name).relative_to(root.resolve()))


def refusal(root: Path, name: str) -> ImageFault:
    with pytest.raises(ImageFault) as caught:
        ImageLoader([root]).locate(name)
    return caught.value


def fill(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    return root


COMPOSED, DECOMPOSED = "Zo\u00eb", "Zoe\u0308"


@pytest.mark.parametrize(
    ("on_disk", "name"),
    [
        ("pics/a.jpg", "pics\\a.jpg"),
        ("pics/a.jpg", ".\\pics\\a.jpg"),
        ("pics/a.jpg", "pics/a.jpg "),
        ("pics/a.jpg", "./pics//a.jpg"),
        (f"pics/{DECOMPOSED}.jpg", f"pics/{COMPOSED}.jpg"),
        (f"pics/{COMPOSED}.jpg", f"pics/{DECOMPOSED}.jpg"),
        (f"{DECOMPOSED}/{COMPOSED}.jpg", f"{COMPOSED}\\{DECOMPOSED}.jpg"),
        (f"{COMPOSED}-{DECOMPOSED}.jpg", f"{DECOMPOSED}-{COMPOSED}.jpg"),
        ("a\\b.jpg", "a\\b.jpg"),
        ("sp ace#1+2%41.jpg", "sp ace#1+2%41.jpg"),
    ],
)
def test_the_file_that_is_meant_is_found(tmp_path: Path, on_disk: str, name: str) -> None:
    root = fill(tmp_path, on_disk)
    assert located(root, name) == on_disk


def test_the_path_as_it_is_written_wins(tmp_path: Path) -> None:
    both = fill(tmp_path, "a\\b.jpg", "a/b.jpg", f"{COMPOSED}.jpg", f"{DECOMPOSED}.jpg")
    for name in ("a\\b.jpg", "a/b.jpg", f"{COMPOSED}.jpg", f"{DECOMPOSED}.jpg"):
        assert located(both, name) == name
        assert spelling_on_disk([both], name) == name


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("pics/b.jpg", "; there is 'pics/B.JPG'"),
        ("pics\\b.jpg", "; there is 'pics/B.JPG'"),
        ("pics/a", "; there is 'pics/a.jpg'"),
        ("pics/a.png", "; there is 'pics/a.jpg'"),
        ("https://example.org/a.jpg", "; it is an address: download the picture"),
        ("C:\\pics\\a.jpg", "; expected a path below the picture folder"),
        ("pics/other.jpg", ")"),
    ],
)
def test_what_may_be_meant_is_only_mentioned(tmp_path: Path, name: str, says: str) -> None:
    found = refusal(fill(tmp_path, "pics/a.jpg", "pics/B.JPG"), name)
    assert found.kind == "missing-image"
    assert (
        str(found)
        .partition("looked in: ")[2]
        .removeprefix(str(tmp_path))
        .strip(")")
        .startswith(says.strip(")"))
    )


@pytest.mark.parametrize(
    "name",
    ["..\\outside.jpg", "in\\..\\..\\outside.jpg", " ../outside.jpg", f"link\\{COMPOSED}.jpg"],
)
def test_no_way_to_write_a_path_leads_out(tmp_path: Path, name: str) -> None:
    root = fill(tmp_path / "root", "in/a.jpg")
    fill(tmp_path, "outside.jpg", f"{DECOMPOSED}.jpg")
    (root / "link").symlink_to(tmp_path)
    assert refusal(root, name).kind in {"missing-image", "outside-root"}


def test_a_file_that_is_added_later_is_found(tmp_path: Path) -> None:
    fill(tmp_path, "pics/a.jpg")
    assert refusal(tmp_path, f"pics/{COMPOSED}.jpg").kind == "missing-image"
    fill(tmp_path, f"pics/{DECOMPOSED}.jpg")
    assert located(tmp_path, f"pics/{COMPOSED}.jpg") == f"pics/{DECOMPOSED}.jpg"
    assert ImageLoader([tmp_path]).stamp(ImageRef(f"pics/{COMPOSED}.jpg"))


PARTS = st.text(
    st.sampled_from([*string.ascii_letters[:4], "\u00eb", "\u00e5", "\uac00", "#", "+"]),
    min_size=1,
    max_size=4,
)


@given(
    parts=st.lists(PARTS, min_size=1, max_size=3),
    on_disk=st.sampled_from(["NFC", "NFD"]),
    in_data=st.sampled_from(["NFC", "NFD"]),
    separator=st.sampled_from(["/", "\\"]),
)
def test_any_form_and_separator_finds_the_file(
    parts: list[str], on_disk: str, in_data: str, separator: str
) -> None:
    with TemporaryDirectory() as folder:
        path = unicodedata.normalize(on_disk, "/".join(parts))  # type: ignore[arg-type]
        root = fill(Path(folder), path)
        name = unicodedata.normalize(in_data, separator.join(parts))  # type: ignore[arg-type]
        assert located(root, name) == path


@given(st.text(st.sampled_from(["a", "/", "\\", ".", " ", "C", ":", "\u00eb"]), max_size=12))
def test_what_is_found_lies_in_the_folder(name: str) -> None:
    with TemporaryDirectory() as folder:
        root = fill(Path(folder) / "root", "a/a.a", "C/\u00eb")
        fill(Path(folder), "a", "C:")
        found = spelling_on_disk([root], name)
        if found is not None:
            assert not leads_out(found)
            assert (root / found).resolve().is_relative_to(root.resolve())
