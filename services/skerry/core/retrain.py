"""Is a training run worth it now? Enough new labelled examples, or fewer of them and drift; never two at once.

The dataset is what a run learns from, so the same dataset is not trained on twice by itself: a run that failed waits
for new data or for a person. Counting, reading and starting are the controller's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from skerry.core import drift, truth_delay
from skerry.core.specs.model import EdgeModel

NOTHING, NO_TRUTHS, NO_INPUTS = drift.Window(), drift.Truths(), drift.Inputs()


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about a model now.

    `new_examples`: labelled since the dataset of the last run; `dataset`, `last_dataset`: digests of the newest dataset
    and of the last run's; `last_run_ms`: when the last run ended, 0 for none; `active_run`, `active_rollout`: names, or
    empty; `reference`: confidence counts of the stable version's holdout, empty when not known; `window`, `truths`,
    `inputs`: what the nodes that serve the stable version read lately.
    """

    new_examples: int = 0
    dataset: str = ""
    last_dataset: str = ""
    last_run_ms: int = 0
    active_run: str = ""
    active_rollout: str = ""
    reference: tuple[int, ...] = ()
    window: drift.Window = NOTHING
    truths: drift.Truths = NO_TRUTHS
    inputs: drift.Inputs = NO_INPUTS


@dataclass(frozen=True, slots=True)
class Decision:
    """`reason` is one CamelCase word, `message` a sentence; both go into the TrainingRun when it fires."""

    fire: bool
    reason: str
    message: str


def newest_dataset(reading: Mapping[str, Any], imported: str) -> str:
    """The dataset that a curator names in its reading. Empty when it names none, and while that one was not made on
    what was imported last, EdgeModel.spec.datasetDigest: a run on it would not learn what a person just gave. Curators
    of earlier releases do not tell what they made it on."""
    named, base = reading.get("datasetDigest", ""), reading.get("baseDigest", imported)
    return named if isinstance(named, str) and base == imported else ""


def should_retrain(model: EdgeModel, facts: Facts, *, now_ms: int) -> Decision:
    """Whether to start a run on `facts.dataset`, and why or why not."""
    if (waiting := _not_now(model, facts, now_ms)) is not None:
        return waiting
    policy, new = model.retrain, facts.new_examples
    if new >= policy.min_new_examples:
        return Decision(True, "EnoughExamples", f"{new} new labelled examples, {policy.min_new_examples} are asked for")
    expected = drift.expected_hard_share(model.task, model.offload.target_rate_permille / 1000)
    judged = drift.judge(facts.reference, facts.window, expected, policy)
    if judged.outcome is not drift.Outcome.DRIFT:
        moved = drift.judge_inputs(facts.inputs, policy)
        judged = moved if moved.outcome is drift.Outcome.DRIFT else judged
    if judged.outcome is not drift.Outcome.DRIFT:
        overlap = truth_delay.of(model.task).overlap
        covered = drift.judge_coverage(facts.truths, model.task.coverage, overlap, policy)
        judged = covered if covered.outcome is drift.Outcome.DRIFT else judged
    if judged.outcome is not drift.Outcome.DRIFT:
        return Decision(False, "Waiting", f"{new} of {policy.min_new_examples} new examples; {judged.reason}")
    if new < policy.drift_min_examples:
        text = f"{judged.reason}; {new} of {policy.drift_min_examples} new examples that drift asks for"
        return Decision(False, "DriftSeen", text)
    return Decision(True, judged.code, f"{judged.reason}; {new} new labelled examples")


def _not_now(model: EdgeModel, facts: Facts, now_ms: int) -> Decision | None:
    """Why no run may start whatever the numbers say, or None."""

    def no(reason: str, message: str) -> Decision:
        return Decision(False, reason, message)

    if not model.retrain.enabled:
        return no("Disabled", "retrain.enabled is false")
    if model.network is None:
        return no("NoNetwork", f"EdgeModel {model.name} names no network: it is served and not retrained")
    if facts.active_run:
        return no("RunActive", f"{facts.active_run} runs")
    if facts.active_rollout:
        return no("RolloutActive", f"{facts.active_rollout} is not at its end")
    if not facts.dataset:
        return no("NoDataset", "no dataset was built yet")
    if facts.dataset == facts.last_dataset:
        return no("NothingNew", "the last run had the same dataset")
    wait_ms = facts.last_run_ms + 1000 * model.retrain.cooldown_s - now_ms
    if facts.last_run_ms and wait_ms > 0:
        return no("CoolingDown", f"the last run ended less than {model.retrain.cooldown_s} s ago")
    return None
