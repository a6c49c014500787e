"""A Predictor around another that says in each reply by which label map it counts (`core.teacher_terms`)."""

from collections.abc import Sequence
from functools import partial

from skerry.core import errors, teacher_terms
from skerry.serving.predictor import Answer, Job, Predictor
from skerry.serving.registry import Registry

_MAX_VERSIONS = 256


class SaysLabelMap:
    """Made and used on the loop's thread."""

    def __init__(self, inner: Predictor, registry: Registry) -> None:
        self._inner, self._registry = inner, registry
        self._maps: dict[str, str] = {}  # by digest of a version that was asked

    def submit(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._remember(job)
        self._inner.submit([Job(job.request, job.context, partial(self._answered, job)) for job in jobs])

    def _remember(self, job: Job) -> None:
        try:
            version = self._registry.find(job.request)
        except errors.SkerryError:
            return  # the inner one answers with it
        if version.digest not in self._maps and version.manifest.class_names:
            if len(self._maps) >= _MAX_VERSIONS:
                self._maps.clear()
            self._maps[version.digest] = version.manifest.task.digest

    def _answered(self, job: Job, answer: Answer) -> None:
        if not isinstance(answer, errors.SkerryError) and (told := self._maps.get(answer.digest)):
            answer.parameters = {**answer.parameters, teacher_terms.PARAMETER: told}
        job.finish(answer)
