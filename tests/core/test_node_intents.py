"""What people may ask of nodes and fleets, and of a version that is there already."""

from typing import Any

import pytest

from skerry.core import errors, intents, join_tokens, specs

NOW, DAY_MS = 1_800_000_000_000, 86_400_000
KEY, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def node(spec: dict[str, Any] | None = None, **status: Any) -> intents.Known:
    return intents.Known("edge-1", {"approvedKey": KEY} if spec is None else spec, status)


def test_the_key_that_waits_is_approved_and_a_revocation_ends_with_it() -> None:
    spec = {"approvedKey": OTHER, "revoked": False}
    wanted = intents.Patch("EdgeNode", "edge-1", spec, {"approvedKey": KEY, "revoked": None})
    for named in (OTHER, OTHER[:20], "bbbbbbbb"):
        assert intents.approve(node(waitingKey=OTHER), named, now_ms=NOW) == wanted
    assert intents.approve(node(waitingKey=OTHER, waitingUnixMs=NOW - DAY_MS + 1), OTHER, now_ms=NOW) == wanted


@pytest.mark.parametrize(
    ("known", "key", "told"),
    [
        pytest.param(node(), OTHER, "no key of node edge-1 waits", id="no key waits"),
        pytest.param(node(waitingKey=OTHER, waitingUnixMs=NOW - DAY_MS), OTHER, "no key", id="it asked a day ago"),
        pytest.param(node(waitingKey=KEY), OTHER, "approved already", id="it is the approved one"),
        pytest.param(
            node(waitingKey=OTHER), "c" * 8, f"another key of node edge-1 waits: {OTHER}", id="another one waits"
        ),
        pytest.param(node(waitingKey=OTHER), "", f"name the key: {OTHER} waits", id="no key is named"),
        pytest.param(node(waitingKey=OTHER), "sha256:bbbb", "name the key", id="too little of it is named"),
    ],
)
def test_an_approval_that_makes_no_sense_says_why(known: intents.Known, key: str, told: str) -> None:
    with pytest.raises(errors.SkerryError, match=told):
        intents.approve(known, key, now_ms=NOW)


def token(name: str, used_by: str = "edge-1", *, expires_ms: int = NOW + 1) -> intents.Known:
    spec = {"secretHash": join_tokens.secret_hash("s"), "expiresUnixMs": expires_ms}
    used = join_tokens.use_json(join_tokens.Use(used_by, KEY), NOW - DAY_MS)
    return intents.Known(name, spec, {"nodes": [used]})


REVOKED = {"approvedKey": KEY, "revoked": True}


@pytest.mark.parametrize(
    "tokens",
    [
        pytest.param([], id="there is none"),
        pytest.param([token("t1", "edge-2")], id="another node used it"),
        pytest.param([token("t1", expires_ms=NOW)], id="it has expired"),
        pytest.param([intents.Known("t1", {}, token("t1").status)], id="it cannot be read, and lets nobody in"),
    ],
)
def test_a_revoked_node_is_deleted_where_no_token_lets_it_in_again(tokens: list[intents.Known]) -> None:
    assert intents.delete_node(node(REVOKED), tokens, now_ms=NOW) == intents.Deletion("EdgeNode", "edge-1")


def test_a_revoked_node_that_a_token_lets_in_again_is_not_deleted() -> None:
    """By the same rule as the gateway's."""
    used = token("t1")
    stored = join_tokens.parse_object(used.name, used.spec, used.status)
    assert join_tokens.decide(stored, "s", None, "edge-1", KEY, now_ms=NOW).outcome is join_tokens.Outcome.ISSUE
    with pytest.raises(errors.RejectedError, match="join token t1, t3, which it used: `skerry nodes token delete t1`"):
        intents.delete_node(node(REVOKED), [used, token("t2", "edge-2"), token("t3")], now_ms=NOW)


