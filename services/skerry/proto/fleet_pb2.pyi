from skerry.proto import edge_pb2 as _edge_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ModelState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_STATE_UNSPECIFIED: _ClassVar[ModelState]
    FETCHING: _ClassVar[ModelState]
    STAGED: _ClassVar[ModelState]
    SERVING: _ClassVar[ModelState]
    FETCH_FAILED: _ClassVar[ModelState]
    REFUSED: _ClassVar[ModelState]
    INCOMPATIBLE: _ClassVar[ModelState]
    SWAP_FAILED: _ClassVar[ModelState]

class CaptureKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CAPTURE_KIND_UNSPECIFIED: _ClassVar[CaptureKind]
    HARD: _ClassVar[CaptureKind]
    EXPLORATION: _ClassVar[CaptureKind]
MODEL_STATE_UNSPECIFIED: ModelState
FETCHING: ModelState
STAGED: ModelState
SERVING: ModelState
FETCH_FAILED: ModelState
REFUSED: ModelState
INCOMPATIBLE: ModelState
SWAP_FAILED: ModelState
CAPTURE_KIND_UNSPECIFIED: CaptureKind
HARD: CaptureKind
EXPLORATION: CaptureKind

class EnrolRequest(_message.Message):
    __slots__ = ("token_id", "secret", "node", "csr")
    TOKEN_ID_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    CSR_FIELD_NUMBER: _ClassVar[int]
    token_id: str
    secret: str
    node: str
    csr: bytes
    def __init__(self, token_id: _Optional[str] = ..., secret: _Optional[str] = ..., node: _Optional[str] = ..., csr: _Optional[bytes] = ...) -> None: ...

class RenewRequest(_message.Message):
    __slots__ = ("csr",)
    CSR_FIELD_NUMBER: _ClassVar[int]
    csr: bytes
    def __init__(self, csr: _Optional[bytes] = ...) -> None: ...

class Membership(_message.Message):
    __slots__ = ("certificate", "ca", "trust_root", "renew_after_unix_ms", "not_after_unix_ms")
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    CA_FIELD_NUMBER: _ClassVar[int]
    TRUST_ROOT_FIELD_NUMBER: _ClassVar[int]
    RENEW_AFTER_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    certificate: bytes
    ca: bytes
    trust_root: bytes
    renew_after_unix_ms: int
    not_after_unix_ms: int
    def __init__(self, certificate: _Optional[bytes] = ..., ca: _Optional[bytes] = ..., trust_root: _Optional[bytes] = ..., renew_after_unix_ms: _Optional[int] = ..., not_after_unix_ms: _Optional[int] = ...) -> None: ...

class Runtime(_message.Message):
    __slots__ = ("arch", "cpu_class", "onnxruntime", "max_ir_version", "max_opset")
    ARCH_FIELD_NUMBER: _ClassVar[int]
    CPU_CLASS_FIELD_NUMBER: _ClassVar[int]
    ONNXRUNTIME_FIELD_NUMBER: _ClassVar[int]
    MAX_IR_VERSION_FIELD_NUMBER: _ClassVar[int]
    MAX_OPSET_FIELD_NUMBER: _ClassVar[int]
    arch: str
    cpu_class: str
    onnxruntime: str
    max_ir_version: int
    max_opset: int
    def __init__(self, arch: _Optional[str] = ..., cpu_class: _Optional[str] = ..., onnxruntime: _Optional[str] = ..., max_ir_version: _Optional[int] = ..., max_opset: _Optional[int] = ...) -> None: ...

