"""What must come of a rollout in the end, whatever happened before: liveness, proved after the faults have stopped."""

from typing import Any

from rollout_world import World

from skerry.core import rollout


class Ending:
    """The last act of the state machine, which gives it `world`, `newest`, `edit` and `resume`."""

    world: World

    @property
    def newest(self) -> str:
        raise NotImplementedError

    def edit(self, **spec: Any) -> None:
        raise NotImplementedError

    def resume(self) -> None:
        raise NotImplementedError

    def teardown(self) -> None:
        """Faults stop, but one node stays away for ever and nobody mends the evidence: everything comes to an end or
        asks an operator, and every node that answers runs what it shall."""
        if not self.world.rollouts:
            return
        self.heal()
        self.world.run(500_000, step_ms=5000)
        status = self.world.status(self.newest)
        assert status.terminal or status.pause_reasons or not accepted(status), (
            f"L1: {status.state}: {status.conditions}"
        )
        self.world.metrics = "good"
        for _ in range(3):
            if not self.world.status(self.newest).terminal:
                self.resume()
                self.world.run(150_000, step_ms=5000)
        self.edit(desired="Abort")
        self.world.run(240_000, step_ms=5000)
        for name in self.world.rollouts:
            assert self.world.status(name).terminal, f"L1: {name} does not end although it was aborted"
        self.everybody_converges()

    def heal(self) -> None:
        """All but one of those who are away come back."""
        self.world.unreachable_files.clear()
        away = [agent for agent in self.world.agents.values() if not (agent.alive and agent.connected)]
        for agent in self.world.agents.values():
            if agent not in away[:1] or len(self.world.agents) < 2:
                agent.alive = True
                self.world.reconnect(agent.name)
        self.edit(paused=False)

    def everybody_converges(self) -> None:
        stable = self.world.versions.get(self.world.stable)
        for agent in self.world.agents.values():
            if stable is None or agent.active == stable or not (agent.alive and agent.connected):
                continue
            aims = [aim for aim in agent.refused if aim[0] == stable.digest]
            assert aims, f"L2: {agent.name} runs {agent.active}, not {stable.name}, and refused nothing"


def accepted(status: rollout.Status) -> bool:
    return any(one.type == "Accepted" and one.status == "True" for one in status.conditions)
