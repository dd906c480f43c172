import pytest

from riveg.formats.accounts import Account, known_sum, merged_accounts


@pytest.mark.parametrize(
    ("first", "second", "total"), [(None, None, None), (None, 2, 2), (1, None, 1), (0, 2, 2)]
)
def test_what_is_not_known_is_not_zero(
    first: int | None, second: int | None, total: int | None
) -> None:
    assert known_sum(first, second) == total


def account(server: str = "a", **fields: object) -> Account:
    return Account.model_validate({"model": "m", "server": server, "requests": 1, **fields})


def test_a_server_is_lost_until_it_answers() -> None:
    lost = account(failures=1, lost_since=5.0)
    assert (account() + lost).lost_since == 5.0
    assert (lost + account()).lost_since is None


def test_accounts_of_runs_add_up_by_stage_server_and_currency() -> None:
    one = {"tag": [account(), account("b", cost=0.5, currency="USD")]}
    other = {
        "tag": [
            account("b", cost=1.0, currency="EUR"),
            account("b", cost=0.25, currency="USD", lost_since=9.0),
        ],
        "ground": [account(prompt_tokens=3)],
    }
    merged = merged_accounts([one, other])
    assert [(each.key, each.requests, each.cost) for each in merged["tag"]] == [
        (("m", "a", None), 1, None),
        (("m", "b", "USD"), 2, 0.75),
        (("m", "b", "EUR"), 1, 1.0),
    ]
    assert merged["tag"][1].lost_since == 9.0
    assert merged["ground"] == [account(prompt_tokens=3)]
