"""A request and its answer, whatever carried them: what the data plane, the cascade and the remote model speak."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from skerry.core.tensors import Tensor

Parameter = bool | int | float | str


@dataclass(slots=True)  # a value; not frozen, because that triples the cost of making one
class InferRequest:
    """`version` empty: the active one. `outputs` empty: all. `raw`: inputs came as raw bytes, so outputs leave so.
    Requests of one `form` (an object; None: unknown) differ in their id and their numbers and in nothing else."""

    model: str
    inputs: tuple[Tensor, ...]
    version: str = ""
    id: str = ""
    outputs: tuple[str, ...] = ()
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    raw: bool = True
    form: object = field(default=None, compare=False, repr=False)


@dataclass(slots=True)  # a value; not frozen, because that triples the cost of making one
class InferReply:
    """All outputs of the version `version` (release counter as text) whose manifest has `digest`; which of them the
    caller asked for is the servicer's to select. `id` is the request's, put in by the servicer. Replies of one `form`
    (an object; None: unknown) differ in id, parameters and numbers and in nothing else. `window`: of a step of a
    sequence, the steps behind it (`serving.windows.Window`), for who answers and never for the caller."""

    model: str
    version: str
    outputs: tuple[Tensor, ...]
    id: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    digest: str = ""
    form: object = field(default=None, compare=False, repr=False)
    window: object = field(default=None, compare=False, repr=False)
