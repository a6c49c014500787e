"""Rollouts under everything that may happen, with their invariants: a hypothesis state machine over `rollout_world`.

The invariants are written from the outside: they look at what agents really run, at what was written, and at what the
world allowed, and never ask the code under test whether it was right. Random rules alone miss rare orders of events, so
some rules are whole scenes (`drain`, `partition_past_the_lease`, `crash_while_paused`).
"""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from rollout_agent import Agent
from rollout_ending import Ending
from rollout_witness import Witness
from rollout_world import LEASE_MS, QUICK, WAVES, World

from skerry.core.rollout.permits import TTL_MS
from skerry.core.rollout.status import TERMINAL

BUDGET = 1
MOODS = ("good", "bad", "missing", "nan", "few", "stale", "error")
WAYS = ("graceful", "crash", "half-open")


class RolloutMachine(Ending, RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World(0)
        self.serial = 0

    @initialize(
        nodes=st.sampled_from([0, 1, 3, 4, 5]),
        stable=st.sampled_from([True, True, True, False]),
        some=st.booleans(),
        renews=st.booleans(),
    )
    def begin(self, nodes: int, stable: bool, some: bool, renews: bool) -> None:
        self.world = World(nodes, stable)
        for agent in list(self.world.agents.values())[::2]:  # the release before and this one beside each other
            agent.renews = renews
        Witness(self.world)
        self.world.run(2000)
        self.start(2, some)

    # ---- rules: the controller and time

    @rule(seconds=st.sampled_from([1, 3, 10, 40]))
    def time_passes(self, seconds: int) -> None:
        self.world.run(seconds * 1000, step_ms=max(1000, seconds * 100))

    @rule(seconds=st.sampled_from([1, 20, 120]))
    def silence(self, seconds: int) -> None:
        self.world.pass_time(seconds * 1000)

    @rule(mood=st.sampled_from(MOODS))
    def drain(self, mood: str) -> None:
        """Nobody disturbs it for a while."""
        self.world.metrics = mood
        self.world.run(60_000, step_ms=2000)

    @rule(writes=st.integers(0, 2))
    def controller_dies_while_writing(self, writes: int) -> None:
        self.world.exchange()
        self.world.reconcile(stop_after=writes)

    @rule()
    def another_leader(self) -> None:
        self.world.epoch += 1
        self.world.reconcile()

    @precondition(lambda self: self.world.epoch > 1)
    @rule()
    def a_leader_of_the_past_acts(self) -> None:
        self.world.reconcile()
        before = self.written()
        self.world.reconcile(epoch=self.world.epoch - 1)
        after = self.written()
        assert before == after, "I13: a leader of the past wrote"

    # ---- rules: people

    @rule(number=st.sampled_from([2, 3]), some=st.booleans())
    def start(self, number: int, some: bool) -> None:
        if len(self.world.rollouts) < 4:
            self.serial += 1
            waves = WAVES if some else [WAVES[0], WAVES[-1]]
            self.world.roll_out(f"r{self.serial}", number, **QUICK | {"waves": waves})
            self.world.rollouts[f"r{self.serial}"].created_ms += self.serial

    @rule(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        self.edit(paused=paused)

    @rule()
    def resume(self) -> None:
        self.world.run(1000)
        status = self.world.status(self.newest)
        self.edit(paused=False, resumedAttempt=status.attempt, resumedPause=status.pause_number)

    @rule()
    def promote(self) -> None:
        status = self.world.status(self.newest)
        if status.state == "Progressing":
            self.edit(promotedAttempt=status.attempt, promotedWave=status.wave)

    @rule()
    def abort(self) -> None:
        self.edit(desired="Abort")

    @rule(token=st.sampled_from("abc"))
    def retry(self, token: str) -> None:
        self.edit(retryToken=token, desired="Proceed")

    @precondition(lambda self: self.world.status(self.newest).state == "Progressing")
    @rule()
    def crash_while_paused(self) -> None:
        """Paused; every node restarts and stages again; whoever leads now knows only what was written."""
        self.edit(paused=True)
        for agent in self.world.agents.values():
            agent.crash()
            self.world.reconnect(agent.name)
        self.world.epoch += 1
        self.world.run(10_000)

    # ---- rules: nodes and the link

    @rule(data=st.data(), way=st.sampled_from(WAYS))
    def goes_offline(self, data: st.DataObject, way: str) -> None:
        if (agent := self.some(data)) is not None:
            self.lose(agent, way)

    @rule(data=st.data())
    def comes_back(self, data: st.DataObject) -> None:
        if (agent := self.some(data)) is not None:
            agent.alive = True
            self.world.reconnect(agent.name)

    @rule(data=st.data())
    def crashes(self, data: st.DataObject) -> None:
        if (agent := self.some(data)) is not None and agent.alive:
            agent.crash()
            if agent.connected:
                self.world.reconnect(agent.name)

    @rule(way=st.sampled_from(WAYS))
    def everybody_is_gone(self, way: str) -> None:
        for agent in self.world.agents.values():
            self.lose(agent, way)
        self.world.run(20_000, step_ms=5000)

    @rule(late=st.sampled_from([TTL_MS - 4000, LEASE_MS + 5000]), back=st.booleans())
    def a_permit_arrives_late(self, late: int, back: bool) -> None:
        """It is on its way when the line goes, and arrives just in time, or when its budget went to another long ago;
        or never, and its node stays away."""
        held = self.permits_in_flight()
        for agent in held:
            agent.connected = False
            self.mark(agent, connected=False)
        self.world.run(late, step_ms=4000)
        for agent in held if back else ():
            agent.connected = True
        self.world.exchange()
        self.world.run(6000, step_ms=2000)

    @rule(connected=st.booleans(), then=st.sampled_from(["nothing", "start", "retry", "abort", "promote"]))
    def a_swap_begins_and_the_line_goes(self, connected: bool, then: str) -> None:
        held = self.permits_in_flight()
        self.world.exchange()
        for agent in held:
            agent.connected = False
            self.mark(agent, connected=connected)
        if then == "start":
            self.start(3, False)
        elif then == "retry":
            self.edit(retryToken=f"t{self.world.now_ms}", desired="Proceed")
        elif then == "abort":
            self.abort()
        elif then == "promote":
            self.promote()
        for _ in range(3):
            self.world.now_ms += 1500
            self.world.exchange()
            self.world.reconcile()
            self.world.exchange()
            self.few_swap_at_once()

    @rule(data=st.data())
    def messages_repeat(self, data: st.DataObject) -> None:
        if (agent := self.some(data)) is not None and agent.inbox:
            agent.inbox = [*agent.inbox, *reversed(agent.inbox)]

    @precondition(lambda self: len(self.world.assignments) < 7)
    @rule(fresh=st.booleans(), incompatible=st.booleans())
    def a_node_joins(self, fresh: bool, incompatible: bool) -> None:
        agent = self.world.add_node()
        agent.incompatible = incompatible
        if fresh:
            agent.active = None

    @rule(data=st.data())
    def a_node_is_deleted(self, data: st.DataObject) -> None:
        if len(self.world.assignments) > 3 and (agent := self.some(data)) is not None:
            self.world.delete_node(agent.name)

    @precondition(
        lambda self: self.world.status(self.newest).state == "Progressing" and len(self.world.assignments) > 3
    )
    @rule()
    def the_wave_is_deleted(self) -> None:
        for name in self.world.status(self.newest).current.nodes:
            if name in self.world.agents:
                self.world.delete_node(name)
        self.world.run(4000)

    # ---- rules: versions and evidence

    @rule(mood=st.sampled_from(MOODS))
    def evidence_is(self, mood: str) -> None:
        self.world.metrics = mood

    @rule(number=st.sampled_from([2, 3]), how=st.sampled_from(["corrupt", "demanding", "unreachable_files"]))
    def artifact_turns(self, number: int, how: str) -> None:
        found = getattr(self.world, how)
        found ^= {self.world.versions[f"m-v{number}"].digest}

    @rule(data=st.data(), number=st.sampled_from([2, 3]))
    def swaps_will_fail(self, data: st.DataObject, number: int) -> None:
        if (agent := self.some(data)) is not None:
            self.world.swap_fails.add((agent.name, self.world.versions[f"m-v{number}"].digest))

    # ---- what must hold at every moment

    @invariant()
    def few_swap_at_once(self) -> None:
        swapping = [agent.name for agent in self.world.agents.values() if agent.swapping is not None]
        assert len(swapping) <= BUDGET, f"I1: {swapping} swap at once"

    @invariant()
    def nobody_is_left_without_a_version(self) -> None:
        for agent in self.world.agents.values():
            assert agent.active is not None or not agent.known_good, "I2"
            tried = agent.verified
            assert len(tried) == len(set(tried)), "I3: what failed was verified again"

    @invariant()
    def one_rollout_per_node(self) -> None:
        self.world.exchange(report=False)
        alive = [name for name in self.world.rollouts if self.world.status(name).state not in TERMINAL]
        assert (
            len([n for n in alive if self.world.status(n).state == "Progressing" and self.world.status(n).epoch]) <= 2
        )

    # ---- helpers

    @property
    def newest(self) -> str:
        return max(self.world.rollouts, key=lambda name: self.world.rollouts[name].created_ms)

    def edit(self, **spec: Any) -> None:
        self.world.edit(self.newest, **spec)

    def permits_in_flight(self) -> list[Agent]:
        """Go on in small steps until a permit is on its way; the agents it is on its way to."""
        for _ in range(25):
            held = [
                one
                for one in self.world.agents.values()
                if any(m.assignment and m.assignment.permit for m in one.inbox)
            ]
            if held:
                return held
            self.world.now_ms += 2000
            self.world.exchange()
            self.world.reconcile()
        return []

    def written(self) -> tuple[dict[str, str], dict[str, str], str]:
        statuses = {name: one.status for name, one in self.world.rollouts.items()}
        return statuses, dict(self.world.assignments), self.world.catch_up

    def some(self, data: st.DataObject) -> Agent | None:
        if not self.world.agents:
            return None
        return self.world.agents[data.draw(st.sampled_from(sorted(self.world.agents)))]

    def lose(self, agent: Agent, way: str) -> None:
        agent.connected = False
        if way == "graceful":
            self.mark(agent, connected=False)
        if way == "crash":
            agent.crash()
            agent.alive = False

    def mark(self, agent: Agent, *, connected: bool) -> None:
        report, _, seen_ms = self.world.reports[agent.name]
        self.world.reports[agent.name] = (report, connected, seen_ms)
