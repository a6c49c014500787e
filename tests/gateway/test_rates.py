"""Buckets by key: nobody's flood is another's, and none of it takes memory without end."""

from skerry.core import addresses
from skerry.gateway.rates import Rate, Rates


def test_each_key_has_a_burst_and_then_its_rate() -> None:
    now = [0.0]
    rates = Rates(Rate(2.0, 5.0), clock=lambda: now[0])
    assert [rates.take("a") for _ in range(7)] == [True] * 5 + [False] * 2
    assert rates.take("b")
    now[0] = 1.0
    assert [rates.take("a") for _ in range(3)] == [True, True, False]


def test_more_than_a_burst_asks_for_a_whole_one() -> None:
    rates = Rates(Rate(1.0, 5.0), clock=lambda: 0.0)
    assert rates.take("a", 1000)
    assert not rates.take("a", 1000)


def test_the_key_that_rested_longest_is_forgotten_first() -> None:
    rates = Rates(Rate(0.0, 1.0), max_keys=3, clock=lambda: 0.0)
    for key in "abca":
        rates.take(key)
    rates.take("d")
    assert len(rates) == 3
    assert not rates.take("a")
    assert rates.take("b")


def test_a_caller_counts_by_his_network() -> None:
    assert addresses.network("192.0.2.1:443") == "192.0.2.1"
    assert (
        addresses.network("[2001:db8:1:2:3::4]:443") == addresses.network("[2001:db8:1:2::9]:1") == "2001:db8:1:2::/64"
    )
    assert addresses.network("[::ffff:192.0.2.1]:443") == "192.0.2.1"
    assert addresses.network("[fe80::1%eth0]:443") == "fe80::/64"
    assert addresses.network("unix:/run/x") == "unix:/run/x"
