"""Scenes of rollouts in the simulated world: each a story with one end, named by the sentence that it proves.

They are the fact table of the plan: pytest plays them one by one, and the seeded faults are played against all of them.
"""

from rollout_scenes import clocks, faults, large_fleets, leases, people, road, standing_requests
from rollout_scenes.stage import SCENES, Scene

__all__ = ["SCENES", "Scene", "clocks", "faults", "large_fleets", "leases", "people", "road", "standing_requests"]
