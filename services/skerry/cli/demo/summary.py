"""The result of a demo run: the table, the verdict, the summary for programs, the report for people."""

import math
import resource
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from skerry.cli import output
from skerry.cli.demo import digits_model, event_log, results
from skerry.cli.demo.results import Holdout, PhaseRow
from skerry.cli.demo.scenario import Scenario
from skerry.cli.demo.session import Session

IMAGE_BYTES = 28 * 28


def rows(scenario: Scenario, session: Session) -> dict[str, PhaseRow]:
    """The table's lines: the three phases, and a fourth when a fault went on after them."""
    answers = session.traffic.answers if session.traffic else []
    names = [*results.PHASES, "fault"] if any(answer.phase == "fault" for answer in answers) else list(results.PHASES)
    return {name: results.phase_row(name, answers) for name in names}


def gates(session: Session) -> list[dict[str, Any]]:
    """The gates of the run that the policy started (the second one)."""
    runs = event_log.newest(session.seen.of("TrainingRun"))
    verdict = runs[1].status.get("result", {}).get("verdict", {}) if len(runs) > 1 else {}
    return list(verdict.get("gates", []))


def holdout(judged: Sequence[Mapping[str, Any]]) -> Holdout | None:
    """Both versions on the same clean (imported) holdout rows, as the paired gate compared them."""
    for gate in judged:
        if gate["name"] == "imported-not-worse":
            numbers = gate["numbers"]
            return Holdout(before=numbers["baseline"], after=numbers["candidate"], n=int(numbers["n"]))
    return None


def moved(session: Session) -> dict[str, int]:
    """Payload bytes that crossed the edge's line, by purpose."""
    answers = session.traffic.answers if session.traffic else []
    offloaded = sum(answer.route == "cloud" for answer in answers)
    folder = session.system.layout.root / "blobs" / "examples"
    downloads = 0
    for version in session.seen.of("ModelVersion").values():
        holders = sum(version.spec["digest"] in digests for digests in session.digests.values())
        downloads += holders * int(version.spec.get("sizeBytes", 0))
    return {
        "offloaded_requests": offloaded * IMAGE_BYTES,
        "uploaded_examples": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        "downloaded_versions": downloads,
    }


def document(scenario: Scenario, session: Session) -> dict[str, Any]:
    """The summary of `skerry demo --json`."""
    table, judged = rows(scenario, session), gates(session)
    paired = holdout(judged)
    nodes = event_log.nodes_on(session.seen, digits_model.MODEL)
    target = scenario.target
    answers = session.traffic.answers if session.traffic else []
    gained = results.gain(answers, scenario.first, target, scenario.data.final.name)
    on_nodes = {node: digest for node, (digest, _) in nodes.items()}
    open_because = results.why_open(table, on_nodes, target, paired, gained)
    return {
        "network": scenario.network,
        "phases": [results.as_json(row) for row in table.values()],
        "nodes": [{"name": node, "digest": digest, "version": version} for node, (digest, version) in nodes.items()],
        "gates": judged,
        "events": [{"t": round(event.at_s, 2), "kind": event.kind, "text": event.text} for event in session.events],
        "holdout": None if paired is None else {"before": paired.before, "after": paired.after, "n": paired.n},
        "gain": results.as_json(gained),
        "teacher": {"clean": _number(scenario.teacher_clean), "drift": _number(scenario.teacher_drift)},
        "closed": not open_because,
        "open_because": open_because,
        "skipped": session.traffic.skipped if session.traffic else 0,
        "bytes": moved(session),
        "memory": {"peak_total": session.peak_total_bytes, "peak": dict(session.peak_bytes)},
        "cpu_seconds": {name: round(seconds, 1) for name, seconds in (session.cpu_s | _own_cpu_s()).items()},
        "seconds": round(session.now(), 1),
    } | (
        {}
        if scenario.fault is None
        else {
            "fault": {
                "name": scenario.fault.name,
                "expected": scenario.fault.expected,
                "seen": "; ".join(scenario.fault.seen),
                "ok": scenario.fault.ok,
            }
        }
    )


