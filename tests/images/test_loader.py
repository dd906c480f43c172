"""The image loader: every kind of image it must read rightly, and every one it must refuse."""

from __future__ import annotations

import io
import os
import struct
import threading
import time
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from riveg.errors import ImageFault
from riveg.geometry.arrays import Pixels
from riveg.images.headers import ImageLimits
from riveg.images.loader import ImageLoader
from riveg.types import ImageRef

EXIF_ORIENTATION = 0x0112


def scene(width: int = 48, height: int = 32) -> Image.Image:
    """Four quarters of four colours: every turn and flip of it looks different."""
    image = Image.new("RGB", (width, height), (200, 30, 30))
    image.paste((30, 160, 60), (width // 2, 0, width, height // 2))
    image.paste((30, 60, 200), (0, height // 2, width // 2, height))
    image.paste((240, 230, 90), (width // 2, height // 2, width, height))
    return image


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims to be of that size and has hardly any pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 64)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def gif_with_frame(width: int, height: int, *, frame: tuple[int, int]) -> bytes:
    """A GIF of a small screen whose one frame is said to be of another size."""
    comment = b"!\xfe\x05hello\0"
    descriptor = b"," + struct.pack("<HHHH", 0, 0, *frame) + b"\0"
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0" * 3 + b"\xff" * 3
    return b"GIF89a" + screen + comment + descriptor + b"\x02\x02\x44\x01\0;"


def loader(root: Path, **limits: int) -> ImageLoader:
    return ImageLoader([root], limits=ImageLimits(**limits))


def load(root: Path, name: str, **limits: int) -> Pixels:
    return loader(root, **limits).load(ImageRef(name))


def fault(root: Path, name: str, **limits: int) -> ImageFault:
    with pytest.raises(ImageFault) as caught:
        load(root, name, **limits)
    with pytest.raises(ImageFault) as probed:
        loader(root, **limits).probe(ImageRef(name))
    assert probed.value.kind == caught.value.kind
    return caught.value


def differs(one: Pixels, other: Pixels) -> float:
    """Mean absolute difference in grey levels."""
    assert one.shape == other.shape
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "gif", "bmp", "tiff"])
def test_reads_every_allowed_format(tmp_path: Path, extension: str) -> None:
    scene().save(tmp_path / f"a.{extension}")
    pixels = load(tmp_path, f"a.{extension}")
    assert pixels.dtype == np.uint8
    assert pixels.shape == (32, 48, 3)
    assert pixels.flags.c_contiguous
    assert differs(pixels, np.asarray(scene())) < 8


def test_the_file_suffix_does_not_matter(tmp_path: Path) -> None:
    scene().save(tmp_path / "really.png")
    (tmp_path / "really.png").rename(tmp_path / "called.jpg")
    assert np.array_equal(load(tmp_path, "called.jpg"), np.asarray(scene()))


def turned(orientation: int) -> Image.Image:
    """The scene as a camera stores it under that orientation (the EXIF standard's table)."""
    upright = np.asarray(scene())
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    return Image.fromarray(np.ascontiguousarray(stored))


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_undone(tmp_path: Path, orientation: int, extension: str) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    name = f"a.{extension}"
    options: dict[str, Any] = {"jpg": {"quality": 95, "subsampling": 0}, "webp": {"lossless": True}}
    turned(orientation).save(tmp_path / name, exif=exif, **options.get(extension, {}))
    assert differs(load(tmp_path, name), np.asarray(scene())) < 3
    probed = loader(tmp_path).probe(ImageRef(name))
    assert probed == ImageRef(name, width=48, height=32)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_orientation_out_of_range_is_ignored(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    scene().save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(load(tmp_path, "a.png"), np.asarray(scene()))


def test_cmyk(tmp_path: Path) -> None:
    scene().convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    scene().convert("CMYK").save(tmp_path / "a.tiff")
    for name in ("a.jpg", "a.tiff"):
        assert differs(load(tmp_path, name), np.asarray(scene())) < 4


@pytest.mark.parametrize("extension", ["png", "tiff"])
def test_sixteen_bit_grey_is_scaled(tmp_path: Path, extension: str) -> None:
    deep = np.array([[0, 257, 32896], [65535, 40000, 12345]], dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / f"a.{extension}")
    pixels = load(tmp_path, f"a.{extension}")
    assert pixels[..., 0].tolist() == [[0, 1, 128], [255, 156, 48]]
    assert (pixels[..., 0] == pixels[..., 2]).all()


def test_sixteen_bit_big_endian_tiff(tmp_path: Path) -> None:
    deep = np.array([[0, 32896], [65535, 514]], dtype=">u2")
    Image.frombytes("I;16B", (2, 2), deep.tobytes()).save(tmp_path / "a.tiff")
    assert load(tmp_path, "a.tiff")[..., 1].tolist() == [[0, 128], [255, 2]]


def test_sixteen_bit_grey_with_a_clear_level(tmp_path: Path) -> None:
    deep = np.array([[0, 300], [300, 65535]], dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "a.png", transparency=300)
    assert load(tmp_path, "a.png")[..., 0].tolist() == [[0, 255], [255, 255]]


def test_sixteen_bit_colour_with_a_clear_colour(tmp_path: Path) -> None:
    row = np.array([0, *(40000, 20000, 1000), *(65535, 0, 32896)], dtype=">u2").tobytes()[1:]
    data = b"\x89PNG\r\n\x1a\n"
    for kind, body in (
        (b"IHDR", struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)),
        (b"tRNS", struct.pack(">HHH", 40000, 20000, 1000)),
        (b"IDAT", zlib.compress(row * 2)),
        (b"IEND", b""),
    ):
        data += (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )
    (tmp_path / "a.png").write_bytes(data)
    assert load(tmp_path, "a.png")[0].tolist() == [[255, 255, 255], [255, 0, 128]]


def test_alpha_lies_on_white(tmp_path: Path) -> None:
    layer = Image.new("RGBA", (4, 2), (0, 0, 0, 0))
    layer.putpixel((1, 0), (255, 0, 0, 255))
    layer.putpixel((2, 0), (0, 0, 255, 51))
    for name in ("a.png", "a.tiff"):
        layer.save(tmp_path / name)
        assert load(tmp_path, name)[0].tolist() == [
            [255, 255, 255],
            [255, 0, 0],
            [204, 204, 255],
            [255, 255, 255],
        ]


@pytest.mark.parametrize("mode", ["LA", "1", "L", "P", "PA"])
def test_other_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    name = "a.tiff" if mode == "PA" else "a.png"
    scene().convert("P" if mode == "PA" else mode).save(tmp_path / name)
    assert load(tmp_path, name).shape == (32, 48, 3)


@pytest.mark.parametrize(
    ("transparency", "expected"),
    [
        (0, [[255, 255, 255], [0, 200, 0]]),
        (bytes([255, 0]), [[250, 0, 0], [255, 255, 255]]),
        (bytes([0, 51]), [[255, 255, 255], [204, 244, 204]]),
    ],
    ids=["one index", "a byte an index", "half clear"],
)
def test_palette_with_transparency(
    tmp_path: Path, transparency: int | bytes, expected: list[list[int]]
) -> None:
    image = Image.new("P", (2, 2))
    image.putpalette([250, 0, 0, 0, 200, 0])
    image.putdata([0, 1, 0, 1])
    image.save(tmp_path / "a.png", transparency=transparency)
    assert load(tmp_path, "a.png")[0].tolist() == expected


@pytest.mark.parametrize("extension", ["gif", "webp", "png", "tiff"])
def test_animation_gives_its_first_frame(tmp_path: Path, extension: str) -> None:
    options: dict[str, Any] = {"lossless": True} if extension == "webp" else {}
    scene().save(
        tmp_path / f"a.{extension}",
        save_all=True,
        append_images=[Image.new("RGB", (48, 32), "black")] * 2,
        **options,
    )
    assert differs(load(tmp_path, f"a.{extension}"), np.asarray(scene())) < 3


@pytest.mark.parametrize(
    "name",
    [
        "a b.png",
        "Zürich 😀.png",
        "שלום.png",
        "{{ 7*7 }}.png",
        "<script>.png",
        "=cmd().png",
        "-rf.png",
    ],
)
def test_unusual_names(tmp_path: Path, name: str) -> None:
    scene().save(tmp_path / name, "PNG")
    assert load(tmp_path, name).shape == (32, 48, 3)


def test_name_below_a_folder(tmp_path: Path) -> None:
    (tmp_path / "one" / "two").mkdir(parents=True)
    scene().save(tmp_path / "one" / "two" / "a.png")
    assert load(tmp_path, "one/two/a.png").shape == (32, 48, 3)


# --- damage -------------------------------------------------------------------------------------


def noisy(width: int = 64, height: int = 48) -> Image.Image:
    """An image that does not compress to nothing, so that a cut hits its pixels."""
    generator = np.random.default_rng(0)
    return Image.fromarray(generator.integers(0, 255, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("extension", ["jpg", "png", "gif", "bmp", "tiff", "webp"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_truncated(tmp_path: Path, extension: str, kept: float) -> None:
    whole = io.BytesIO()
    noisy().save(whole, {"jpg": "jpeg"}.get(extension, extension))
    data = whole.getvalue()
    (tmp_path / "a.jpg").write_bytes(data[: int(len(data) * kept)])
    found = fault(tmp_path, "a.jpg")
    assert found.kind == "truncated-image"
    assert "a.jpg" in str(found)


@pytest.mark.parametrize(
    ("content", "kind", "says"),
    [
        (b"", "not-an-image", "empty"),
        (b"<html>404 Not Found</html>", "not-an-image", "no picture"),
        (b"BMW is a maker of cars, and this is a text", "not-an-image", "no picture"),
        (b"just some words\n" * 50, "not-an-image", "no picture"),
        (b"\0" * 4096, "not-an-image", "no picture"),
        (
            b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
            "unsupported-format",
            "SVG",
        ),
        (b"%PDF-1.7 ...", "unsupported-format", "PDF"),
        (b"\0\0\0\x20ftypheic", "unsupported-format", "HEIC"),
        (b"\0\0\0\x20ftypavif", "unsupported-format", "AVIF"),
        (b"P6 2 2 255 ............", "unsupported-format", "PPM"),
        (b"\xff\xd8\xff", "truncated-image", "truncated"),
        (b"\x89PNG\r\n\x1a\n", "truncated-image", "truncated"),
        (b"GIF89a\1", "truncated-image", "truncated"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "truncated-image", "truncated"),
        (b"II*\0\xff\xff\xff\x7f", "truncated-image", "truncated"),
    ],
)
def test_what_is_no_image(tmp_path: Path, content: bytes, kind: str, says: str) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    found = fault(tmp_path, "a.jpg")
    assert found.kind == kind
    assert says in str(found)


def test_thirty_two_bit_samples_are_refused(tmp_path: Path) -> None:
    Image.new("F", (4, 4)).save(tmp_path / "a.tiff")
    assert fault(tmp_path, "a.tiff").kind == "unsupported-format"


@pytest.mark.parametrize(
    ("width", "height", "kind"),
    [
        (50_000, 50_000, "too-large"),
        (20_001, 10, "too-large"),
        (10, 20_001, "too-large"),
        (10_000, 5_001, "too-large"),
        (640, 1, "too-small"),
        (1, 640, "too-small"),
        (1, 1, "too-small"),
        (2_000_000_000, 1, "too-large"),
    ],
)
def test_sides_are_refused_by_the_header(
    tmp_path: Path, width: int, height: int, kind: str
) -> None:
    (tmp_path / "a.png").write_bytes(png_header(width, height))
    started = time.monotonic()
    with warnings.catch_warnings(record=True) as leaked:
        warnings.simplefilter("always")
        found = fault(tmp_path, "a.png")
    assert found.kind == kind
    assert f"{width} x {height}" in str(found)
    assert not leaked
    assert time.monotonic() - started < 1.0


def test_one_pixel_high_image(tmp_path: Path) -> None:
    scene(600, 2).resize((600, 1)).save(tmp_path / "a.jpg")
    assert fault(tmp_path, "a.jpg").kind == "too-small"
    assert load(tmp_path, "a.jpg", min_side=1).shape == (1, 600, 3)


@pytest.mark.parametrize("frame", [(10_000, 10_000), (65_535, 65_535)])
def test_gif_whose_frame_outgrows_its_screen(tmp_path: Path, frame: tuple[int, int]) -> None:
    (tmp_path / "a.gif").write_bytes(gif_with_frame(2, 2, frame=frame))
    with warnings.catch_warnings(record=True) as leaked:
        warnings.simplefilter("always")
        assert fault(tmp_path, "a.gif").kind == "too-large"
    assert not leaked


def test_limits_are_inclusive(tmp_path: Path) -> None:
    scene(20, 10).save(tmp_path / "a.png")
    size = (tmp_path / "a.png").stat().st_size
    exact = {"max_pixels": 200, "max_side": 20, "min_side": 10, "max_bytes": size}
    assert load(tmp_path, "a.png", **exact).shape == (10, 20, 3)
    for name, value in [("max_pixels", 199), ("max_side", 19), ("max_bytes", size - 1)]:
        assert fault(tmp_path, "a.png", **(exact | {name: value})).kind == "too-large"
    assert fault(tmp_path, "a.png", **(exact | {"min_side": 11})).kind == "too-small"


def test_byte_limit_comes_before_reading(tmp_path: Path) -> None:
    with (tmp_path / "a.jpg").open("wb") as sparse:
        sparse.truncate(200 * 1024**3)
    found = fault(tmp_path, "a.jpg")
    assert found.kind == "too-large"
    assert "bytes" in str(found)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    extension=st.sampled_from(["jpg", "png", "gif", "bmp", "tiff", "webp"]),
    edits=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=12),
    kept=st.floats(0.0, 1.0),
)
def test_damage_is_an_image_or_a_fault(
    tmp_path: Path, extension: str, edits: list[tuple[float, int]], kept: float
) -> None:
    whole = io.BytesIO()
    noisy(16, 12).save(whole, {"jpg": "jpeg"}.get(extension, extension))
    data = bytearray(whole.getvalue())
    for where, value in edits:
        data[int(where * len(data))] = value
    (tmp_path / "a.jpg").write_bytes(bytes(data[: int(len(data) * kept)]))
    try:
        pixels = load(tmp_path, "a.jpg")
    except ImageFault:
        return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3


# --- where images may lie ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("", "missing-image"),
        ("a\0.png", "missing-image"),
        ("\0", "missing-image"),
        ("nothing.png", "missing-image"),
        ("a.png/b.png", "missing-image"),
        ("x" * 5000, "missing-image"),
        ("lone \ud800 surrogate.png", "missing-image"),
        ("../outside.png", "outside-root"),
        ("folder/../../outside.png", "outside-root"),
        ("folder/../a.png", "outside-root"),
        ("..", "outside-root"),
        ("../../../../../../etc/passwd", "outside-root"),
        ("/etc/passwd", "outside-root"),
        ("//etc/passwd", "outside-root"),
        ("link.png", "outside-root"),
        ("linked/outside.png", "outside-root"),
        ("loop.png", "missing-image"),
        ("dangling.png", "missing-image"),
        ("folder", "not-an-image"),
        (".", "not-an-image"),
        ("pipe.png", "not-an-image"),
    ],
)
def test_names_that_are_refused(tmp_path: Path, name: str, kind: str) -> None:
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    scene().save(root / "a.png")
    scene().save(tmp_path / "outside.png")
    (root / "link.png").symlink_to(tmp_path / "outside.png")
    (root / "linked").symlink_to(tmp_path)
    (root / "loop.png").symlink_to(root / "loop.png")
    (root / "dangling.png").symlink_to(root / "gone.png")
    os.mkfifo(root / "pipe.png")  # opening it would wait for ever
    found = fault(root, name)
    assert found.kind == kind
    assert "\0" not in str(found)
    assert len(str(found)) < 1000


def test_absolute_path_below_the_root_is_refused_too(tmp_path: Path) -> None:
    scene().save(tmp_path / "a.png")
    assert fault(tmp_path, str(tmp_path / "a.png")).kind == "outside-root"


def test_device_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    assert fault(tmp_path, "zero.png").kind == "outside-root"
    assert fault(Path("/dev"), "zero").kind == "not-an-image"


def test_link_within_the_root_is_followed(tmp_path: Path) -> None:
    scene().save(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("a.png")
    assert load(tmp_path, "b.png").shape == (32, 48, 3)


def test_root_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    scene().save(tmp_path / "real" / "a.png")
    (tmp_path / "root").symlink_to("real")
    assert load(tmp_path / "root", "a.png").shape == (32, 48, 3)


def test_first_root_that_has_the_file_wins(tmp_path: Path) -> None:
    roots = [tmp_path / name for name in ("absent", "one", "two")]
    for root, colour in zip(roots[1:], ["red", "blue"], strict=True):
        root.mkdir()
        Image.new("RGB", (4, 4), colour).save(root / "both.png")
    Image.new("RGB", (4, 4), "blue").save(roots[2] / "second.png")
    source = ImageLoader(roots)
    assert source.load(ImageRef("both.png"))[0, 0].tolist() == [255, 0, 0]
    assert source.load(ImageRef("second.png"))[0, 0].tolist() == [0, 0, 255]
    with pytest.raises(ImageFault, match=r"absent.*one.*two"):
        source.load(ImageRef("third.png"))


def test_no_roots() -> None:
    with pytest.raises(ImageFault, match="no picture folder") as caught:
        ImageLoader([]).load(ImageRef("a.png"))
    assert caught.value.kind == "missing-image"


def test_unreadable_file(tmp_path: Path) -> None:
    scene().save(tmp_path / "a.png")
    (tmp_path / "a.png").chmod(0)
    if os.access(tmp_path / "a.png", os.R_OK):
        pytest.skip("this user may read every file")
    assert fault(tmp_path, "a.png").kind == "missing-image"


# --- the images kept --------------------------------------------------------------------------


def test_images_are_read_only_and_kept(tmp_path: Path) -> None:
    scene().save(tmp_path / "a.png")
    source = loader(tmp_path)
    first = source.load(ImageRef("a.png"))
    assert source.load(ImageRef("a.png")) is first
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0] = 0


def test_changed_file_is_read_again(tmp_path: Path) -> None:
    source = loader(tmp_path)
    Image.new("RGB", (4, 4), "red").save(tmp_path / "a.bmp")
    assert source.load(ImageRef("a.bmp"))[0, 0].tolist() == [255, 0, 0]
    Image.new("RGB", (4, 4), "blue").save(tmp_path / "a.bmp")
    later = time.time_ns() + 10**9
    os.utime(tmp_path / "a.bmp", ns=(later, later))
    assert source.load(ImageRef("a.bmp"))[0, 0].tolist() == [0, 0, 255]


def test_least_recently_used_image_goes_first(tmp_path: Path) -> None:
    for name in "abc":
        Image.new("RGB", (10, 10), "red").save(tmp_path / f"{name}.png")
    source = ImageLoader([tmp_path], cache_bytes=600)
    kept = {name: source.load(ImageRef(f"{name}.png")) for name in "ab"}
    assert source.load(ImageRef("a.png")) is kept["a"]
    source.load(ImageRef("c.png"))
    assert source.load(ImageRef("a.png")) is kept["a"]
    assert source.load(ImageRef("b.png")) is not kept["b"]


def test_image_larger_than_the_cache_is_not_kept(tmp_path: Path) -> None:
    scene().save(tmp_path / "a.png")
    source = ImageLoader([tmp_path], cache_bytes=100)
    assert source.load(ImageRef("a.png")) is not source.load(ImageRef("a.png"))


def test_threads_share_a_loader(tmp_path: Path) -> None:
    expected = {}
    for index in range(6):
        Image.new("RGB", (40, 40), (index, 2 * index, 3 * index)).save(tmp_path / f"{index}.png")
        expected[index] = [index, 2 * index, 3 * index]
    source = ImageLoader([tmp_path], cache_bytes=3 * 40 * 40 * 3)
    wrong: list[int] = []

    def work(offset: int) -> None:
        for step in range(60):
            index = (step * offset) % 6
            if source.load(ImageRef(f"{index}.png"))[5, 5].tolist() != expected[index]:
                wrong.append(index)

    workers = [threading.Thread(target=work, args=(offset,)) for offset in (1, 2, 3, 5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong
