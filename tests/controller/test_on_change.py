"""A fault is told when it appears, changes or comes back, and not in every tick."""

from skerry.adapters.telemetry import on_change


def test_a_fault_is_news_once_until_it_changes_or_comes_back() -> None:
    said = on_change.Told()
    assert said.is_news("node", "away")
    assert not said.is_news("node", "away")
    assert said.is_news("node", "damaged")
    assert said.is_news("node", "away")
    said.settled("node")
    assert said.is_news("node", "away")


def test_what_is_remembered_is_bounded_and_the_oldest_goes_first() -> None:
    said = on_change.Told(limit=2)
    for subject in ("a", "b", "c"):
        said.is_news(subject, "away")
    assert not said.is_news("c", "away")
    assert said.is_news("a", "away")
