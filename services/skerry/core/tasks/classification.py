"""One class out of several: logits or probabilities, calibrated max-softmax, 0 or 1 lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry.core import class_labels, class_maps, confidence, extremes, label_map
from skerry.core.confidence import Calibration, Outputs
from skerry.core.inference import Parameter
from skerry.core.tasks import columns

NO_CLASS = -1
_SHOWN = 100  # outputs of a row
_SOFT_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Classification:
    """`former`: the classes that the model had before, and what became of them; the oldest first."""

    class_names: tuple[str, ...] = ()
    former: class_maps.Former = ()

    @property
    def name(self) -> str:
        return "Classification"

    @property
    def width(self) -> int:
        return len(self.class_names)

    @property
    def coverage(self) -> float:
        return 0.0

    @property
    def digest(self) -> str:
        """That of the label map."""
        return label_map.digest(self.class_names)

    @property
    def horizon_ms(self) -> int:
        return 0

    @property
    def step_ms(self) -> int:
        return 0

    @property
    def waits_for_truth(self) -> bool:
        """A teacher can tell a class."""
        return False

    def to_json(self) -> dict[str, Any]:
        named: dict[str, Any] = {"classNames": list(self.class_names)}
        return named | ({"classMap": [entry.to_json() for entry in self.former]} if self.former else {})

    def meanings(self, digest: str) -> tuple[int, ...] | None:
        return class_maps.table(self.former, self.class_names, digest)

    @property
    def is_mapped(self) -> bool:
        return bool(self.former)

    def counted_in(self, digest: str) -> "Classification | None":
        """The classes of the label map with this digest: these, former ones, or a beginning of either."""
        for names in (self.class_names, *(entry.names for entry in self.former)):
            if (length := label_map.length(digest, names)) is not None:
                return Classification(names[:length])
        return None

    @property
    def oldest_digest(self) -> str:
        return label_map.digest(self.former[0].names if self.former else self.class_names)

    def cannot_read(self, data: object) -> str:
        if isinstance(data, Classification) and self.meanings(data.digest) is not None:
            return ""
        return self.difference(data)

    def difference(self, version: object) -> str:
        if not isinstance(version, Classification):
            return f"it answers {version}, not one of the model's classes"
        if version.former != self.former[: len(version.former)]:
            return "its classMap is not that of the model"
        if label_map.fault(version.class_names, self.class_names):
            return f"its classes are no beginning of the model's: {self._departs(version.class_names)}"
        return ""

    def change(self, after: object) -> str:
        if not isinstance(after, Classification):
            return f"it answers {after}, the version before it {self}"
        fault = label_map.fault(self.class_names, after.class_names)
        if not fault or after.meanings(self.digest) is not None:
            return ""
        return f"classes may only be added to those of the version before it, or mapped by classMap: {fault}"

    def confidences(self, outputs: NDArray[Any], calibration: Calibration) -> Sequence[float]:
        kind, temperature = calibration.outputs, calibration.temperature
        if len(outputs) == 1:  # every request pays for it
            return (confidence.confidence_of(outputs[0].tolist(), kind, temperature),)
        sure: list[float] = confidence.max_softmax(confidence.as_logits(outputs, kind), temperature).tolist()
        return sure

    def calibrate(self, outputs: NDArray[Any], truth: NDArray[Any], rate: float, kind: Outputs | str) -> Calibration:
        """Without a usable row: the neutral calibration, which offloads nothing."""
        usable = np.isfinite(outputs).all(axis=1)
        if not usable.any():
            return Calibration(outputs=Outputs(kind))
        usable[usable] = ~extremes.unusual(outputs[usable])  # one huge logit would be the whole likelihood
        logits = confidence.as_logits(outputs[usable], kind)
        temperature = confidence.fit_temperature(logits, truth[usable])
        sure = confidence.max_softmax(logits, temperature)
        threshold = round(confidence.threshold_for_rate(sure, rate), 6)
        return Calibration(round(temperature, 6), threshold, confidence.histogram(sure), Outputs(kind))

    def classes(self, outputs: NDArray[Any]) -> NDArray[np.int64]:
        """int64 [n], the class that each answer means; -1 for one that is not finite."""
        usable = np.isfinite(outputs).all(axis=1)
        return np.asarray(np.where(usable, np.nan_to_num(outputs).argmax(axis=1), NO_CLASS), dtype=np.int64)

    def row_loss(self, outputs: NDArray[Any], truth: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(self.classes(outputs) != truth, dtype=np.float64)

    def is_bad(self, outputs: NDArray[Any], truth: NDArray[Any], bound: float) -> NDArray[Any]:
        """Another class than the truth's; there is no bound."""
        return np.asarray(self.classes(outputs) != truth)

    def residual(self, outputs: NDArray[Any], truth: int | tuple[float, ...]) -> None:
        return None

    def no_truth(self, rows: int) -> NDArray[Any]:
        return np.full(rows, NO_CLASS, dtype=np.int64)

    def has_truth(self, truth: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(truth != NO_CLASS)

    def column_fault(self, truth: NDArray[Any], soft: NDArray[Any]) -> columns.ColumnFault | None:
        classes = soft.shape[1]
        none = np.isnan(soft).all(axis=1)
        with np.errstate(invalid="ignore"):
            sums_to_one = np.abs(soft.sum(axis=1) - 1.0) <= _SOFT_SUM_TOLERANCE
            good = sums_to_one & (soft >= 0).all(axis=1)
        return columns.first(
            ("y", (truth < NO_CLASS) | (truth >= classes), f"a class in 0..{classes - 1}, or -1 for none"),
            ("soft", ~(good | none), "probabilities that add up to 1, or NaN throughout"),
        )

    def truth_fault(self, truth: int | tuple[float, ...]) -> str:
        if not isinstance(truth, int):
            return "a value was given, and the model answers a class: give the label"
        if not 0 <= truth < len(self.class_names):
            return f"label {truth} is no class: it must be in 0..{len(self.class_names) - 1}"
        return ""

    def in_terms_of(self, outputs: NDArray[Any], kind: Outputs | str) -> NDArray[Any]:
        return confidence.in_terms_of(outputs, kind)

    def truth_text(self, truth: int | tuple[float, ...]) -> str:
        return self.class_names[truth] if isinstance(truth, int) else str(truth)

    def quality(self, gates: Mapping[str, Mapping[str, float]]) -> str:
        recall = gates.get("imported-learned", {}).get("macroRecall")
        return "" if recall is None else f"macro recall {recall:.1%}"

    def described(self, outputs: NDArray[Any]) -> dict[str, Any]:
        kind = "probabilities" if confidence.are_probabilities(outputs) else "logits"
        rows = []
        for row in outputs:
            best, shown = int(row.argmax()), [float(value) for value in row[:_SHOWN]]
            name = self.class_names[best] if best < len(self.class_names) else str(best)
            text = f"{name}  ({kind} {', '.join(f'{value:.3f}' for value in shown)})"
            rows.append({"class": name, "index": best, "logits": shown, "text": text})
        return {"rows": rows, "answers": kind}

    def told(self, answered: NDArray[Any], local: NDArray[Any]) -> Mapping[str, Parameter]:
        return {"skerry_local_class": int(local.argmax())}

    def __str__(self) -> str:
        return f"one of {len(self.class_names)} classes"

    def _departs(self, version: Sequence[str]) -> str:
        """Where the classes of a version depart from these."""
        for index, (its, models) in enumerate(zip(version, self.class_names, strict=False)):
            if class_labels.normalized(its) != class_labels.normalized(models):
                return f"its class {index} is {its!r}, that of the model {models!r}"
        return f"it has {len(version)} classes, the model has {len(self.class_names)}"
