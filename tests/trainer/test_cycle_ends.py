"""Every way a run must end in words."""

from typing import Any

import pytest
from training_runs import play, proposal, publish
from training_world import MODEL, World

from skerry.core import datasets, digests, errors, gates, writers

STREAMING = {"classes": 3, "features": 8, "hidden": 8, "streaming": True}


@pytest.mark.parametrize(
    ("changes", "more", "word"),
    [
        pytest.param(
            {"network": {"factory": "own_networks:pres"}}, {}, "no function 'pres'", id="a typo in the network"
        ),
        pytest.param({"network": {"factory": "own_networks:explodes"}}, {}, "loss is no number", id="a diverging run"),
        pytest.param(
            {"network": {"factory": "own_networks:softmaxed", "options": {"dim": 0}}},
            {},
            "spec.network: its rows influence one another",
            id="rows that know each other",
        ),
        pytest.param(
            {"network": {"factory": "own_networks:softmaxed"}}, {}, "leave its last softmax out", id="softmax"
        ),
        pytest.param(
            {}, {"overrides": {"augment": "shift", "prunePermille": 500}}, "slimmed", id="pruning what cannot be"
        ),
        pytest.param({"preprocessing": [{"op": "reshape", "shape": [7]}]}, {}, "cannot become", id="a wrong reshape"),
        pytest.param(
            {
                "network": {"factory": "skerry.nets.rnn:rows", "options": STREAMING},
                "preprocessing": [{"op": "reshape", "shape": [10, 8]}],
            },
            {"overrides": {"epochs": 1}},
            "a streaming network needs its time axis",
            id="pieces that cannot be reshaped",
        ),
    ],
)
def test_what_cannot_work_ends_in_words_and_proposes_nothing(
    changes: dict[str, Any], more: dict[str, Any], word: str
) -> None:
    world = World(**changes)
    with pytest.raises(errors.InputError, match=word):
        play(world, "run", world.standard(), **more)
    assert not world.blobs.exists("proposals/run.json")


def test_a_stable_version_whose_files_are_gone_is_an_error_and_not_a_pass() -> None:
    world = World()
    play(world, "first", world.standard())
    publish(world, "first", 1)
    world.blobs.delete(digests.blob_path(proposal(world, "first")["files"]["model"]))
    verdict = play(world, "second", world.standard())
    assert verdict.outcome is gates.Outcome.ERROR and "press-v1" in verdict.reason


def test_a_version_with_other_inputs_cannot_be_compared() -> None:
    world = World()
    play(world, "first", world.standard())
    publish(world, "first", 1)
    renamed = {"input": {"name": "frame", "datatype": "FP32", "shape": [20, 4]}}
    world.objects.patch("EdgeModel", MODEL, manager=writers.OPERATOR, spec=renamed)
    frames = datasets.Input("frame", "FP32", (20, 4))
    verdict = play(world, "second", world.standard(input=frames))
    assert verdict.outcome is gates.Outcome.ERROR and "frame FP32" in verdict.reason
