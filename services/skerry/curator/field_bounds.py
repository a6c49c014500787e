"""The error above which an answer of a version is bad, as manifests say.

Both sides of a comparison are held to one number: a version inherits that of the version before it. One that says none
(imported by an earlier release, without a holdout), or whose manifest is not in the blobs, is held to what the newest
trained version of its model says.
"""

from collections.abc import Callable

from skerry.adapters import blobs as blob_store
from skerry.adapters.blobs.protocol import Blobs
from skerry.adapters.objects.protocol import Objects
from skerry.adapters.telemetry import logs
from skerry.core import errors, manifest

_AGAIN_S = 60.0  # a bound that is not known is looked for again after that
_MOST = 1000  # versions that are remembered

UNKNOWN = 0.0

_log = logs.logger("curator")


class FieldBounds:
    """`monotonic` counts seconds."""

    def __init__(self, blobs: Blobs, objects: Objects, monotonic: Callable[[], float]) -> None:
        self._blobs, self._objects, self._monotonic = blobs, objects, monotonic
        self._known: dict[tuple[str, str], tuple[float, float]] = {}  # by model and digest: the bound, and when read

    def of(self, model: str, digest: str) -> float:
        """UNKNOWN: no holdout set one, or nothing says so. Raises UnavailableError."""
        now_s = self._monotonic()
        bound, at_s = self._known.get((model, digest), (UNKNOWN, -_AGAIN_S))
        if bound == UNKNOWN and now_s - at_s >= _AGAIN_S:
            bound = self._written(model, digest) or self._of_trained(model)
            if bound == UNKNOWN and (model, digest) not in self._known:
                text = "no holdout set a bound of its error: its answers are no evidence, and no rollout is judged"
                _log.warning("bound_unknown", model=model, digest=digest, message=text)
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[model, digest] = bound, now_s
        return bound

    def _of_trained(self, model: str) -> float:
        mine = [
            version.spec
            for version in self._objects.list("ModelVersion")
            if version.spec.get("model") == model and version.spec.get("source") != "Imported"
        ]
        newest = max(mine, key=lambda spec: int(spec["version"]), default=None)
        return UNKNOWN if newest is None else self._written(model, str(newest["digest"]))

    def _written(self, model: str, digest: str) -> float:
        try:
            version = manifest.from_json(blob_store.fetch(self._blobs, digest, manifest.MAX_BYTES))
        except (errors.InputError, errors.NotFoundError, errors.IntegrityError, errors.TooLargeError):
            return UNKNOWN
        return version.confidence.bound if version.model == model else UNKNOWN