class ModelReport(_message.Message):
    __slots__ = ("model", "digest", "version", "target_digest", "target_rollout", "target_attempt", "target_state", "reason", "highest_permit", "last_known_good", "permit_request")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TARGET_DIGEST_FIELD_NUMBER: _ClassVar[int]
    TARGET_ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    TARGET_ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    TARGET_STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    HIGHEST_PERMIT_FIELD_NUMBER: _ClassVar[int]
    LAST_KNOWN_GOOD_FIELD_NUMBER: _ClassVar[int]
    PERMIT_REQUEST_FIELD_NUMBER: _ClassVar[int]
    model: str
    digest: str
    version: int
    target_digest: str
    target_rollout: str
    target_attempt: int
    target_state: ModelState
    reason: str
    highest_permit: int
    last_known_good: str
    permit_request: int
    def __init__(self, model: _Optional[str] = ..., digest: _Optional[str] = ..., version: _Optional[int] = ..., target_digest: _Optional[str] = ..., target_rollout: _Optional[str] = ..., target_attempt: _Optional[int] = ..., target_state: _Optional[_Union[ModelState, str]] = ..., reason: _Optional[str] = ..., highest_permit: _Optional[int] = ..., last_known_good: _Optional[str] = ..., permit_request: _Optional[int] = ...) -> None: ...

class Reading(_message.Message):
    __slots__ = ("model", "digest", "window_s", "requests", "offloaded", "degraded", "failed", "confidence_counts", "p50_ms", "p99_ms", "refused", "requests_total", "failed_total", "refused_total", "truths", "absolute_error", "coverage", "input_rows", "input_sums")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    WINDOW_S_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    OFFLOADED_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_COUNTS_FIELD_NUMBER: _ClassVar[int]
    P50_MS_FIELD_NUMBER: _ClassVar[int]
    P99_MS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    FAILED_TOTAL_FIELD_NUMBER: _ClassVar[int]
    REFUSED_TOTAL_FIELD_NUMBER: _ClassVar[int]
    TRUTHS_FIELD_NUMBER: _ClassVar[int]
    ABSOLUTE_ERROR_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    INPUT_ROWS_FIELD_NUMBER: _ClassVar[int]
    INPUT_SUMS_FIELD_NUMBER: _ClassVar[int]
    model: str
    digest: str
    window_s: float
    requests: int
    offloaded: int
    degraded: int
    failed: int
    confidence_counts: _containers.RepeatedScalarFieldContainer[int]
    p50_ms: float
    p99_ms: float
    refused: int
    requests_total: int
    failed_total: int
    refused_total: int
    truths: int
    absolute_error: float
    coverage: float
    input_rows: int
    input_sums: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, model: _Optional[str] = ..., digest: _Optional[str] = ..., window_s: _Optional[float] = ..., requests: _Optional[int] = ..., offloaded: _Optional[int] = ..., degraded: _Optional[int] = ..., failed: _Optional[int] = ..., confidence_counts: _Optional[_Iterable[int]] = ..., p50_ms: _Optional[float] = ..., p99_ms: _Optional[float] = ..., refused: _Optional[int] = ..., requests_total: _Optional[int] = ..., failed_total: _Optional[int] = ..., refused_total: _Optional[int] = ..., truths: _Optional[int] = ..., absolute_error: _Optional[float] = ..., coverage: _Optional[float] = ..., input_rows: _Optional[int] = ..., input_sums: _Optional[_Iterable[float]] = ...) -> None: ...

class NodeReport(_message.Message):
    __slots__ = ("node", "agent_version", "boot_id", "sequence", "runtime", "models", "readings", "spool", "serving_address", "name_conflicts", "erased_up_to", "warnings")
    NODE_FIELD_NUMBER: _ClassVar[int]
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    READINGS_FIELD_NUMBER: _ClassVar[int]
    SPOOL_FIELD_NUMBER: _ClassVar[int]
    SERVING_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    NAME_CONFLICTS_FIELD_NUMBER: _ClassVar[int]
    ERASED_UP_TO_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    node: str
    agent_version: str
    boot_id: str
    sequence: int
    runtime: Runtime
    models: _containers.RepeatedCompositeFieldContainer[ModelReport]
    readings: _containers.RepeatedCompositeFieldContainer[Reading]
    spool: _edge_pb2.SpoolState
    serving_address: str
    name_conflicts: int
    erased_up_to: int
    warnings: _containers.RepeatedCompositeFieldContainer[_edge_pb2.Warning]
    def __init__(self, node: _Optional[str] = ..., agent_version: _Optional[str] = ..., boot_id: _Optional[str] = ..., sequence: _Optional[int] = ..., runtime: _Optional[_Union[Runtime, _Mapping]] = ..., models: _Optional[_Iterable[_Union[ModelReport, _Mapping]]] = ..., readings: _Optional[_Iterable[_Union[Reading, _Mapping]]] = ..., spool: _Optional[_Union[_edge_pb2.SpoolState, _Mapping]] = ..., serving_address: _Optional[str] = ..., name_conflicts: _Optional[int] = ..., erased_up_to: _Optional[int] = ..., warnings: _Optional[_Iterable[_Union[_edge_pb2.Warning, _Mapping]]] = ...) -> None: ...

