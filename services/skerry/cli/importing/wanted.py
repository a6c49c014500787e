"""What the person who imports a network says of it, and how that is told to the process that tries it."""

import json
from dataclasses import asdict, dataclass, replace

from skerry.core import preprocessing, tensors
from skerry.core.specs import task as task_fields
from skerry.core.specs.reader import Reader
from skerry.core.tasks import Task


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the importer says of the network that the file does not. `width`: why an answer has as many numbers as the
    task says, for people; `output`: which one answers (empty: the first that can); `outputs`: whether it answers with
    logits or probabilities (empty: seen from the golden rows). `row`: the one input that callers send, where rows of a
    table are to be asked about (None: whatever the file takes)."""

    model: str
    task: Task
    width: str
    temperature: float
    threshold: float
    steps: tuple[preprocessing.Step, ...]
    output: str = ""
    outputs: str = ""
    row: tensors.Spec | None = None

    def to_json(self) -> str:
        fields = {name: value for name, value in asdict(replace(self, steps=())).items() if name != "task"}
        answered = {"task": self.task.name, **self.task.to_json()}
        return json.dumps(fields | {"steps": [step.fields() for step in self.steps], "task": answered})


def from_json(text: str) -> Wanted:
    """As `Wanted.to_json` wrote it."""
    fields = json.loads(text)
    task = task_fields.task(Reader("the network", "said", fields.pop("task")))
    if (row := fields["row"]) is not None:
        fields["row"] = tensors.Spec(row["name"], row["datatype"], tuple(row["shape"]))
    return Wanted(**fields | {"task": task, "steps": preprocessing.parse(fields["steps"])})
