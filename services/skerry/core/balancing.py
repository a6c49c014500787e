"""Which way with unequal classes a run takes, and why: `auto` of EdgeModel.spec.retrain.balance.

Only class counts and the kind of input decide; bench/imbalance.py measures the ways by themselves. What each way does
stands with `WAYS`; who does it is `nets.class_objective`, `nets.training` and `trainer.synthetic`.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from skerry.core import imbalance
from skerry.core.imbalance import Counts

AUTO = "auto"
WAYS = {
    "draws": "rare classes are drawn as often as the others, and only their rows are augmented",
    "logits": "the loss is shifted by the log of each class's share",
    "mixup": "rare classes are drawn as often as the others, and rows are blended in pairs",
    "none": "nothing",
    "synthetic": "rare classes get rows between neighbours of their own (SMOTE)",
    "weights": "a row of a rare class counts for more in the loss",
}
MIN_SYNTHETIC = 6  # rows of a class: SMOTE's five neighbours and the row itself


class Kind(enum.StrEnum):
    """What a row is."""

    IMAGE = "image"
    WINDOW = "window"
    TABLE = "table"
    TOKENS = "tokens"

    @classmethod
    def of(cls, dtype_kind: str, axes: int, reads: str = "") -> "Kind":
        """Of network inputs with so many axes, the batch axis among them; `reads` is what the network says of them."""
        if dtype_kind in "iu":
            return cls.TOKENS
        if reads == "images" or (axes >= 4 and reads != "sequence"):
            return cls.IMAGE
        return cls.WINDOW if axes == 3 or reads in ("sequence", "series") else cls.TABLE


@dataclass(frozen=True, slots=True)
class Choice:
    """One of WAYS, and why, in a sentence for people."""

    way: str
    reason: str


def choose(
    asked: str, per_class: Counts, names: Sequence[str], kind: Kind, *, augments: bool, makes_rows: bool = True
) -> Choice:
    """`asked` is AUTO or a way, `augments` whether rows of this kind are augmented in this run, `makes_rows` whether
    what makes synthetic ones is installed. Whatever is asked, nothing is done to classes that are about equal; a way
    that `kind` has no use for is another one, and said."""
    if not imbalance.is_skewed(per_class):
        return Choice("none", f"no class has less than half of the mean of the classes: {_extremes(per_class, names)}")
    skew = _extremes(per_class, names)
    if asked != AUTO:
        if fault := _unfit(asked, per_class, kind):
            fallback = _chosen(per_class, kind, augments, makes_rows)
            return Choice(fallback.way, f"{asked!r} was asked for, and {fault}; {skew}: {fallback.reason}")
        return Choice(asked, f"asked for by retrain.balance; {skew}: {WAYS[asked]}")
    chosen = _chosen(per_class, kind, augments, makes_rows)
    return Choice(chosen.way, f"{skew}; {chosen.reason}")


def _chosen(per_class: Counts, kind: Kind, augments: bool, makes_rows: bool) -> Choice:
    if kind is Kind.TOKENS:
        return Choice("logits", f"ids have no values between them: {WAYS['logits']}")
    if augments:
        return Choice("draws", f"rows of this kind ({kind}) can be augmented: {WAYS['draws']}")
    if not _unfit("synthetic", per_class, kind):
        if not makes_rows:
            return Choice("logits", f"imbalanced-learn, which makes rows, is not installed: {WAYS['logits']}")
        return Choice("synthetic", f"a {kind} is not augmented, and has values between rows: {WAYS['synthetic']}")
    few = f"the rarest has fewer than {MIN_SYNTHETIC} rows" if kind is not Kind.IMAGE else "images are not augmented"
    return Choice("logits", f"{few}: {WAYS['logits']}")


def _unfit(way: str, per_class: Counts, kind: Kind) -> str:
    """Why a way cannot be taken; empty: it can."""
    if way in ("synthetic", "mixup") and kind is Kind.TOKENS:
        return "ids cannot be blended"
    if way == "synthetic" and kind is Kind.IMAGE:
        return "pixels between two images are no image"
    rarest = int(per_class[per_class > 0].min())
    if way == "synthetic" and rarest < MIN_SYNTHETIC:
        return f"the rarest class has {rarest} rows where neighbours need {MIN_SYNTHETIC}"
    return ""


def _extremes(per_class: Counts, names: Sequence[str]) -> str:
    present = [k for k in range(len(per_class)) if per_class[k] > 0]
    if not present:
        return "there are no rows"
    least, most = min(present, key=lambda k: per_class[k]), max(present, key=lambda k: per_class[k])
    return f"{names[least]!r} has {per_class[least]} rows, {names[most]!r} has {per_class[most]}"