class Permit(_message.Message):
    __slots__ = ("number", "ttl_ms", "request", "epoch")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TTL_MS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    number: int
    ttl_ms: int
    request: int
    epoch: int
    def __init__(self, number: _Optional[int] = ..., ttl_ms: _Optional[int] = ..., request: _Optional[int] = ..., epoch: _Optional[int] = ...) -> None: ...

class Assignment(_message.Message):
    __slots__ = ("model", "digest", "version", "target_path", "rollout", "attempt", "permit", "rollback", "offload_json", "policy_json", "warn_json")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TARGET_PATH_FIELD_NUMBER: _ClassVar[int]
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    PERMIT_FIELD_NUMBER: _ClassVar[int]
    ROLLBACK_FIELD_NUMBER: _ClassVar[int]
    OFFLOAD_JSON_FIELD_NUMBER: _ClassVar[int]
    POLICY_JSON_FIELD_NUMBER: _ClassVar[int]
    WARN_JSON_FIELD_NUMBER: _ClassVar[int]
    model: str
    digest: str
    version: int
    target_path: str
    rollout: str
    attempt: int
    permit: Permit
    rollback: bool
    offload_json: bytes
    policy_json: bytes
    warn_json: bytes
    def __init__(self, model: _Optional[str] = ..., digest: _Optional[str] = ..., version: _Optional[int] = ..., target_path: _Optional[str] = ..., rollout: _Optional[str] = ..., attempt: _Optional[int] = ..., permit: _Optional[_Union[Permit, _Mapping]] = ..., rollback: _Optional[bool] = ..., offload_json: _Optional[bytes] = ..., policy_json: _Optional[bytes] = ..., warn_json: _Optional[bytes] = ...) -> None: ...

class Erasure(_message.Message):
    __slots__ = ("model", "node", "example", "before_unix_ms", "request", "subject")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_FIELD_NUMBER: _ClassVar[int]
    BEFORE_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    model: str
    node: bool
    example: str
    before_unix_ms: int
    request: str
    subject: str
    def __init__(self, model: _Optional[str] = ..., node: _Optional[bool] = ..., example: _Optional[str] = ..., before_unix_ms: _Optional[int] = ..., request: _Optional[str] = ..., subject: _Optional[str] = ...) -> None: ...

class DesiredState(_message.Message):
    __slots__ = ("revision", "epoch", "assignments", "erasures", "erased_up_to", "retired")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENTS_FIELD_NUMBER: _ClassVar[int]
    ERASURES_FIELD_NUMBER: _ClassVar[int]
    ERASED_UP_TO_FIELD_NUMBER: _ClassVar[int]
    RETIRED_FIELD_NUMBER: _ClassVar[int]
    revision: int
    epoch: int
    assignments: _containers.RepeatedCompositeFieldContainer[Assignment]
    erasures: _containers.RepeatedCompositeFieldContainer[Erasure]
    erased_up_to: int
    retired: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, revision: _Optional[int] = ..., epoch: _Optional[int] = ..., assignments: _Optional[_Iterable[_Union[Assignment, _Mapping]]] = ..., erasures: _Optional[_Iterable[_Union[Erasure, _Mapping]]] = ..., erased_up_to: _Optional[int] = ..., retired: _Optional[_Iterable[str]] = ...) -> None: ...

