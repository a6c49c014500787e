"""The agent of tests of the controller: it stages, asks, swaps when it may, and says what it serves."""

from typing import Any


def work(assignment: dict[str, Any], old: dict[str, Any], now_ms: int) -> dict[str, Any]:
    """One agent's work on one assignment: its next report."""
    report = {"model": assignment["model"], "digest": "", "version": 0, "highestPermit": 0, "permitRequest": 0, **old}
    report |= {
        "targetDigest": assignment["digest"],
        "targetRollout": assignment["rollout"],
        "targetAttempt": assignment["attempt"],
    }
    if report["digest"] == assignment["digest"]:
        return report | {"targetState": "Serving"}
    permit = assignment.get("permit")
    asked = report.get("targetState") == "Staged" and old.get("targetDigest") == assignment["digest"]
    if asked and permit and permit["request"] == report["permitRequest"] and permit["number"] > report["highestPermit"]:
        served = {"digest": assignment["digest"], "version": assignment["version"], "targetState": "Serving"}
        return report | served | {"highestPermit": permit["number"], "lastKnownGood": report["digest"]}
    return report | {"targetState": "Staged", "permitRequest": report["permitRequest"] if asked else now_ms}
