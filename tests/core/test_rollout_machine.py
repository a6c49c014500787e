"""The rollout under random histories, and the test of the tests: seeded faults that the suite must notice.

`make test` plays 40 histories, `make test-rest` 120 and the mutants, SKERRY_LONG=1 (`make test-rollout-long`) 20,000.
"""

import os

import pytest
import rollout_machine
import rollout_mutants
import rollout_scenes
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

LONG = bool(os.environ.get("SKERRY_LONG"))
CHECKS = list(HealthCheck)
NOTICED_BY_HISTORIES = 18  # of the mutants, by a handful of random histories alone


def _play(histories: int, steps: int, phases: tuple[Phase, ...], *, derandomize: bool) -> None:
    run_state_machine_as_test(
        rollout_machine.RolloutMachine,
        settings=settings(
            max_examples=histories,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            derandomize=derandomize,
            phases=phases,
            suppress_health_check=CHECKS,
            report_multiple_bugs=False,
            print_blob=False,
        ),
    )


@pytest.mark.parametrize("histories", [20, pytest.param(20_000 if LONG else 120, marks=pytest.mark.long)])
def test_the_invariants_hold_in_every_history(histories: int) -> None:
    """I1 to I16, L1 to L3 of the rollout, under faults of agents, links, controllers, evidence and people."""
    _play(histories, 40 if LONG else 30, tuple(Phase), derandomize=not LONG)


@pytest.mark.long
@pytest.mark.parametrize("mutant", rollout_mutants.MUTANTS, ids=lambda mutant: mutant.name)
def test_a_seeded_fault_is_noticed(mutant: rollout_mutants.Mutant) -> None:
    """By a scene, or by random histories."""
    with rollout_mutants.seeded(mutant):
        assert _noticed_by_a_scene() or _noticed_by_histories(40), f"nothing fails although {mutant.name}"


@pytest.mark.long
def test_random_histories_alone_notice_most_faults() -> None:
    """Otherwise the machine would be a ritual: the scenes would do all the work."""
    missed = []
    for mutant in rollout_mutants.MUTANTS:
        with rollout_mutants.seeded(mutant):
            if not _noticed_by_histories(12):
                missed.append(mutant.name)
    assert len(rollout_mutants.MUTANTS) - len(missed) >= NOTICED_BY_HISTORIES, missed


def _noticed_by_a_scene() -> bool:
    for scene in rollout_scenes.SCENES:
        try:
            scene()
        except Exception:
            return True
    return False


def _noticed_by_histories(histories: int) -> bool:
    try:
        _play(histories, 25, (Phase.generate,), derandomize=True)
    except Exception:
        return True
    return False
