"""What came of a demo run: the table, the verdict, the summary for programs, the report for people."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from skerry.cli.demo import books, chronicle, stage
from skerry.cli.demo.books import Holdout, PhaseRow
from skerry.cli.demo.plot import Plot
from skerry.cli.demo.set import Set

IMAGE_BYTES = 28 * 28


def rows(plot: Plot, stage_set: Set) -> dict[str, PhaseRow]:
    """The table's lines: the three phases, and a fourth when a fault went on after them."""
    answers = stage_set.traffic.answers if stage_set.traffic else []
    names = [*books.PHASES, "fault"] if any(one.phase == "fault" for one in answers) else list(books.PHASES)
    return {name: books.phase_row(name, answers) for name in names}


def gates(stage_set: Set) -> list[dict[str, Any]]:
    """The gates of the run that the policy started (the second one)."""
    runs = chronicle.newest(stage_set.seen.of("TrainingRun"))
    verdict = runs[1].status.get("result", {}).get("verdict", {}) if len(runs) > 1 else {}
    return list(verdict.get("gates", []))


def holdout(judged: Sequence[Mapping[str, Any]]) -> Holdout | None:
    """Both versions on the same clean (imported) holdout rows, as the paired gate compared them."""
    for gate in judged:
        if gate["name"] == "imported-not-worse":
            numbers = gate["numbers"]
            return Holdout(before=numbers["baseline"], after=numbers["candidate"], n=int(numbers["n"]))
    return None


def moved(stage_set: Set) -> dict[str, int]:
    """Payload bytes that crossed the edge's line, by purpose."""
    answers = stage_set.traffic.answers if stage_set.traffic else []
    offloaded = sum(one.route == "cloud" for one in answers)
    folder = stage_set.system.layout.root / "blobs" / "examples"
    downloads = 0
    for version in stage_set.seen.of("ModelVersion").values():
        holders = sum(version.spec["digest"] in digests for digests in stage_set.digests.values())
        downloads += holders * int(version.spec.get("sizeBytes", 0))
    return {
        "offloaded_requests": offloaded * IMAGE_BYTES,
        "uploaded_examples": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        "downloaded_versions": downloads,
    }


def tell(plot: Plot, stage_set: Set) -> dict[str, Any]:
    """The summary of `skerry demo --json`."""
    table, judged = rows(plot, stage_set), gates(stage_set)
    paired = holdout(judged)
    nodes = chronicle.nodes_on(stage_set.seen, stage.MODEL)
    target = plot.target
    open_because = books.why_open(table, {node: digest for node, (digest, _) in nodes.items()}, target, paired)
    return {
        "network": plot.network,
        "phases": [books.as_json(row) for row in table.values()],
        "nodes": [{"name": node, "digest": digest, "version": version} for node, (digest, version) in nodes.items()],
        "gates": judged,
        "events": [{"t": round(one.at_s, 2), "kind": one.kind, "text": one.text} for one in stage_set.events],
        "holdout": None if paired is None else {"before": paired.before, "after": paired.after, "n": paired.n},
        "teacher": {"clean": _number(plot.teacher_clean), "drift": _number(plot.teacher_drift)},
        "closed": not open_because,
        "open_because": open_because,
        "bytes": moved(stage_set),
        "memory": {"peak_total": stage_set.peak_total_bytes, "peak": dict(stage_set.peak_bytes)},
        "cpu_seconds": {name: round(seconds, 1) for name, seconds in stage_set.cpu_s.items()},
        "seconds": round(stage_set.now(), 1),
    } | (
        {}
        if plot.fault is None
        else {
            "fault": {
                "name": plot.fault.name,
                "expected": plot.fault.expected,
                "seen": "; ".join(plot.fault.seen),
                "ok": plot.fault.ok,
            }
        }
    )


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def show(console: Console, told: Mapping[str, Any]) -> None:
    """The closing tables."""
    console.print()
    console.print(_phase_table(told["phases"]))
    console.print(_node_table(told["nodes"]))
    if told["gates"]:
        console.print(_gate_table(told["gates"]))
    teacher, paired = told["teacher"], told["holdout"]
    if teacher["clean"] is not None:
        console.print(f"teacher: {teacher['clean']:.3f} on clean, {teacher['drift']:.3f} on drifted images")
    if paired is not None:
        console.print(
            f"clean holdout ({paired['n']:,} images): {paired['before']:.4f} before, {paired['after']:.4f} after"
        )
    sizes = ", ".join(f"{name.replace('_', ' ')} {size / 1024:,.0f} KiB" for name, size in told["bytes"].items())
    console.print(f"bytes moved: {sizes}")
    console.print(f"peak memory {told['memory']['peak_total'] / 2**20:,.0f} MiB in all, {told['seconds']:.0f} s")
    peaks, spent = told["memory"]["peak"], told["cpu_seconds"]
    parts = (f"{name} {peak / 2**20:.0f} MiB {spent.get(name, 0):.0f} s" for name, peak in peaks.items())
    console.print(f"per process, with its children: {', '.join(parts)}", highlight=False)
    fault = told.get("fault")
    if fault is not None:
        console.print(f"fault {fault['name']}: expected that {fault['expected']}", soft_wrap=True)
        console.print(f"  seen: {fault['seen']}", soft_wrap=True)
        console.print("  [bold green]as expected[/]" if fault["ok"] else "  [bold red]NOT as expected[/]")
    elif told["closed"]:
        console.print("[bold green]the loop closed[/]")
    else:
        console.print(f"[bold red]the loop did not close[/]: {'; '.join(told['open_because'])}", soft_wrap=True)


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
        table.add_row(node["name"], f"v{node['version']}" if node["version"] else "–", chronicle.short(node["digest"]))
    return table


def _gate_table(gates: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("gate", "outcome", "reason", title="The new version's gates", title_justify="left")
    for gate in gates:
        table.add_row(gate["name"], gate["outcome"], gate["reason"])
    return table


def timeline(told: Mapping[str, Any], plot: Plot, stage_set: Set) -> dict[str, Any]:
    """What report.html draws."""
    answers = stage_set.traffic.answers if stage_set.traffic else []
    return {
        "title": f"skerry demo ({plot.network})",
        "summary": told["phases"],
        "series": books.series(answers),
        "versions": stage_set.versions,
        "phases": plot.phases,
        **{key: told[key] for key in ("nodes", "gates", "events", "bytes", "holdout", "teacher", "seconds", "closed")},
        "fault": told.get("fault"),
    }
