import pytest

from riveg.cli.numbers import money, short


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0"),
        (9_999, "9,999"),
        (12_345, "12.3k"),
        (999_400, "999k"),
        (999_600, "1.0M"),
        (4_100_000, "4.1M"),
        (2 * 10**12, "2,000G"),
    ],
)
def test_a_count_in_few_characters(number: int, shown: str) -> None:
    assert short(number) == shown


def test_small_sums_have_more_digits() -> None:
    assert money(1234.5, "USD") == "1,234.50 USD"
    assert money(0.00123, "EUR") == "0.0012 EUR"
