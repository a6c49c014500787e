"""What becomes of a worse version, published as an operator would: the gates refuse it by the series' own table, and
the canary where it was judged by a table that does not fit the field."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from examples import change, faulty
from examples.client import Answer
from examples.scenario import Scenario, options
from examples.series_clock import SeriesClock
from examples.spans import Spans
from examples.stack import Stack, has_ended, moving
from skerry.adapters import blobs
from skerry.cli.demo import event_log
from skerry.core import errors, manifest, specs

_LOOK_EVERY, _VERDICT_S = 25, 90.0


@dataclass(slots=True)
class Worse:
    """`refusal` by the gates (empty: they took it); otherwise `is_found`: did a verdict take its rollout back, and
    `why`."""

    refusal: str = ""
    rollout: str = ""
    is_found: bool = False
    why: str = ""
    answers: list[Answer] = field(default_factory=list)


def play(stack: Stack, clock: SeriesClock, example: Scenario, model: specs.EdgeModel, cut: Spans, found: Worse) -> None:
    """Import it twice, and ask the final's moments again while its canary is judged. Fills `found`, as far as it comes.
    Raises SkerryError."""
    stage, held = cut.base.parent, cut.between
    onnx_file = stage / "other-sensor.onnx"
    onnx_file.write_bytes(_network(stack, example, model))
    command = ("models", "import", str(onnx_file), "--name", model.name)
    try:
        stack.skerry(*command, *_holdout(held, example))
    except errors.RejectedError as exc:
        found.refusal = str(exc).replace(f"{stage}/", "")
    else:
        return
    target = model.task.to_json()["forecast"]["target"]
    scaled = faulty.table(held, target, example.worse_factor, stage / "other-sensor.csv")
    before = len(stack.look().of("ModelRollout"))
    try:
        stack.skerry(*command, *_holdout(scaled, example))
    except errors.RejectedError as exc:
        found.why = f"the gates refuse it by the other sensor's table too: {exc}"
        return
    stack.until("the worse version is rolled out", lambda seen: len(seen.of("ModelRollout")) > before, _VERDICT_S)
    for index in range(len(cut.final)):
        found.answers.append(clock.ask(cut.final, index, "worse"))
        if index % _LOOK_EVERY == 0 and not moving(stack.look()):
            break
    clock.run_out()
    _verdict(stack, found)


def _verdict(stack: Stack, found: Worse) -> None:
    """Of the canary; a rollout that was ended by hand or by a failing node is not found."""
    with contextlib.suppress(errors.UnavailableError):
        stack.until("the worse version has its verdict", lambda seen: not moving(seen), _VERDICT_S)
    rollout = event_log.newest(stack.look().of("ModelRollout"))[-1]
    verdicts = [wave.get("verdict") or {} for wave in rollout.status.get("waves", [])]
    failed = any(verdict.get("result") == "Fail" for verdict in verdicts)
    found.rollout = rollout.name
    found.is_found = failed and has_ended(rollout) and rollout.status.get("phase") == "RolledBack"
    found.why = "; ".join(filter(None, (str(verdict.get("reason", "")) for verdict in verdicts))) or "no verdict"
    if not has_ended(rollout):
        stack.skerry("rollout", "abort", rollout.name)
        found.why += "; aborted by hand"


def _holdout(table: Path, example: Scenario) -> Sequence[str]:
    given = options(example.choices)
    share = given.index("--holdout")
    return [*given[:share], "--holdout", str(table), *given[share + 2 :]]


def _network(stack: Stack, example: Scenario, model: specs.EdgeModel) -> bytes:
    """Of the stable version."""
    seen = stack.look()
    stable = seen.of("EdgeModel")[model.name].status["stableVersion"]
    store = blobs.open_blobs(stack.system.layout.blobs_url)
    digest = str(seen.of("ModelVersion")[stable].spec["digest"])
    described = manifest.from_json(blobs.fetch(store, digest, manifest.MAX_BYTES))
    served = blobs.fetch(store, described.files["model"].digest, manifest.MAX_FILE_BYTES)
    columns = change.columns(example, model)
    return faulty.network(served, example.worse_factor, columns, model.input.shape[1], model.input.name)
