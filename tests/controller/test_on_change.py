"""A fault is told when it appears, changes or comes back, and not in every tick."""

from skerry.adapters.telemetry import on_change


def test_a_fault_is_news_once_until_it_changes_or_comes_back() -> None:
    seen = on_change.OnChange()
    assert seen.differs("node", "away")
    assert not seen.differs("node", "away")
    assert seen.differs("node", "damaged")
    assert seen.differs("node", "away")
    seen.forget("node")
    assert seen.differs("node", "away")


def test_what_is_remembered_is_bounded_and_the_oldest_goes_first() -> None:
    seen = on_change.OnChange(limit=2)
    for subject in ("a", "b", "c"):
        seen.differs(subject, "away")
    assert not seen.differs("c", "away")
    assert seen.differs("a", "away")
