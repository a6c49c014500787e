"""From replies to rows. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from examples.own import Place
from examples.results import Row
from examples.scenario import Bar
from examples.steel_plates.inspection import Graded
from examples.steel_plates.offline import FOLDS, Validated
from examples.steel_plates.plates import CLASSES, FURNACE, SPLIT, Plates, recalls

NAME, TABLE = "steel_plates", "steel_plates_faults.csv"
CAPTURED = 'skerry_spool_examples_total{outcome="captured"}'
BEST = "draws"  # the way of the model's own file
BARS = {f"offline_macro_recall_{BEST}": Bar(low=0.8), f"offline_worst_class_{BEST}": Bar(low=0.5)}


@dataclass(slots=True)
class Played:
    """Answers to the `final` by the first version (`deployed`), behind the furnace by it (`before`) and by the version
    that came of the replay (`after`), and the final as it was by that one (`after_old`)."""

    final: Plates
    furnace: Plates
    deployed: Sequence[Graded] = ()
    before: Sequence[Graded] = ()
    after: Sequence[Graded] = ()
    after_old: Sequence[Graded] = ()
    replay: list[Graded] = field(default_factory=list)
    run: str = ""
    rollout: str = ""
    notes: list[str] = field(default_factory=list)
    told: Mapping[tuple[str, str], int] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    cpu_s: float = 0.0
    offline: list[Validated] = field(default_factory=list)


def rows(place: Place, played: Played) -> list[Row]:
    """Rows of replies name their version; offline ones name none, and say so."""
    furnace = ", ".join(f"{name} +{by:g}" for name, by in FURNACE.items())
    split = ", ".join(f"{name} {share:.0%}" for name, share in SPLIT.items())
    parts = (
        ("deployed", played.deployed, played.final, f"the first version on the final ({split} of each class)"),
        ("before", played.before, played.furnace, f"the first version behind the furnace ({furnace})"),
        ("after", played.after, played.furnace, "the version that learned of it, on the same plates"),
        ("after_old_furnace", played.after_old, played.final, "that version on the final as it was"),
    )
    made = []
    for name, answers, asked, note in parts:
        made += _of_replies(place, played, name, answers, asked, note)
    for one in played.offline:
        made += _of_folds(place, one)
    return made


def _of_replies(
    place: Place, played: Played, name: str, answers: Sequence[Graded], asked: Plates, note: str
) -> list[Row]:
    digest = answers[-1].digest
    mine = [answer for answer in answers if answer.digest == digest]
    at = np.array([answer.index for answer in mine])
    told = recalls(np.array([answer.answer for answer in mine]), asked.y[at])
    by_node = dict(sorted(Counter(answer.node for answer in mine).items()))
    said = "; ".join([note, *played.notes])
    values = {
        f"macro_recall_{name}": float(np.nanmean(told)),
        f"worst_class_{name}": float(np.nanmin(told)),
    }
    return [
        Row(
            scenario=NAME,
            metric=metric,
            value=round(value, 6),
            bar="",
            passed=None,
            seeds=(place.seed,),
            data=TABLE,
            n=len(mine),
            data_sha256=place.digests[TABLE],
            version_digest=digest,
            answered_by=by_node,
            run=played.run if name.startswith("after") else "",
            rollout=played.rollout if name.startswith("after") else "",
            cpu_s=round(played.cpu_s, 1),
            note=f"{said}; worst: {CLASSES[int(np.nanargmin(told))]}" if metric.startswith("worst") else said,
        )
        for metric, value in values.items()
    ]


def _of_folds(place: Place, validated: Validated) -> list[Row]:
    worst = int(validated.recalls.argmin())
    values = {
        f"offline_macro_recall_{validated.way}": float(validated.recalls.mean()),
        f"offline_worst_class_{validated.way}": float(validated.recalls[worst]),
    }
    made = []
    for metric, value in values.items():
        bar = BARS.get(metric)
        said = f"offline, {FOLDS} folds, {FOLDS} networks: no deployed version"
        made.append(
            Row(
                scenario=NAME,
                metric=metric,
                value=round(value, 6),
                bar=str(bar) if bar else "",
                passed=bar.holds(value) if bar else None,
                seeds=(place.seed,),
                data=TABLE,
                n=validated.plates,
                data_sha256=place.digests[TABLE],
                cpu_s=round(validated.cpu_s, 1),
                note=f"{said}; worst: {CLASSES[worst]}" if metric.startswith("offline_worst") else said,
            )
        )
    return made


def kept(played: Played) -> Mapping[str, int]:
    """How many answers each node said it keeps."""
    answers = [*played.deployed, *played.before, *played.replay, *played.after, *played.after_old]
    return Counter(answer.node for answer in answers if answer.token)


def disagreements(played: Played) -> Sequence[str]:
    """Where the agents' own counts are not ours, for people."""
    wrong = []
    for node, metrics in played.metrics.items():
        told = played.told.get((node, "RECORDED"), 0)
        for name, ours in (
            (CAPTURED, kept(played).get(node, 0)),
            ('skerry_feedback_total{outcome="recorded"}', told),
        ):
            if metrics.get(name) != ours:
                wrong.append(f"{node}: {name} is {metrics.get(name)}, and {ours} were counted here")
    return wrong
