"""Seeded faults of the rollout's code: each is one line of a rule turned wrong. The suite must notice them.

A mutant replaces text in one function's source and puts the result into its module for as long as a `with` lasts.
"""

import contextlib
import inspect
import textwrap
import types
from collections.abc import Iterator
from dataclasses import dataclass

from skerry.core import evidence
from skerry.core.rollout import (
    judging,
    outcomes,
    pauses,
    permits,
    planner,
    progress,
    rollback,
    settling,
    waves,
    writing,
)


@dataclass(frozen=True, slots=True)
class Mutant:
    name: str
    module: types.ModuleType
    function: str
    old: str
    new: str


MUTANTS = (
    Mutant("a pause is forgotten", pauses, "apply_operator_input", "reasons = automatic +", "reasons = () +"),
    Mutant(
        "a pause clears itself", pauses, "apply_operator_input", "rollout.resumed_pause >= status.pause_number", "True"
    ),
    Mutant(
        "a pause does not hold promotion",
        progress,
        "_soak_and_judge",
        " and not pauses.paused(status):\n        return _pass_wave",
        ":\n        return _pass_wave",
    ),
    Mutant("a pause does not hold permits", planner, "_desired_versions", "back or not pauses.paused(status)", "True"),
    Mutant(
        "missing evidence is a pass", evidence, "verdict", 'Outcome.INCONCLUSIVE, "Missing"', 'Outcome.PASS, "Missing"'
    ),
    Mutant("stale evidence counts", evidence, "verdict", "> STALE_READ_MS", "> 10**12"),
    Mutant("few samples suffice", evidence, "_compare", "< analysis.min_samples", "< 1"),
    Mutant(
        "an empty wave passes",
        progress,
        "step",
        "return pauses.pause(status, pauses.EMPTY_WAVE,",
        "return _pass_wave(scene, status, PROMOTED)\n        (lambda *_: None)(",
    ),
    Mutant(
        "an empty fleet succeeds",
        planner,
        "_start",
        "return pauses.pause(status, pauses.EMPTY_WAVE,",
        "return conditions.end(status, SUCCEEDED, 'Succeeded', '', scene.now_ms)\n        (lambda *_: None)(",
    ),
    Mutant("permits have no budget", permits, "grant", "len(busy) + (name not in busy) > budget", "False"),
    Mutant(
        "permits of offline nodes are freed",
        permits,
        "outstanding",
        "moment.lease_age_ms(node.name, newest) >= LEASE_MS",
        "not moment.online(node)",
    ),
    Mutant(
        "leases end with the time to live",
        permits,
        "outstanding",
        "moment.lease_age_ms(node.name, newest) >= LEASE_MS",
        "moment.lease_age_ms(node.name, newest) >= LEASE_MS - MAX_SWAP_MS",
    ),
    Mutant(
        "a request that stands is answered for as long again",
        permits,
        "_permit",
        "ttl_ms=moment.ttl_ms(name, report.permit_request)",
        "ttl_ms=TTL_MS + 600_000",
    ),
    Mutant(
        "a request that stands is not answered for as long",
        permits,
        "_permit",
        "ttl_ms=moment.ttl_ms(name, report.permit_request)",
        "ttl_ms=TTL_MS",
    ),
    Mutant(
        "a permit is not remembered before it is given",
        permits,
        "_is_unseen",
        "return current is None or",
        "return False and",
    ),
    Mutant("leases never end", permits, "outstanding", ">= LEASE_MS", ">= 10**12"),
    Mutant(
        "leases are forgotten with the assignment",
        permits,
        "_assignment",
        "lease=lease or (current.lease if current else None)",
        "lease=None",
    ),
    Mutant(
        "a used permit resolves at once",
        permits,
        "resolved",
        "report.target_state != specs.TargetState.STAGED or",
        "True or",
    ),
    Mutant(
        "permit numbers do not rise",
        permits,
        "grant",
        "number = max(permit_number, report.highest_permit, _last_number(node)) + 1",
        "number = 1",
    ),
    Mutant(
        "rolling back has no budget",
        planner,
        "_assign",
        "budget=max(1,",
        "budget=99 if status.state == ROLLING_BACK else max(1,",
    ),
    Mutant("a deposed leader (stale epoch) is obeyed", planner, "plan", "epoch < status.epoch", "False"),
    Mutant("settling obeys a deposed leader (stale epoch)", settling, "settle", "epoch < settled.epoch", "False"),
    Mutant(
        "a wave is skipped",
        progress,
        "_pass_wave",
        "wave=status.wave + 1",
        "wave=min(status.wave + 2, len(status.waves) - 1)",
    ),
    Mutant(
        "permits come before their wave", planner, "_desired_versions", "may_swap and not ahead and", "may_swap and"
    ),
    Mutant(
        "a superseded version runs on",
        planner,
        "_desired_versions",
        "if ahead and _runs_superseded_version",
        "if False and _runs_superseded_version",
    ),
    Mutant("offline nodes block", outcomes, "tallies", "elif not scene.reachable(name):", "elif False:"),
    Mutant(
        "offline nodes count as updated",
        outcomes,
        "tallies",
        'elif not scene.reachable(name):\n                counts["deferred"]',
        'elif not scene.reachable(name):\n                counts["updated"]',
    ),
    Mutant(
        "success is what was assigned",
        outcomes,
        "tallies",
        "scene.report(name).digest == scene.target.digest",
        "scene.nodes[name].assignment(scene.model) is not None",
    ),
    Mutant(
        "a wave without any updated node soaks",
        progress,
        "_why_not_soaking",
        "if tally.pending or not tally.updated:",
        "if False:",
    ),
    Mutant(
        "failures are not counted",
        outcomes,
        "resolved",
        "report.target_state in _FAILED",
        "False",
    ),
    Mutant("one node decides in a large fleet", waves, "judges", "fleet_nodes >= LARGE_FLEET", "False"),
    Mutant("who lies apart counts", evidence, "_side", "is not None:", "is not None and False:"),
    Mutant(
        "what cannot be counts", evidence, "_side", "[count for count in counts if _possible(count)]", "list(counts)"
    ),
    Mutant("every wave is said to judge", judging, "_can_judge", "return canary", "return True or canary"),
    Mutant("waves are what the default is now", waves, "wave_spec", "wave.asks or", ""),
    Mutant(
        "the wall clock ends a soak",
        progress,
        "_soak_and_judge",
        "scene.clock_ms - wave.soak_clock_ms",
        "scene.now_ms - wave.soak_started_ms",
    ),
    Mutant(
        "the wall clock ends a deadline",
        progress,
        "_wait_or_pause",
        "scene.clock_ms - status.progress_clock_ms",
        "scene.now_ms - status.progress_ms",
    ),
    Mutant(
        "the wall clock ends the wait for a verdict",
        progress,
        "_soak_and_judge",
        "scene.clock_ms - wave.judge_clock_ms",
        "scene.now_ms - wave.judge_since_ms",
    ),
    Mutant("a clock is written with others alone", writing, "to_write", "waits and", "False and"),
    Mutant("a soak of before counts from nothing", planner, "_with_clock_marks", "if status.clock_ms or", "if True or"),
    Mutant("a rollout waits for ever", progress, "_wait_or_pause", "if (late or", "if (False or"),
    Mutant("a verdict is waited for for ever", progress, "_soak_and_judge", "if (late or", "if (False or"),
    Mutant(
        "an abort waits for a resume",
        planner,
        "_step",
        "scene.case.rollout.aborted and",
        "scene.case.rollout.aborted and not pauses.paused(status) and",
    ),
    Mutant(
        "rolled back while nodes run the bad version",
        rollback,
        "step",
        "waiting += [name for name in reachable if name not in stuck]",
        "pass",
    ),
    Mutant(
        "an ended rollout begins again", planner, "plan", "if status.terminal:\n        return Plan(status)", "pass"
    ),
    Mutant(
        "membership is not frozen",
        planner,
        "_step",
        "return progress.step(scene, status, evidence)",
        "return progress.step(scene, replace(status, waves=tuple("
        "replace(w, nodes=tuple(n for n in w.nodes if n in scene.nodes)) for w in status.waves)), evidence)",
    ),
    Mutant(
        "two rollouts run at once",
        planner,
        "superseded_by",
        '"" if newest[rollout.model][2] == rollout.name else newest[rollout.model][2]',
        '""',
    ),
    Mutant(
        "late nodes never catch up", settling, "settle", "node.name not in busy", "node.assignment(model) is not None"
    ),
)


@contextlib.contextmanager
def seeded(mutant: Mutant) -> Iterator[None]:
    """The module with the fault in it. AssertionError when the text to replace is gone: then mend the mutant."""
    function = getattr(mutant.module, mutant.function)
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(mutant.old) == 1, f"{mutant.name}: {mutant.old!r} is not (once) in {mutant.function}"
    code = compile(source.replace(mutant.old, mutant.new), f"<{mutant.name}>", "exec", flags=0, dont_inherit=True)
    names: dict[str, object] = {}
    exec(code, mutant.module.__dict__, names)  # noqa: S102 — our own source, one line changed
    changed = names[mutant.function]
    assert isinstance(changed, types.FunctionType)
    original, function.__code__ = function.__code__, changed.__code__
    try:
        yield
    finally:
        function.__code__ = original
