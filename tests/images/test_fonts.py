"""Which font draws what, and what is drawn where no font has the letters."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont, features

from riveg.errors import UserError
from riveg.images import font_files
from riveg.images.font_files import FontFile, machine_fonts, open_font
from riveg.images.fonts import Fonts, clusters, font
from riveg.images.lettering import Lettering

ALONE = Fonts(others=())
"""As on a machine without fonts."""


def needing(letters: str) -> FontFile:
    """A font of this machine that has the letters."""
    found = [one for one in machine_fonts() if all(map(one.has, letters))]
    if not found:
        pytest.skip(f"no font here has {letters}")
    if any(letter > "\u0590" for letter in letters) and not features.check("raqm"):
        pytest.skip("Pillow has no raqm here")
    return found[0]


@pytest.mark.parametrize(
    ("text", "expected", "reason"),
    [
        ("plain text, 100 %!", "plain text, 100 %!", "ASCII stays"),
        ("a\tb\n\0c", "a b c", "one line, no controls"),
        ("  ", "", "blanks only"),
        ("Beyoncé São Łódź", "Beyonce Sao Lodz", "accents that the font lacks"),
        ("„so“ – ½ Straße", '"so“ - 1/2 Strasse', "signs that the font lacks"),
        ("☕️ hot 👩‍👩‍👧 🇩🇪", "hot", "pictograms"),
        ("東京", None, "letters that no font has"),
        ("Ann 東", None, "a part that no font has"),
        ("Ann！", "Ann!", "a sign of full width"),
        ("Ann \u2e28", "Ann", "a sign that no font has"),
        ("Ａnn ２", "Ann 2", "letters of full width"),
        ("محمد", None, "no empty boxes"),
        ("a\ud800b", "ab", "lone surrogate"),
        ("e\u0301", "e", "combining mark"),
        ("a\u200db\u00ad", "ab", "what is not seen"),
    ],
)
def test_without_fonts_letters_are_those_of_english(
    text: str, expected: str | None, reason: str
) -> None:
    fonts = Fonts(others=())
    assert fonts.showable(text) == expected
    assert fonts.missing == ([text] if expected is None else [])


def test_one_note_names_what_could_not_be_shown() -> None:
    fonts = Fonts(others=())
    assert fonts.note() is None
    for text in ("東京", "東京", "محمد", "Ann", "京都", "大阪" * 20):
        fonts.showable(text)
    note = fonts.note()
    assert note is not None
    assert "東京, محمد, 京都, ...: " in note
    assert "--font" in note


@given(st.text())
def test_what_is_shown_needs_no_font_that_is_not_there(text: str) -> None:
    shown = ALONE.showable(text)
    if shown is not None:
        assert [face for face, _ in ALONE.runs(shown, 20)] == [font(20)]
        assert ALONE.showable(shown) == shown


@given(st.text(max_size=20))
def test_runs_are_the_whole_text_with_any_fonts(text: str) -> None:
    fonts = Fonts()
    shown = fonts.showable(text)
    if shown is not None:
        assert "".join(run for _, run in fonts.runs(shown, 20)) == shown


@pytest.mark.parametrize("text", ["Юрий Гагарин", "محمد صلاح", "Ελλάδα", "Łódź", "שלום"])
def test_a_font_of_this_machine_draws_what_the_built_in_one_lacks(text: str) -> None:
    needing(text.replace(" ", ""))
    fonts = Fonts()
    assert fonts.showable(text) == text
    ((face, run),) = fonts.runs(text, 24)
    assert run == text
    assert face is not font(24)
    assert ink(fonts, text) > 30


def ink(fonts: Fonts, text: str) -> int:
    image = Image.new("L", (400, 60))
    Lettering(fonts, 24).draw(ImageDraw.Draw(image), (10, 30), text, "white")
    box = image.getbbox()
    assert box is not None
    assert box[1] > 5
    assert box[3] < 55, "on the line"
    return sum(image.histogram()[128:])


def test_arabic_letters_are_joined_and_run_from_right_to_left() -> None:
    needing("\u0628")
    word = "\u0628" * 4
    apart = "\u200c".join(word)
    fonts = Fonts()
    assert fonts.showable(apart) == apart, "joiners shape the letters"
    whole, cut = (Lettering(fonts, 40).length(text) for text in (word, apart))
    assert cut > 1.1 * whole


@pytest.mark.parametrize("word", ["محمد", "שלום", "हिन्दी", "မြန်မာ", "Ann محمد"])
def test_scripts_that_cannot_be_put_into_shape_are_not_drawn(word: str) -> None:
    every = FontFile(Path(str(font(20))), (0,), (0x10FFFF,))
    assert Fonts((every,), (), shaping=False).showable(word) is None


def test_a_named_font_goes_first() -> None:
    file = needing("Ю")
    fonts = Fonts.named(file.path)
    ((face, _),) = fonts.runs("Юрий", 20)
    assert isinstance(face, ImageFont.FreeTypeFont)
    assert Path(str(face.path)) == file.path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such font file"),
        (b"", "is no TrueType or OpenType font"),
        (b"no font at all", "is no TrueType or OpenType font"),
        (b"\x00\x01\x00\x00\x00\x09" + b"\0" * 6, "is no TrueType or OpenType font"),
        (b"OTTO\xff\xff" + b"\0" * 200, "is no TrueType or OpenType font"),
        (b"ttcf\0\1\0\0\0\0\0\1\xff\xff\xff\xff", "is no TrueType or OpenType font"),
    ],
)
def test_what_is_no_font_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "some.ttf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        open_font(path)


@pytest.mark.parametrize("form", [4, 12])
def test_the_map_of_a_font_tells_its_letters(tmp_path: Path, form: int) -> None:
    path = tmp_path / "made.otf"
    path.write_bytes(made_font(form, [(0x41, 0x5A), (0x4E00, 0x4E10)]))
    found = open_font(path)
    assert all(map(found.has, "AMZ\u4e00\u4e10"))
    assert not any(map(found.has, "@[\u4dff\u4e11\uffff\0"))


def made_font(form: int, ranges: list[tuple[int, int]]) -> bytes:
    """A font with nothing but a map of its letters, of the format asked for."""
    if form == 12:
        groups = b"".join(struct.pack(">III", first, last, 1) for first, last in ranges)
        table = struct.pack(">HHIII", 12, 0, 16 + len(groups), 0, len(ranges)) + groups
    else:
        ends = [*(last for _, last in ranges), 0xFFFF]
        starts = [*(first for first, _ in ranges), 0xFFFF]
        count = len(ends)
        lists = struct.pack(f">{count}HH{count}H{2 * count}H", *ends, 0, *starts, *[0] * 2 * count)
        table = struct.pack(">HHHHHHH", 4, 14 + len(lists), 0, 2 * count, 0, 0, 0) + lists
    table = struct.pack(">HHHHI", 0, 1, 3, 1 if form == 4 else 10, 12) + table
    head = struct.pack(">4sHHHH", b"OTTO", 2, 0, 0, 0)
    records = struct.pack(">4sIII4sIII", b"CFF ", 0, 0, 0, b"cmap", 0, len(head) + 32, len(table))
    return head + records + table


@given(st.binary(max_size=200))
def test_a_broken_map_is_no_crash(content: bytes) -> None:
    try:
        list(font_files._ranges(content))
    except (ValueError, struct.error):
        return


def test_plain_fonts_go_before_bold_ones() -> None:
    names = ["B-BoldItalic.ttf", "B-Bold.ttf", "DejaVuSerif.ttf", "Z.ttf", "DejaVuSans.ttf"]
    paths = sorted((Path(name) for name in names), key=font_files._preference)
    assert [path.name for path in paths[:2]] == ["DejaVuSans.ttf", "Z.ttf"]
    assert paths[-1].name == "B-BoldItalic.ttf"


@given(st.text(min_size=1, max_size=80), st.integers(1, 300))
def test_shortened_text_fits(text: str, width: int) -> None:
    lettering = Lettering(ALONE, 14)
    shown = ALONE.showable(text) or "Ann"
    short = lettering.shorten(shown, width)
    assert short == shown or short == "…" or lettering.length(short) <= width
    if lettering.length(shown) <= width:
        assert short == shown


@given(st.text("abc WMil.", min_size=1, max_size=80), st.integers(1, 200), st.integers(0, 200))
def test_broken_word_is_whole_and_fits(word: str, width: int, room: int) -> None:
    lettering = Lettering(ALONE, 14)
    pieces = list(lettering.break_word(word, width, min(room, width)))
    assert "".join(pieces) == word
    assert all(len(piece) == 1 or lettering.length(piece) <= width for piece in pieces)


def test_marks_are_not_taken_from_their_letter() -> None:
    word = "สมชายไปเชียงใหม่กับแม่"
    assert "".join(clusters(word)) == word
    needing(word)
    pieces = list(Lettering(Fonts(), 20).break_word(word, 30))
    whole = set(clusters(word))
    assert all(next(clusters(piece)) in whole for piece in pieces)


def test_font_is_the_scalable_one() -> None:
    assert isinstance(font(20), ImageFont.FreeTypeFont)