def test_a_phantom_is_deleted_whatever_its_token() -> None:
    """Nobody has said that it is to stay out."""
    intents.delete_node(node({"approvedKey": ""}), [token("t1")], now_ms=NOW)


@pytest.mark.parametrize(
    ("patch", "spec"),
    [
        pytest.param(intents.revoke(node()), {"revoked": True}, id="revoked"),
        pytest.param(intents.revoke(node({"revoked": True})), {"revoked": True}, id="revoked twice is no error"),
        pytest.param(intents.readmit(node()), {"revoked": False}, id="readmitted"),
        pytest.param(intents.cordon(node(), on=True), {"cordoned": True}, id="cordoned"),
        pytest.param(intents.cordon(node({"cordoned": True}), on=False), {"cordoned": False}, id="not any more"),
        pytest.param(
            intents.label(node(), {"site": "north", "old": None}),
            {"labels": {"site": "north", "old": None}},
            id="labels",
        ),
    ],
)
def test_what_is_asked_of_a_node_is_a_patch_of_its_spec(patch: intents.Patch, spec: dict[str, Any]) -> None:
    assert (patch.kind, patch.name, patch.spec) == ("EdgeNode", "edge-1", spec)


def test_a_fleet_says_only_what_was_given() -> None:
    assert intents.create_fleet("all", {}) == intents.Creation("EdgeFleet", "all", {"selector": {}})
    made = intents.create_fleet("north", {"site": "north"}, max_unavailable="10%", offline_after_s=60)
    assert made.spec == {"selector": {"site": "north"}, "maxUnavailable": "10%", "offlineAfterSeconds": 60}


@pytest.mark.parametrize(
    "wrong", [{"max_unavailable": 0}, {"max_unavailable": "ten"}, {"offline_after_s": 1}], ids=lambda wrong: str(wrong)
)
def test_a_fleet_that_would_not_be_read_is_not_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(errors.InputError, match="EdgeFleet all"):
        intents.create_fleet("all", {}, **wrong)


# ---- a file that is imported once more


def versions(*numbers: int) -> dict[str, specs.ModelVersion]:
    return {f"m-v{one}": specs.ModelVersion(f"m-v{one}", "m", one, KEY, f"imported/m/{one}") for one in numbers}


def again(
    version: str, stable: str, known: dict[str, specs.ModelVersion], *rollouts: intents.Known
) -> intents.Creation:
    return intents.roll_out_again("m", stable, {"fleet": "north"}, version, known, rollouts, "x")


def test_an_older_version_that_is_imported_again_is_rolled_back_to() -> None:
    made = again("m-v1", "m-v2", versions(1, 2))
    assert (made.name, made.spec["version"], made.spec["rollback"], made.spec["fleet"]) == (
        "m-v1-x",
        "m-v1",
        True,
        "north",
    )


def test_a_newer_version_that_never_became_stable_is_rolled_out_again() -> None:
    made = again("m-v3", "m-v2", versions(1, 2, 3))
    assert (made.spec["version"], "rollback" in made.spec) == ("m-v3", False)
    assert again("m-v1", "", versions(1)).spec["version"] == "m-v1", "the first one of all, too"


@pytest.mark.parametrize(
    ("version", "known", "rollouts", "told"),
    [
        pytest.param("m-v2", versions(1, 2), (), "the stable version of m: nothing to do", id="it is served"),
        pytest.param(
            "m-v1", versions(2), (), "it is not published: `skerry models` says why", id="it is not published"
        ),
        pytest.param(
            "m-v1",
            versions(1, 2),
            (intents.Known("m-v1-auto", {"version": "m-v1"}, {}),),
            "m-v1-auto rolls it out already",
            id="it is on its way",
        ),
    ],
)
def test_what_is_imported_again_for_nothing_says_why(
    version: str, known: dict[str, specs.ModelVersion], rollouts: tuple[intents.Known, ...], told: str
) -> None:
    with pytest.raises(errors.RejectedError, match=told):
        again(version, "m-v2", known, *rollouts)
