"""A version as a function: rows as callers send them in, outputs as callers see them out.

Preprocessing, hidden state and the network are one here; clients, batches and threads are not known.
Numbers that are not finite are an error on the way in (the caller's) and on the way out (the version's).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.core import errors, preprocessing, tensors
from skerry.core.manifest import Manifest
from skerry.serving import runtime

Arrays = Sequence[NDArray[Any]]


class NotFiniteError(errors.IntegrityError):
    """The network answered with NaN or an infinity: no class may be read from that."""


class Network:
    """Made by `load`. Calls may come from one thread at a time."""

    def __init__(self, manifest: Manifest, session: runtime.Session) -> None:
        self.manifest = manifest
        self.output_names = tuple(spec.name for spec in manifest.outputs)
        self.state_names = tuple(state.input for state in manifest.state)
        self.fixed_rows = session.fixed_rows
        self.switch = session.switch
        self._session = session
        self._steps = manifest.preprocessing
        self._client_names = tuple(spec.name for spec in manifest.inputs)
        dtypes = (tensors.DTYPES[spec.datatype] for spec in manifest.network_inputs)
        feed_names = (spec.name for spec in manifest.network_inputs)
        self._feeding = tuple(zip(self._client_names, feed_names, dtypes, strict=True))
        self._fetched = (*self.output_names, *(state.output for state in manifest.state))

    @classmethod
    def load(cls, manifest: Manifest, model: bytes, *, provider: str = "cpu", threads: int = 1) -> "Network":
        """Raises IntegrityError: the runtime cannot load it, or it is not the network that the manifest describes."""
        what = f"model {manifest.model} ({manifest.files['model'].name})"
        session = runtime.Session(model, what, provider=provider, threads=threads)
        states = [tensors.Spec(state.input, state.datatype, state.shape) for state in manifest.state]
        after = [tensors.Spec(state.output, state.datatype, state.shape) for state in manifest.state]
        _match(what, "input", [*manifest.network_inputs, *states], session.inputs, exact=True)
        _match(what, "output", [*manifest.outputs, *after], session.outputs, exact=False)
        return cls(manifest, session)

    def answer(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Outputs in the manifest's order for rows of every client input; a stateful network starts from zeros.
        Raises as `run`."""
        rows = [inputs[name] for name in self._client_names]
        outputs, _ = self.run(rows, self.fresh_state(len(rows[0])))
        return outputs

    def answer_twice(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Everything that the network gives for these rows, by name: outputs and, where it keeps state, the state
        after. Rows of a stateful network are two steps of as many sequences: the second goes on from the first's state.
        Raises as `run`."""
        rows = [inputs[name] for name in self._client_names]
        outputs, state = self.run(rows, self.fresh_state(len(rows[0])))
        given = dict(zip(self._fetched, (*outputs, *state), strict=True))
        if state:
            outputs, state = self.run(rows, state)
            second = (f"{name} (second step)" for name in self._fetched)
            given.update(zip(second, (*outputs, *state), strict=True))
        return given

    def run(self, inputs: Arrays, state: Arrays = ()) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        """(outputs, state after) for a batch: client inputs in the manifest's order, and the state before.

        Raises InputError (an input is not finite, does not fit the preprocessing, or is refused by the network);
        TooLargeError (too little memory); NotFiniteError; RunStoppedError; IntegrityError (the network failed).
        """
        feeds: dict[str, NDArray[Any]] = {}
        for (name, feed_name, dtype), rows in zip(self._feeding, inputs, strict=True):
            if not tensors.is_finite(rows):
                raise errors.InputError(f"input {name!r} holds NaN or an infinity: send finite numbers only")
            fed = rows if feeds or not self._steps else preprocessing.apply(self._steps, rows)
            if fed.dtype != dtype:
                raise errors.InputError(f"network input {feed_name!r} must be {dtype}, not {fed.dtype}")
            feeds[feed_name] = fed
        if self.state_names:
            feeds.update(zip(self.state_names, state, strict=True))
        fetched, count = self._session.run(self._fetched, feeds), len(inputs[0])
        for name, values in zip(self._fetched, fetched, strict=True):
            if not tensors.is_finite(values) or not values.ndim or len(values) != count:
                raise NotFiniteError(
                    f"model {self.manifest.model!r} gave no usable {name!r} (NaN, an infinity, or too few rows)"
                )
        outputs = len(self.output_names)
        return fetched[:outputs], fetched[outputs:]

    def fresh_state(self, rows: int) -> list[NDArray[Any]]:
        """Zeros for `rows` sequences; empty for a network without state."""
        return [np.zeros((rows, *state.shape), dtype=tensors.DTYPES[state.datatype]) for state in self.manifest.state]


def _match(what: str, kind: str, wanted: Sequence[tensors.Spec], found: Sequence[tensors.Spec], *, exact: bool) -> None:
    """The file has each tensor that the manifest names, with its datatype and a shape that can be the same."""
    by_name = {spec.name: spec for spec in found}
    if exact and (extra := by_name.keys() - {spec.name for spec in wanted}):
        raise errors.IntegrityError(f"{what} wants {kind} {min(extra)!r}, which its manifest does not name")
    for spec in wanted:
        there = by_name.get(spec.name)
        if there is None:
            raise errors.IntegrityError(f"{what} has no {kind} {spec.name!r}, which its manifest names")
        fits = len(there.shape) == len(spec.shape) and all(
            tensors.FREE in (mine, theirs) or mine == theirs
            for mine, theirs in zip(spec.shape, there.shape, strict=True)
        )
        # The rank of an output is sometimes unknown to the runtime; the golden set then finds a wrong one.
        if there.datatype != spec.datatype or not (fits or (kind == "output" and not there.shape)):
            raise errors.IntegrityError(
                f"{what}: {kind} {spec.name!r} is {there.datatype} {list(there.shape)}, its manifest says "
                f"{spec.datatype} {list(spec.shape)}"
            )
