"""What people may ask for: is it legal now, and if not, why; if so, which patch of a spec or which new object says it.

People write intent only (docs/reference/resources.md, "Who writes which field"): the controller reads it and acts. Each
function returns a `Patch` or a `Creation` and raises RejectedError with a text for people when the action makes no
sense now, and where the object is not as it was seen. `adapters.acts` writes it against what was read.
"""

from skerry.core.intents.acts import Offer, Seen, abort, attempt, offers, pause, promote, resume, retry, standing
from skerry.core.intents.fleets import create_fleet
from skerry.core.intents.nodes import approve, cordon, delete_node, label, readmit, revoke, trust
from skerry.core.intents.objects import Creation, Deletion, Known, Patch, still
from skerry.core.intents.rollouts import retrain, roll_out_again, rollback, start
from skerry.core.intents.tokens import create_token, delete_token

__all__ = [
    "Creation",
    "Deletion",
    "Known",
    "Offer",
    "Patch",
    "Seen",
    "abort",
    "approve",
    "attempt",
    "cordon",
    "create_fleet",
    "create_token",
    "delete_node",
    "delete_token",
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
    "standing",
    "start",
    "still",
    "trust",
]
