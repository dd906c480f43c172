"""Lower bounds of dependencies: everything has one, and ``make test-lowest`` runs at them."""

import os
import tomllib
from collections.abc import Iterable
from importlib.metadata import version

import pytest
from helpers.places import ROOT
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
LOWEST_EXTRAS = os.environ.get("RIVEG_LOWEST_EXTRAS", "")


def packages(lines: Iterable[str]) -> dict[str, Requirement]:
    """Requirements by name; those of an extra of riveg's own are in its place."""
    found: dict[str, Requirement] = {}
    for requirement in map(Requirement, lines):
        if requirement.name == PROJECT["name"]:
            found |= packages(line for extra in requirement.extras for line in EXTRAS[extra])
        else:
            found[requirement.name] = requirement
    return found


def lowest(requirement: Requirement) -> list[str]:
    return [part.version for part in requirement.specifier if part.operator == ">="]


def test_every_package_has_a_lower_bound() -> None:
    lines = [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]
    found = packages(lines)
    assert {"numpy", "torch", "pytest"} <= {*found}
    assert [name for name, requirement in found.items() if len(lowest(requirement)) != 1] == []


@pytest.mark.skipif(not LOWEST_EXTRAS, reason="looks at what `make test-lowest` installs")
def test_the_lowest_versions_are_here() -> None:
    found = packages([*PROJECT["dependencies"], f"{PROJECT['name']}[{LOWEST_EXTRAS}]"])
    del found["torch"]
    # A bound that nothing can meet, because another package asks for more, is above itself here.
    higher = {
        str(requirement): version(name)
        for name, requirement in found.items()
        if version(name) not in SpecifierSet(f"=={lowest(requirement)[0]}.*", prereleases=True)
    }
    assert higher == {}
