"""What a rollout does, sentence by sentence, played in the simulated world of `rollout_world`.

Each scene is a function whose name is the sentence. `test_rollout_mutants` plays the same scenes against seeded faults.
"""

import pytest
import rollout_scenes


@pytest.mark.parametrize("scene", rollout_scenes.SCENES, ids=lambda scene: scene.__name__)
def test_scene(scene: rollout_scenes.Scene) -> None:
    """Every scene holds."""
    scene()
