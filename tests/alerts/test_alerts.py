"""Each alert of the chart fires when it should and not otherwise, as promtool plays it; each has a runbook section; and
what the chart renders is the file that was tested."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import charts
import promtool
import pytest
import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "helm" / "skerry" / "files" / "alerts.yaml"
RUNBOOK = ROOT / "docs" / "how-to" / "alerts.md"
HEARD = {"skerry_gateway_objects_silent_seconds": "1+0x300"}
DAY = 86_400


@dataclass(frozen=True)
class Played:
    """Series (promtool's notation, one value a minute) with which the alert fires at `at_minutes`, and with which not.
    `labels`: of the alert, beside its severity."""

    fires: Mapping[str, str]
    quiet: Mapping[str, str]
    at_minutes: int = 120
    labels: Mapping[str, str] | None = None


def _model(value: str, name: str, **labels: str) -> dict[str, str]:
    inside = ",".join(f'{key}="{one}"' for key, one in {"model": "m", **labels}.items())
    return {f"{name}{{{inside}}}": value}


M = {"model": "m"}
STATES = ("Online", "Stale", "Offline", "Unknown")


def _nodes(*counts: int) -> dict[str, str]:
    return {f'skerry_nodes{{state="{state}"}}': f"{n}+0x300" for state, n in zip(STATES, counts, strict=True)} | HEARD


def _answers(quick: int, slow: int) -> dict[str, str]:
    """Answers a minute within 5 seconds, and beyond."""
    return {
        'skerry_teacher_answer_seconds_bucket{model="m",le="5"}': f"0+{quick}x300",
        'skerry_teacher_answer_seconds_bucket{model="m",le="10"}': f"0+{quick + slow}x300",
        'skerry_teacher_answer_seconds_bucket{model="m",le="+Inf"}': f"0+{quick + slow}x300",
    }


def _memory(used: int) -> dict[str, str]:
    return {"skerry_valkey_memory_bytes": f"{used}+0x300", "skerry_valkey_memory_limit_bytes": "100+0x300"}


def _expires(role: str, days: float) -> dict[str, str]:
    return {f'skerry_metadata_expires_seconds{{role="{role}"}}': f"{int(days * DAY)}+0x300"}


def _waiting(growth: int) -> dict[str, str]:
    return _model("3600+0x300", "skerry_labels_oldest_seconds") | _model(f"900{growth:+d}x300", "skerry_labels_waiting")


PLAYED = {
    "SkerryNodesOffline": Played(_nodes(80, 0, 20, 0), _nodes(95, 0, 5, 0)),
    "SkerryRolloutPaused": Played(
        _model("0+60x300", "skerry_rollout_active_seconds", phase="Paused"),
        _model("0+60x300", "skerry_rollout_active_seconds", phase="Progressing"),
        labels=M,
    ),
    "SkerryRolloutStanding": Played(
        _model("90000+60x300", "skerry_rollout_standing_seconds", phase="Progressing"),
        _model("0+60x300", "skerry_rollout_standing_seconds", phase="Progressing"),
        labels=M,
    ),
    "SkerryRolloutRolledBack": Played(
        _model("7000+0x300", "skerry_rollout_ended_timestamp_seconds", outcome="RolledBack"),
        _model("100+0x300", "skerry_rollout_ended_timestamp_seconds", outcome="RolledBack")
        | _model("7000+0x300", "skerry_rollout_ended_timestamp_seconds", outcome="Succeeded"),
        labels=M,
    ),
    "SkerryVerdictMissingData": Played(
        _model("1+0x300", "skerry_rollouts_undecided"),
        _model("1+0x100 0+0x200", "skerry_rollouts_undecided"),
        labels=M,
    ),
    "SkerryRunFailed": Played(
        _model("7000+0x300", "skerry_run_ended_timestamp_seconds", outcome="Failed"),
        _model("7000+0x300", "skerry_run_ended_timestamp_seconds", outcome="Succeeded"),
        labels=M,
    ),
    "SkerryRetrainBringsNoVersion": Played(
        _model("90000+60x300", "skerry_retrain_overdue_seconds"),
        _model("0+60x300", "skerry_retrain_overdue_seconds"),
        labels=M,
    ),
    "SkerryLabelsBehind": Played(_waiting(5), _waiting(-5), labels=M),
    "SkerryTeacherSlow": Played(_answers(1, 9), _answers(99, 1), labels=M),
    "SkerryValkeyNearlyFull": Played(_memory(85), _memory(70)),
    "SkerryMetadataExpires": Played(
        _expires("targets", 20), _expires("targets", 40) | _expires("timestamp", 1.9), labels={"role": "targets"}
    ),
    "SkerryCertificatesEnding": Played(
        {"skerry_nodes_certificate_ending": "3+0x300"}, {"skerry_nodes_certificate_ending": "0+0x300"}
    ),
    "SkerrySpoolDrops": Played(
        {"skerry_gateway_spool_dropped_total": "0+1x300"}, {"skerry_gateway_spool_dropped_total": "9+0x300"}
    ),
    "SkerryGatewayAway": Played({"skerry_gateway_objects_silent_seconds": "90+0x300"}, HEARD),
    "SkerryNoLeader": Played(
        {'skerry_controller_leading{pod="a"}': "0+0x300"},
        {'skerry_controller_leading{pod="a"}': "0+0x300", 'skerry_controller_leading{pod="b"}': "1+0x300"},
    ),
}
# More of what must, or must not, be told.
ALSO = {
    "a role that is good for two days only": ("SkerryMetadataExpires", _expires("timestamp", 1), {"role": "timestamp"}),
    "no gateway at all": ("SkerryGatewayAway", {}, {}),
    "no controller at all": ("SkerryNoLeader", {}, {}),
    "a rollout that is being rolled back": (
        "SkerryRolloutRolledBack",
        _model("5+60x300", "skerry_rollout_active_seconds", phase="RollingBack"),
        M,
    ),
    "dead nodes are not told of while no gateway answers": (
        "SkerryNodesOffline",
        {key: value for key, value in _nodes(0, 0, 100, 0).items() if key not in HEARD},
        None,
    ),
}


def rules() -> dict[str, Any]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def play(folder: Path, alert: str, series: Mapping[str, str], labels: Mapping[str, str] | None, minutes: int) -> str:
    """What promtool says when the alert must fire with `labels`, or must not (None)."""
    rule = rules()[alert]
    expected = [] if labels is None else [{"exp_labels": {**rule["labels"], **labels}}]
    one = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [{"alertname": alert, "eval_time": f"{minutes}m", "exp_alerts": expected}],
    }
    bare = {key: value for key, value in rule.items() if key != "annotations"}  # what they say holds numbers
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "skerry", "rules": [bare]}]}))
    (folder / "test.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": [one]}))
    done = promtool.run("test", "rules", folder / "test.yaml")
    return (done.stdout + done.stderr).decode() if done.returncode else ""


def test_every_alert_is_played() -> None:
    assert set(PLAYED) == set(rules())


@promtool.requires_promtool
def test_promtool_takes_the_rules() -> None:
    done = promtool.run("check", "rules", RULES)
    assert done.returncode == 0, done.stderr


@promtool.requires_promtool
@pytest.mark.parametrize("alert", PLAYED)
def test_it_fires(tmp_path: Path, alert: str) -> None:
    played = PLAYED[alert]
    assert play(tmp_path, alert, played.fires, played.labels or {}, played.at_minutes) == ""


@promtool.requires_promtool
@pytest.mark.parametrize("alert", PLAYED)
def test_it_does_not_fire(tmp_path: Path, alert: str) -> None:
    assert play(tmp_path, alert, PLAYED[alert].quiet, None, PLAYED[alert].at_minutes) == ""


@promtool.requires_promtool
@pytest.mark.parametrize("what", ALSO)
def test_also(tmp_path: Path, what: str) -> None:
    alert, series, labels = ALSO[what]
    assert play(tmp_path, alert, series, labels, 120) == ""


@promtool.requires_promtool
def test_a_play_that_ends_otherwise_is_told(tmp_path: Path) -> None:
    """Of the tests above: with the quiet series the alert that must fire is missed, and the other way round."""
    played = PLAYED["SkerryNodesOffline"]
    assert "FAILED" in play(tmp_path, "SkerryNodesOffline", played.quiet, {}, 120)
    assert "FAILED" in play(tmp_path, "SkerryNodesOffline", played.fires, None, 120)


@pytest.mark.parametrize("alert", PLAYED)
def test_it_has_a_runbook_section_and_says_so(alert: str) -> None:
    assert rules()[alert]["annotations"]["runbook"] == f"docs/how-to/alerts.md#{alert.lower()}"
    section = RUNBOOK.read_text().partition(f"\n### {alert}\n")[2].partition("\n### ")[0]
    assert len(section.split()) >= 20, "it says what it means, where to look, and what to do"
    assert re.search(r"\*\*(Look|Do)", section)


@charts.requires_helm
@pytest.mark.parametrize(
    ("name", "kind"), [("cloud-all-options", "PrometheusRule"), ("cloud-own-everything", "ConfigMap")]
)
def test_the_chart_renders_the_file_that_is_tested(name: str, kind: str) -> None:
    (found,) = (
        one for one in charts.manifests(name) if one["kind"] == kind and one["metadata"]["name"] == "skerry-alerts"
    )
    given = found["spec"] if kind == "PrometheusRule" else yaml.safe_load(found["data"]["skerry.yaml"])
    assert given == yaml.safe_load(RULES.read_text())


@charts.requires_helm
def test_no_rules_are_made_unless_they_are_asked_for() -> None:
    assert not [one for one in charts.manifests("cloud") if "alerts" in one["metadata"]["name"]]
