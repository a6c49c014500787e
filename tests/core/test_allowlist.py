"""The list of nodes that may speak now: one line each, which tells nobody who they are."""

import pytest

from skerry.core import allowlist, errors, identity

NODE = identity.NodeId("skerry.local", "default", "edge-1")
KEY, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def test_a_list_is_read_as_it_was_rendered() -> None:
    entries = {allowlist.entry_of(NODE, KEY), allowlist.entry_of(NODE, OTHER)}
    assert allowlist.read(allowlist.render(entries)) == entries
    assert allowlist.read(allowlist.render([])) == frozenset()


def test_the_same_nodes_are_the_same_bytes() -> None:
    entries = [allowlist.entry_of(NODE, KEY), allowlist.entry_of(NODE, OTHER)]
    assert allowlist.render(entries) == allowlist.render(reversed(entries))


@pytest.mark.parametrize(
    "node",
    [
        identity.NodeId("skerry.local", "default", "edge-2"),
        identity.NodeId("skerry.local", "other", "edge-1"),
        identity.NodeId("elsewhere", "default", "edge-1"),
    ],
    ids=["another node", "another tenant", "another domain"],
)
def test_a_line_is_of_one_node_and_one_key(node: identity.NodeId) -> None:
    assert allowlist.entry_of(node, KEY) != allowlist.entry_of(NODE, KEY) != allowlist.entry_of(NODE, OTHER)


def test_a_list_names_nobody() -> None:
    data = allowlist.render([allowlist.entry_of(NODE, KEY)])
    assert b"edge-1" not in data and b"a" * 64 not in data


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"skerry members 1", id="a head without its end"),
        pytest.param(b"skerry members 2\n", id="another form"),
        pytest.param(b"<html>\n", id="a page"),
        pytest.param(b"skerry members 1\n" + b"a" * 64, id="a line without its end"),
        pytest.param(b"skerry members 1\n" + b"a" * 63 + b"\n", id="a short line"),
        pytest.param(b"skerry members 1\n\n" + b"a" * 64 + b"\n", id="an empty line"),
        pytest.param(b"skerry members 1\n" + b"\xff" * 64 + b"\n", id="no text"),
    ],
)
def test_what_is_no_list_is_refused(data: bytes) -> None:
    with pytest.raises(errors.InputError, match="no list of the fleet's nodes"):
        allowlist.read(data)
