"""What people may ask for: is it legal now, and if not, why; if so, which patch of a spec or which new object says it.

People write intent only (docs/reference/resources.md, "Who writes which field"): the controller reads it and acts. Each
function returns a `Patch` or a `Creation` and raises RejectedError with a text for people when the action makes no
sense now. The caller writes a patch against the resourceVersion that it read.
"""

from skerry.core.intents.fleets import create_fleet
from skerry.core.intents.nodes import approve, check_delete, cordon, label, readmit, revoke, trust
from skerry.core.intents.objects import Creation, Known, Patch
from skerry.core.intents.rollouts import (
    Offer,
    abort,
    offers,
    pause,
    promote,
    resume,
    retrain,
    retry,
    roll_out_again,
    rollback,
    start,
)

__all__ = [
    "Creation",
    "Known",
    "Offer",
    "Patch",
    "abort",
    "approve",
    "check_delete",
    "cordon",
    "create_fleet",
    "label",
    "offers",
    "pause",
    "promote",
    "readmit",
    "resume",
    "retrain",
    "retry",
    "revoke",
    "roll_out_again",
    "rollback",
    "start",
    "trust",
]
