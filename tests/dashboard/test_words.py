"""Ages, sizes and ratios as the page says them."""

import pytest

from skerry.dashboard import pages

NOW = 1_790_000_000_000


@pytest.mark.parametrize(
    ("ago_s", "shown"),
    [
        pytest.param(0, "now", id="this second is now"),
        pytest.param(59, "59 s", id="seconds up to a minute"),
        pytest.param(61, "1 min", id="then whole minutes"),
        pytest.param(7_300, "2 h", id="then whole hours"),
        pytest.param(2_600_000, "30 d", id="then days"),
        pytest.param(-5, "now", id="a clock ahead is now"),
    ],
)
def test_ages(ago_s: int, shown: str) -> None:
    assert pages.age(NOW - 1000 * ago_s, NOW) == shown


def test_what_is_not_known_is_a_dash() -> None:
    assert {pages.age(0, NOW), pages.ratio(None), pages.number(None), pages.size(0), pages.short("")} == {"–"}


@pytest.mark.parametrize(("count", "shown"), [(1, "1 B"), (62_003, "61 KiB"), (3 << 20, "3 MiB"), (5 << 40, "5.0 TiB")])
def test_sizes(count: int, shown: str) -> None:
    assert pages.size(count) == shown