def _own_cpu_s() -> dict[str, float]:
    """Of the cameras and of the commands that were typed; the teacher is trained by one of them."""
    mine, ended = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {"demo": sum(usage.ru_utime + usage.ru_stime for usage in (mine, ended))}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def show(console: Console, summary: Mapping[str, Any]) -> None:
    """The closing tables."""
    console.print()
    console.print(_phase_table(summary["phases"]))
    console.print(_node_table(summary["nodes"]))
    if summary["gates"]:
        console.print(_gate_table(summary["gates"]))
    if summary["skipped"]:
        console.print(f"{summary['skipped']:,} images were skipped: this machine is too busy for its cameras")
    teacher, paired = summary["teacher"], summary["holdout"]
    if teacher["clean"] is not None:
        console.print(f"teacher: {teacher['clean']:.3f} on clean, {teacher['drift']:.3f} on the other digits")
    if told := _told_gain(summary["gain"]):
        console.print(told)
    if paired is not None:
        console.print(
            f"clean holdout ({paired['n']:,} images): {paired['before']:.4f} before, {paired['after']:.4f} after"
        )
    sizes = ", ".join(f"{name.replace('_', ' ')} {size / 1024:,.0f} KiB" for name, size in summary["bytes"].items())
    console.print(f"bytes moved: {sizes}")
    peaks, spent = summary["memory"]["peak"], summary["cpu_seconds"]
    console.print(
        f"peak memory {summary['memory']['peak_total'] / 2**20:,.0f} MiB in all, {summary['seconds']:.0f} s, "
        f"{sum(spent.values()):.0f} CPU s (the cameras and the commands: {spent['demo']:.0f} s)"
    )
    parts = (f"{name} {peak / 2**20:.0f} MiB {spent.get(name, 0):.0f} s" for name, peak in peaks.items())
    console.print(f"per process, with its children: {', '.join(parts)}", highlight=False)
    fault = summary.get("fault")
    if fault is not None:
        console.print(f"fault {fault['name']}: expected that {fault['expected']}", soft_wrap=True)
        console.print(f"  seen: {output.printable(fault['seen'])}", soft_wrap=True)
        console.print("  [bold green]as expected[/]" if fault["ok"] else "  [bold red]NOT as expected[/]")
    elif summary["closed"]:
        console.print("[bold green]the loop closed[/]")
    else:
        console.print(f"[bold red]the loop did not close[/]: {'; '.join(summary['open_because'])}", soft_wrap=True)


def _told_gain(gained: Mapping[str, Any]) -> str:
    """What the loop was worth, in a sentence; empty when there is nothing to compare."""
    before, after = gained["before"], gained["after"]
    if before is None or after is None:
        return ""
    return (
        f"the edge alone on other digits that nothing learned from: {before:.3f} by the first version, {after:.3f} by "
        f"the new one ({100 * (after - before):+.1f} points)"
    )


def _phase_table(phases: Sequence[Mapping[str, Any]]) -> Table:
    heads = ("phase", "requests", "lost", "edge", "answers", "offload", "p50 ms", "p99 ms")
    table = Table(*heads, title="What the cameras saw (edge: accuracy of the edge alone)", title_justify="left")
    for phase in phases:
        table.add_row(
            phase["name"],
            f"{phase['requests']:,}",
            str(phase["lost"]),
            _show(phase["edge_accuracy"], ".3f"),
            _show(phase["answer_accuracy"], ".3f"),
            _show(phase["offload_rate"], ".1%"),
            _show(phase["p50_ms"], ".1f"),
            _show(phase["p99_ms"], ".1f"),
        )
    return table


def _show(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _node_table(nodes: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("node", "version", "digest", title="What each node serves", title_justify="left", min_width=26)
    for node in nodes:
        table.add_row(node["name"], f"v{node['version']}" if node["version"] else "–", event_log.short(node["digest"]))
    return table


def _gate_table(gates: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("gate", "outcome", "reason", title="The new version's gates", title_justify="left")
    for gate in gates:
        table.add_row(gate["name"], gate["outcome"], output.printable(gate["reason"]))
    return table


def timeline(summary: Mapping[str, Any], scenario: Scenario, session: Session) -> dict[str, Any]:
    """What report.html draws."""
    answers = session.traffic.answers if session.traffic else []
    return {
        "title": f"skerry demo ({scenario.network})",
        "summary": summary["phases"],
        "series": results.series(answers),
        "versions": session.versions,
        "phases": scenario.phases,
        **{
            key: summary[key]
            for key in ("nodes", "gates", "events", "bytes", "holdout", "gain", "teacher", "seconds", "closed")
        },
        "fault": summary.get("fault"),
    }
