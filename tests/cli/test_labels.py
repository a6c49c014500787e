"""`skerry labels`: how far labels are, and what was set aside is listed, shown, tried again and dropped."""

import json
from pathlib import Path

import pytest
from cli_system import StillSystem

from skerry.adapters import blobs
from skerry.core import contract, label_backlog, set_aside, writers
from skerry.curator.set_aside import SetAsideStore

NOW = 1_790_000_000_000
NAMES = [letter * 64 for letter in "abc"]


@pytest.fixture
def system(tmp_path: Path) -> StillSystem:
    still = StillSystem(tmp_path)
    still.edge_model()
    store = SetAsideStore(blobs.open_shared(still.description.blobs))
    for name, reason in zip(NAMES, ("ReaderDied", "ReaderDied", "TeacherFailed"), strict=True):
        store.put(set_aside.SetAside("press", name, "example", reason, "it \x1b[2Jkills", NOW))
        for path in (contract.example_path, contract.truth_path, contract.label_path):
            still.blobs.write(path("press", name), b"bytes")
    store.put(set_aside.SetAside("", "1790000000000-0", "entry", "EntryMalformed", "it names nothing", NOW))
    return still


def listed(system: StillSystem, *options: str) -> list[str]:
    return [row["name"] for row in json.loads(system.good("labels", "aside", *options, "--json"))]


def test_what_was_set_aside_is_listed_with_its_reason(system: StillSystem) -> None:
    table = system.good("labels", "aside")
    for text in ("aaaaaaaaaaaaaaaa", "press", "ReaderDied", "TeacherFailed", "EntryMalformed"):
        assert text in table
    assert "\x1b" not in table
    assert listed(system, "--model", "press", "--reason", "ReaderDied") == NAMES[:2]


def test_one_is_shown_with_where_it_lies_and_is_not_read(system: StillSystem) -> None:
    shown = json.loads(system.good("labels", "aside", "show", "aaaa", "--json"))
    assert (shown["reason"], shown["blob"]) == ("ReaderDied", f"examples/press/{NAMES[0]}")


def test_what_is_tried_again_loses_its_record_and_nothing_else(system: StillSystem) -> None:
    assert system.good("labels", "aside", "retry", NAMES[0]) == "1 will be tried again\n"
    assert NAMES[0] not in listed(system)
    assert system.blobs.exists(contract.example_path("press", NAMES[0]))


def test_what_is_dropped_goes_with_its_truth_and_its_label(system: StillSystem) -> None:
    assert system.good("labels", "aside", "drop", "--all", "--reason", "ReaderDied") == "2 dropped\n"
    for path in (contract.example_path, contract.truth_path, contract.label_path):
        assert not system.blobs.exists(path("press", NAMES[0]))
        assert system.blobs.exists(path("press", NAMES[2]))
    assert listed(system) == ["1790000000000-0", NAMES[2]]
    system.good("labels", "aside", "drop", "--all")
    assert "nothing is set aside" in system.good("labels", "aside")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("drop",), "--all"),
        (("retry", NAMES[0], "--all"), "not both"),
        (("drop", "a"), "at least 4 characters"),
        (("show", "dddd"), "is not set aside"),
    ],
    ids=["nothing named", "names and all", "too short", "unknown"],
)
def test_what_could_mean_too_much_is_refused(system: StillSystem, arguments: tuple[str, ...], message: str) -> None:
    assert message in system.bad(2, "labels", "aside", *arguments)
    assert len(listed(system)) == 4


@pytest.mark.parametrize("option", [("--model", "digits"), ("--reason", "ReadFailed"), ("--state", "other")])
def test_what_is_chosen_before_a_subcommand_is_refused_and_not_passed_over(
    system: StillSystem, option: tuple[str, str]
) -> None:
    """Before: everything was dropped, whatever the choice before `drop` said."""
    said = system.bad(2, "labels", "aside", *option, "drop", "--all")
    assert "give it after 'drop'" in said and option[0] in said
    assert len(listed(system)) == 4


def test_a_name_that_two_models_have_is_refused(system: StillSystem) -> None:
    store = SetAsideStore(blobs.open_shared(system.description.blobs))
    store.put(set_aside.SetAside("other", NAMES[0], "example", "ReaderDied", "", NOW))
    assert "give more of the name, or --model" in system.bad(2, "labels", "aside", "drop", "aaaa")
    assert system.good("labels", "aside", "drop", "aaaa", "--model", "other") == "1 dropped\n"
    assert system.blobs.exists(contract.example_path("press", NAMES[0]))


def test_a_damaged_record_is_told_and_can_be_dropped(system: StillSystem) -> None:
    system.blobs.write(f"aside/press/{NAMES[0]}.example.json", b"{")
    assert "RecordDamaged" in system.good("labels", "aside")
    assert system.good("labels", "aside", "retry", "aaaa") == "1 will be tried again\n"


def behind(system: StillSystem) -> str:
    standing = label_backlog.judge(
        "press", label_backlog.Backlog(5431, 0, label_backlog.MISSING, set_aside={"ReaderDied": 2}), now_ms=NOW
    )
    condition = {"type": "LabelsCurrent", "status": standing.status, "reason": standing.reason}
    condition |= {"message": standing.message, "lastTransitionTime": "2026-11-30T08:00:00Z"}
    status = {"conditions": [condition]}
    system.objects.patch("EdgeModel", "press", manager=writers.CONTROLLER, status=status)
    return standing.message


def test_labels_that_are_behind_are_told_where_models_are_listed(system: StillSystem) -> None:
    message = behind(system)
    assert "no model press" in message
    assert system.good("models").endswith(f"labels of press: {message}\n")
    (row,) = json.loads(system.good("models", "--json"))
    assert row["labels"] == "NoTeacher"


def test_how_far_labels_are_is_listed_also_while_readings_are_away(system: StillSystem) -> None:
    message = behind(system)
    result = system.run("labels")
    assert result.exit_code == 0
    assert message in result.stdout
    assert "how many wait is not known" in result.stderr
