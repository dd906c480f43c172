"""The documented shapes of JSON output: those of the code, and those of what is really written."""

import json

import pytest
from helpers.places import ROOT

from riveg.cli.documents import DOCUMENTS, schema_of
from riveg.errors import UserError

FOLDER = ROOT / "docs" / "schemas"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_documented_schema_is_that_of_the_code(name: str) -> None:
    path = FOLDER / f"{name}.schema.json"
    message = f"riveg show schema {name} > docs/schemas/{name}.schema.json"
    assert json.loads(path.read_text(encoding="utf-8")) == schema_of(name), message


def test_every_document_is_documented() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {
        *(f"{name}.schema.json" for name in DOCUMENTS),
        "README.md",
    }


def test_an_unknown_document_is_one_clear_line() -> None:
    with pytest.raises(UserError, match="did you mean evaluation"):
        schema_of("evalution")
