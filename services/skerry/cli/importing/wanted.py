"""What the person who imports a network says of it, and how that is told to the process that tries it."""

import json
from dataclasses import asdict, dataclass, replace

from skerry.core import preprocessing


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the importer says of the network that the file does not. `output`: which one answers (empty: the first that
    can); `outputs`: whether it answers with logits or probabilities (empty: seen from the golden rows)."""

    model: str
    labels: tuple[str, ...]
    temperature: float
    threshold: float
    steps: tuple[preprocessing.Step, ...]
    output: str = ""
    outputs: str = ""

    def to_json(self) -> str:
        fields = asdict(replace(self, steps=()))
        return json.dumps(fields | {"steps": [step.fields() for step in self.steps]})


def from_json(text: str) -> Wanted:
    """As `Wanted.to_json` wrote it."""
    fields = json.loads(text)
    return Wanted(**fields | {"labels": tuple(fields["labels"]), "steps": preprocessing.parse(fields["steps"])})