class CapturedTensor(_message.Message):
    __slots__ = ("name", "datatype", "shape", "raw")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATATYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    name: str
    datatype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    raw: bytes
    def __init__(self, name: _Optional[str] = ..., datatype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., raw: _Optional[bytes] = ...) -> None: ...

class Example(_message.Message):
    __slots__ = ("model", "node", "request_id", "digest", "kind", "inputs", "local_logits", "confidence", "route", "reason", "answered_unix_ms", "boot_id", "boot_sequence", "label_map", "series", "series_unix_ms", "subject", "redacted")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    LOCAL_LOGITS_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    BOOT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LABEL_MAP_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    SERIES_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    REDACTED_FIELD_NUMBER: _ClassVar[int]
    model: str
    node: str
    request_id: str
    digest: str
    kind: CaptureKind
    inputs: _containers.RepeatedCompositeFieldContainer[CapturedTensor]
    local_logits: _containers.RepeatedScalarFieldContainer[float]
    confidence: float
    route: str
    reason: str
    answered_unix_ms: int
    boot_id: str
    boot_sequence: int
    label_map: str
    series: str
    series_unix_ms: int
    subject: str
    redacted: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, model: _Optional[str] = ..., node: _Optional[str] = ..., request_id: _Optional[str] = ..., digest: _Optional[str] = ..., kind: _Optional[_Union[CaptureKind, str]] = ..., inputs: _Optional[_Iterable[_Union[CapturedTensor, _Mapping]]] = ..., local_logits: _Optional[_Iterable[float]] = ..., confidence: _Optional[float] = ..., route: _Optional[str] = ..., reason: _Optional[str] = ..., answered_unix_ms: _Optional[int] = ..., boot_id: _Optional[str] = ..., boot_sequence: _Optional[int] = ..., label_map: _Optional[str] = ..., series: _Optional[str] = ..., series_unix_ms: _Optional[int] = ..., subject: _Optional[str] = ..., redacted: _Optional[_Iterable[str]] = ...) -> None: ...

class Truth(_message.Message):
    __slots__ = ("model", "node", "example_id", "request_id", "label", "label_map", "values")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    LABEL_MAP_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    model: str
    node: str
    example_id: str
    request_id: str
    label: int
    label_map: str
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, model: _Optional[str] = ..., node: _Optional[str] = ..., example_id: _Optional[str] = ..., request_id: _Optional[str] = ..., label: _Optional[int] = ..., label_map: _Optional[str] = ..., values: _Optional[_Iterable[float]] = ...) -> None: ...

class Record(_message.Message):
    __slots__ = ("id", "example", "truth")
    ID_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_FIELD_NUMBER: _ClassVar[int]
    TRUTH_FIELD_NUMBER: _ClassVar[int]
    id: str
    example: bytes
    truth: bytes
    def __init__(self, id: _Optional[str] = ..., example: _Optional[bytes] = ..., truth: _Optional[bytes] = ...) -> None: ...

class UploadRequest(_message.Message):
    __slots__ = ("node", "records")
    NODE_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    node: str
    records: _containers.RepeatedCompositeFieldContainer[Record]
    def __init__(self, node: _Optional[str] = ..., records: _Optional[_Iterable[_Union[Record, _Mapping]]] = ...) -> None: ...

class UploadReply(_message.Message):
    __slots__ = ("accepted", "refused")
    class Refused(_message.Message):
        __slots__ = ("id", "reason")
        ID_FIELD_NUMBER: _ClassVar[int]
        REASON_FIELD_NUMBER: _ClassVar[int]
        id: str
        reason: str
        def __init__(self, id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    accepted: _containers.RepeatedScalarFieldContainer[str]
    refused: _containers.RepeatedCompositeFieldContainer[UploadReply.Refused]
    def __init__(self, accepted: _Optional[_Iterable[str]] = ..., refused: _Optional[_Iterable[_Union[UploadReply.Refused, _Mapping]]] = ...) -> None: ...
