"""Deletes finished rollouts and training runs beyond what is kept (`core.history`): a few at a time, and none that was
written since it was looked at."""

from collections.abc import Sequence

from skerry.adapters.objects.protocol import Object
from skerry.adapters.telemetry import logs
from skerry.controller import condition_json, parsed
from skerry.controller.store import Store
from skerry.core import errors, history, rollout, specs

log = logs.logger("controller")

_AT_ONCE = 100  # deletions in one look


class History:
    """`keep_…`: of each model."""

    def __init__(self, store: Store, *, keep_rollouts: int, keep_runs: int) -> None:
        self._store, self._keep_rollouts, self._keep_runs = store, keep_rollouts, keep_runs
        self._going = parsed.Parsed[bool](_goes_on)

    def delete_surplus(self) -> None:
        """Raises UnavailableError, ConflictError: what is left goes at the next look."""
        self._delete_rollouts()
        runs = self._store.list("TrainingRun")
        published = {
            str(version.spec.get("run", ""))
            for version in self._store.list("ModelVersion")
            if condition_json.is_true(version.status, "Available")
        }
        _delete(self._store, runs, history.surplus([_past(one, "") for one in runs], self._keep_runs, published))

    def _delete_rollouts(self) -> None:
        listed = self._store.list("ModelRollout")
        if len(listed) <= self._keep_rollouts:
            return
        moving = {one.spec.get("model") for one in listed if self._going.of(one)}  # it may look back at any of before
        self._going.keep(listed)
        resting = [one for one in listed if one.spec.get("model") not in moving]
        past = [_rollout(one) for one in resting]
        if not history.surplus(past, self._keep_rollouts, ()):
            return
        try:
            named = _named_by_nodes(self._store)
        except errors.InputError:
            return  # told of where nodes are read; whoever cannot be read may name any
        _delete(self._store, resting, history.surplus(past, self._keep_rollouts, named))


def _delete(store: Store, things: Sequence[Object], names: Sequence[str]) -> None:
    by_name = {thing.name: thing for thing in things}
    for name in names[:_AT_ONCE]:
        thing = by_name[name]
        store.delete(thing)
        log.info("history_deleted", kind=thing.kind, name=name, model=thing.spec.get("model"))


def _named_by_nodes(store: Store) -> set[str]:
    named = set[str]()
    for thing in store.list("EdgeNode"):
        node = store.nodes.of(thing)
        named |= {one.rollout for one in node.assignments}
        named |= {one.lease.rollout for one in node.assignments if one.lease}
        named |= {report.target_rollout for report in node.reports}
    return named


def _goes_on(thing: Object) -> bool:
    try:
        spec, status = specs.parse_rollout(thing.name, thing.spec), rollout.from_json(thing.name, thing.status)
    except errors.InputError:
        return not condition_json.is_terminal(thing.status)
    return rollout.active(spec, status)


def _rollout(thing: Object) -> history.Past:
    succeeded = condition_json.is_true(thing.status, "Succeeded")
    return _past(thing, str(thing.spec.get("fleet") or "all") if succeeded else "")


def _past(thing: Object, last_good: str) -> history.Past:
    ended_ms = int(thing.status.get("finishedUnixMs") or 0) or thing.created_unix_ms
    is_ended = condition_json.is_terminal(thing.status)
    return history.Past(
        thing.name, str(thing.spec.get("model")), ended_ms if is_ended else 0, thing.created_unix_ms, last_good
    )
