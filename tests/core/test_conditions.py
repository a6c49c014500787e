"""Conditions keep their transition time while nothing changes, and are read back as they were written."""

import pytest

from skerry.core import conditions, errors


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    first = conditions.put((), "Ready", "False", "Waiting", "for a", now_ms=1_000)
    later = conditions.put(first, "Ready", "False", "Waiting", "for b", now_ms=9_000)
    assert later[0].since == first[0].since == "1970-01-01T00:00:01Z" and later[0].message == "for b"
    changed = conditions.put(later, "Ready", "True", "Done", "", now_ms=9_000)
    assert changed[0].since == "1970-01-01T00:00:09Z" and conditions.is_true(changed, "Ready")


def test_an_unchanged_condition_is_an_equal_list() -> None:
    first = conditions.put((), "Ready", "True", "Done", "", now_ms=1_000)
    assert conditions.put(first, "Ready", "True", "Done", "", now_ms=5_000) == first


def test_conditions_keep_their_order() -> None:
    found = conditions.put((), "A", "True", "x", "", now_ms=0)
    found = conditions.put(found, "B", "True", "x", "", now_ms=0)
    found = conditions.put(found, "A", "False", "y", "", now_ms=0)
    assert [one.type for one in found] == ["A", "B"] and conditions.find(found, "C") is None


def test_conditions_are_read_back() -> None:
    found = conditions.put((), "A", "Unknown", "x", "why", now_ms=1_000)
    assert conditions.from_json(conditions.to_json(found)) == found
    assert conditions.from_json(None) == ()


@pytest.mark.parametrize(
    "value", ["text", 3, [3], [{"type": "A"}], [{"type": "", "status": "True"}], [{"type": "A", "status": True}]]
)
def test_what_is_no_condition_is_refused(value: object) -> None:
    with pytest.raises(errors.InputError):
        conditions.from_json(value)
