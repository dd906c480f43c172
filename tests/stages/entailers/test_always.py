from __future__ import annotations

from helpers.contracts import check_backend
from helpers.factories import make_context, make_sample, mentions_of

from riveg.registry import backend_config
from riveg.stages.entailers.always import AlwaysEntailerConfig
from riveg.stages.table import ENTAIL
from riveg.types import Entailment


def test_contract() -> None:
    assert backend_config("entail", "always") is AlwaysEntailerConfig
    mentions = mentions_of(
        make_sample("Ann", [(0, 1, "PER")]), make_sample("Ann", [(0, 1, "PER")], has_image=False)
    )
    assert check_backend(ENTAIL, AlwaysEntailerConfig().build(make_context()), mentions) == [
        Entailment(None, True, "always"),
        Entailment(None, False, "always"),
    ]
