"""What is played, phase by phase, and what each shows. A phase that does not come to its end in time is told as not
reached, with what was seen; the next is played all the same where that makes sense."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.scale import ledger, measures, versions
from bench.scale.fleet import Fleet
from bench.scale.plane import GATEWAYS, MAX_UNAVAILABLE_PERCENT, Plane
from skerry.core import errors, writers

_POLL_S = 0.5
MOST_BEHIND = 400  # records that wait for the curator: a verdict needs the answers of now
Figures = dict[str, Any]


class NotReachedError(Exception):
    """What was waited for did not come."""


@dataclass
class Play:
    """`seconds_for(n)` below are patience, not pace. `results` are filled as phases end."""

    plane: Plane
    fleet: Fleet
    meter: measures.Meter
    uploads_per_s: float
    idle_s: float
    patience_s: float
    say: Callable[[str], None]
    results: list[Figures] = field(default_factory=list)
    held_s: float = 0.0  # seconds without uploads, for the curator was behind
    _released: int = 0
    _rate_told: float = 0.0

    def run(self, name: str, play: Callable[[], Figures]) -> None:
        """One phase, measured."""
        self.say(name)
        self.held_s = 0.0
        self.meter.begin(self._pids())
        figures: Figures = {}
        reached: Figures = {"reached": True}
        try:
            figures = play()
        except (NotReachedError, errors.SkerryError) as exc:
            reached = {"reached": False, "reason": str(exc)[:500]}
        measured = self.meter.end(self._pids())
        if self.plane.revived:
            measured["ended_by_itself"], self.plane.revived = self.plane.revived, []
        self.results.append({"name": name, "played": True, **reached, **measured, "figures": figures})
        self.say(f"  {self.results[-1]}")

    def leave_out(self, name: str, reason: str) -> None:
        self.results.append({"name": name, "played": False, "reason": reason})

    def _uploading(self, *, behind: bool) -> None:
        self.held_s += _POLL_S * behind
        is_idle = all(one["name"] != "idle" for one in self.results)  # until that phase is over
        wanted = 0.0 if behind or is_idle else self.uploads_per_s
        if wanted != self._rate_told:
            self.fleet.share_uploads(wanted)
            self._rate_told = wanted

    def reached(self, name: str) -> bool:
        return any(one["name"] == name and one.get("reached") for one in self.results)

    # ---- the phases

    def enrol(self) -> Figures:
        begun_s = time.monotonic()
        told = self.fleet.tell("enrol")
        enrolled_s = time.monotonic() - begun_s
        if told["enrolled"] != self.fleet.count:
            raise NotReachedError(f"{told['enrolled']} of {self.fleet.count} enrolled: {told['not_enrolled']}")
        self.fleet.tell("start")
        self._all_connected()
        return {
            "enrolled_s": round(enrolled_s, 1),
            "tries": told["enrol_tries"],
            "all_connected_s": round(time.monotonic() - begun_s, 1),
        }

    def idle(self) -> Figures:
        end = time.monotonic() + self.idle_s
        while time.monotonic() < end:
            self._pause()
        return {"connected": self.fleet.tell("status")["connected"]}

    def good(self, scale: float) -> Figures:
        digest, rollout = self._release(scale)
        return self._ended(rollout, digest, "Succeeded")

    def bad(self, scale: float, share: float) -> Figures:
        """Nobody beyond the canary may have run it."""
        digest, rollout = self._release(scale, bad_share=share)
        figures = self._ended(rollout, digest, "RolledBack")
        entries = self.fleet.entries()
        ran, status = ledger.ran(entries, digest), self._status(rollout)
        canary = set(status["waves"][0].get("nodes") or ())
        figures |= {"ran_it": len(ran), "canary": len(canary) or None}
        figures["ran_beyond_canary"] = len(ran - canary) if canary else None
        figures["verdict"] = {key: status["waves"][0].get("verdict", {}).get(key) for key in ("result", "code")}
        left = self.fleet.tell("status")["serving"].get(digest, 0)
        return figures | {"still_on_it": left}

    def gateway_killed(self, scale: float) -> Figures:
        """In the middle of a rollout; it is started again when every node has the other."""
        digest, rollout = self._release(scale)
        self._until(lambda: self._on(digest) >= self.fleet.count // 4, "a quarter of the nodes runs it")
        killed_s = self._kill(GATEWAYS[1])
        self._until(lambda: self._connected_to(0) == self.fleet.count, "every node is connected to the other gateway")
        self.plane.restart(GATEWAYS[1])
        self.meter.begin_of(GATEWAYS[1], self.plane.pids()[GATEWAYS[1]])
        figures = self._ended(rollout, digest, "Succeeded")
        back_s = ledger.all_up_after_s(self.fleet.entries(), self.fleet.count, killed_s, not_on=1)
        return figures | {"all_on_the_other_gateway_s": None if back_s is None else round(back_s, 1)}

    def controller_killed(self, scale: float) -> Figures:
        digest, rollout = self._release(scale)
        self._until(lambda: self._on(digest) >= self.fleet.count // 4, "a quarter of the nodes runs it")
        killed_s = self._kill("controller")
        self.plane.restart("controller")
        self.meter.begin_of("controller", self.plane.pids()["controller"])
        back_s = time.monotonic() - killed_s
        return self._ended(rollout, digest, "Succeeded") | {"controller_ready_s": round(back_s, 1)}

    def aborted(self, scale: float) -> Figures:
        """In its largest wave."""
        digest, rollout = self._release(scale)
        self._until(lambda: self._on(digest) >= 6 * self.fleet.count // 10, "six of ten nodes run it")
        self.plane.objects.patch("ModelRollout", rollout, manager=writers.OPERATOR, spec={"desired": "Abort"})
        written_s = time.monotonic()
        self._until(lambda: self._status(rollout).get("phase") in ("RolledBack", "RollbackIncomplete"), "it is back")
        late_s = ledger.last_permit_after_s(self.fleet.entries(), digest, written_s)
        figures = {"last_permit_after_abort_s": round(late_s, 2), "rolled_back_s": round(self._since(written_s), 1)}
        return figures | self._rollout_figures(rollout, digest)

    def cut(self, seconds: float) -> Figures:
        """All connections are closed; the nodes come back as they do by themselves."""
        self.fleet.tell("cut")
        time.sleep(seconds)
        joined_s = time.monotonic()
        self.fleet.tell("join")
        self._all_connected()
        back_s = ledger.all_up_after_s(self.fleet.entries(), self.fleet.count, joined_s)
        return {"all_back_s": None if back_s is None else round(back_s, 1)}

    # ---- steps of them

    def _release(self, scale: float, bad_share: float = 0.0) -> tuple[str, str]:
        """A version is imported; its digest, and its rollout by name."""
        digest = self.plane.import_version(scale)
        self._released += 1
        if bad_share:
            self.fleet.tell("bad", digest=digest, share=bad_share)
        return digest, f"{versions.MODEL}-v{self._released}-auto"

    def _ended(self, rollout: str, digest: str, phase: str) -> Figures:
        begun_s = time.monotonic()

        def ended() -> bool:
            found = self._status(rollout).get("phase")
            if found in ("RolledBack", "RollbackIncomplete", "Invalid", "Succeeded", "Superseded") and found != phase:
                raise NotReachedError(f"{rollout} is {found}, not {phase}: {self._words(rollout)}")
            return found == phase

        self._until(ended, f"{rollout} is {phase}", lambda: self._words(rollout))
        return {"rollout_s": round(self._since(begun_s), 1)} | self._rollout_figures(rollout, digest)

    def _rollout_figures(self, rollout: str, digest: str) -> Figures:
        told = self.fleet.tell("status")
        return {
            "rollout": rollout,
            "on_it": told["serving"].get(digest, 0),
            "failed_downloads": told["failed_downloads"],
            "uploads": told["uploads"],
            "upload_reasons": told["upload_reasons"],
            "uploads_held_s": round(self.held_s),
        }

    def _kill(self, name: str) -> float:
        self.meter.read({name: self.plane.pids()[name]})
        killed_s = time.monotonic()
        self.plane.kill(name)
        return killed_s

    def _on(self, digest: str) -> int:
        return int(self.fleet.tell("status")["serving"].get(digest, 0))

    def _status(self, rollout: str) -> Mapping[str, Any]:
        try:
            return self.plane.objects.get("ModelRollout", rollout).status
        except errors.NotFoundError:
            return {}

    def _words(self, rollout: str) -> str:
        """Where a rollout stands, for the reason of a phase."""
        status = self._status(rollout)
        said = [
            f"{one['type']} {one['status']} {one['reason']}: {one['message']}" for one in status.get("conditions", ())
        ]
        return f"{status.get('phase')} wave {status.get('wave')}; {'; '.join(said)}"

    def _connected_to(self, gateway: int) -> int:
        return int(self.fleet.tell("status")["connected_to"].get(str(gateway), 0))

    def _all_connected(self) -> None:
        self._until(lambda: self.fleet.tell("status")["connected"] == self.fleet.count, "all nodes are connected")

    def _until(self, is_so: Callable[[], bool], what: str, words: Callable[[], str] = lambda: "") -> None:
        end = time.monotonic() + self.patience_s
        while not is_so():
            if time.monotonic() > end:
                told = self.fleet.tell("status")
                seen = f"{told['connected']} connected, serving {told['serving']}"
                raise NotReachedError(f"not in {self.patience_s:.0f} s: {what}; {seen}; {words()}")
            self._pause()

    def _pause(self) -> None:
        """Meanwhile: what has ended is started again, and no more is uploaded than the curator gets done."""
        self._uploading(behind=self.meter.behind() > MOST_BEHIND)
        for name, pid in self.plane.revive().items():
            self.meter.begin_of(name, pid)
        time.sleep(_POLL_S)

    @staticmethod
    def _since(moment_s: float) -> float:
        return time.monotonic() - moment_s

    def _pids(self) -> Mapping[str, int]:
        return {**self.plane.pids(), **self.fleet.pids}


def of_ledger(entries: Sequence[ledger.Entry], nodes: int) -> Figures:
    """What must hold over all phases."""
    budget = max(1, nodes * MAX_UNAVAILABLE_PERCENT // 100)
    most = ledger.most_in_flight(entries)
    return {
        "swaps": ledger.swaps(entries),
        "most_in_flight": most,
        "max_unavailable": budget,
        "within_budget": most <= budget,
        "permits_used_twice": len(ledger.used_twice(entries)),
        "permits_falling": len(ledger.falling(entries)),
    }
