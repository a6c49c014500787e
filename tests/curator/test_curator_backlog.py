"""How far labels are behind is counted per model and told: in the reading, and to Prometheus."""

import json
from typing import Any

import curating

from skerry.curator import metrics
from skerry.curator.backlog import WaitingExamples


def reading(world: curating.World) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(world.fleetstate.get("curator:")["curator:digits"])
    return {name: told[name] for name in ("waiting", "oldestUnixMs", "teacher", "trouble", "setAside")}


def upload(world: curating.World, seeds: range, at_unix_s: float) -> None:
    world.blobs.clock_unix_s = at_unix_s
    for seed in seeds:
        world.upload(curating.example(seed))


def pass_by(world: curating.World) -> None:
    """A whole pass of the scan."""
    world.clock.now_s += world.settings.rescan_seconds
    world.work(3)


def test_a_model_without_a_teacher_tells_how_many_wait_and_since_when() -> None:
    world = curating.World()
    world.teacher.models.clear()
    upload(world, range(20), 400.0)
    upload(world, range(20, 30), 200.0)
    pass_by(world)
    told = reading(world)
    assert told == {
        "waiting": 30,
        "oldestUnixMs": 200_000,
        "teacher": "Missing",
        "trouble": "the teacher has no model digits",
        "setAside": {},
    }
    world.teacher.models.add("digits")
    world.work(20)
    pass_by(world)
    assert reading(world) == {"waiting": 0, "oldestUnixMs": 0, "teacher": "Answering", "trouble": "", "setAside": {}}


def test_a_teacher_that_is_away_is_told_at_once() -> None:
    world = curating.World()
    world.teacher.away = True
    upload(world, range(5), 400.0)
    world.work(3)
    told = reading(world)
    assert (told["waiting"], told["teacher"], told["trouble"]) == (5, "Failing", "teacher did not answer in 1 s")


def test_what_is_set_aside_waits_no_more_and_is_counted_by_reason() -> None:
    world = curating.World()
    world.teacher.away = True
    upload(world, range(3), 400.0)
    pass_by(world)
    work, *_ = world.state.teaching._waiting
    world.setting_aside.set_aside(work, "ReaderDied", "it killed three")
    world.restart()
    pass_by(world)
    told = reading(world)
    assert (told["waiting"], told["setAside"]) == (2, {"ReaderDied": 1})


def test_prometheus_reads_the_same() -> None:
    world = curating.World()
    world.teacher.models.clear()
    upload(world, range(5), 400.0)
    pass_by(world)
    families = metrics.families(world.labeling.models, world.setting_aside, lambda: 500_000)
    lines = families.render().decode().splitlines()
    assert 'skerry_labels_waiting{model="digits"} 5' in lines
    assert 'skerry_labels_oldest_seconds{model="digits"} 100' in lines
    assert 'skerry_labels_teacher_answers{model="digits"} 0' in lines


def test_of_very_many_the_age_of_some_is_looked_up_and_each_pass_learns_more() -> None:
    waiting, asked = WaitingExamples(), list[str]()

    def written(name: str) -> float:
        asked.append(name)
        return 10_000.0 - int(name)

    oldest = []
    for _ in range(4):
        waiting.begin_pass()
        for number in range(200):
            waiting.saw(f"{number}", written)
        waiting.end_pass()
        oldest.append(waiting.oldest_unix_ms)
    assert len(asked) == 200
    assert oldest == [9_937_000, 9_873_000, 9_809_000, 9_801_000]
    assert waiting.count == 200
