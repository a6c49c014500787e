from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FeedbackRequest(_message.Message):
    __slots__ = ("model", "request_id", "label", "token", "values", "label_map")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    LABEL_MAP_FIELD_NUMBER: _ClassVar[int]
    model: str
    request_id: str
    label: int
    token: str
    values: _containers.RepeatedScalarFieldContainer[float]
    label_map: str
    def __init__(self, model: _Optional[str] = ..., request_id: _Optional[str] = ..., label: _Optional[int] = ..., token: _Optional[str] = ..., values: _Optional[_Iterable[float]] = ..., label_map: _Optional[str] = ...) -> None: ...

class FeedbackReply(_message.Message):
    __slots__ = ("outcome",)
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[FeedbackReply.Outcome]
        RECORDED: _ClassVar[FeedbackReply.Outcome]
        NOT_CAPTURED: _ClassVar[FeedbackReply.Outcome]
    OUTCOME_UNSPECIFIED: FeedbackReply.Outcome
    RECORDED: FeedbackReply.Outcome
    NOT_CAPTURED: FeedbackReply.Outcome
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    outcome: FeedbackReply.Outcome
    def __init__(self, outcome: _Optional[_Union[FeedbackReply.Outcome, str]] = ...) -> None: ...

class SpoolStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SpoolState(_message.Message):
    __slots__ = ("pending", "pending_bytes", "captured", "dropped", "uploaded", "too_large")
    PENDING_FIELD_NUMBER: _ClassVar[int]
    PENDING_BYTES_FIELD_NUMBER: _ClassVar[int]
    CAPTURED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    UPLOADED_FIELD_NUMBER: _ClassVar[int]
    TOO_LARGE_FIELD_NUMBER: _ClassVar[int]
    pending: int
    pending_bytes: int
    captured: int
    dropped: int
    uploaded: int
    too_large: int
    def __init__(self, pending: _Optional[int] = ..., pending_bytes: _Optional[int] = ..., captured: _Optional[int] = ..., dropped: _Optional[int] = ..., uploaded: _Optional[int] = ..., too_large: _Optional[int] = ...) -> None: ...

class WarningsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Warning(_message.Message):
    __slots__ = ("model", "series", "since_unix_ms", "series_unix_ms", "digest", "text")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    SINCE_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    SERIES_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    model: str
    series: str
    since_unix_ms: int
    series_unix_ms: int
    digest: str
    text: str
    def __init__(self, model: _Optional[str] = ..., series: _Optional[str] = ..., since_unix_ms: _Optional[int] = ..., series_unix_ms: _Optional[int] = ..., digest: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class WarningList(_message.Message):
    __slots__ = ("warnings", "started_unix_ms", "not_kept", "raised")
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    STARTED_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    NOT_KEPT_FIELD_NUMBER: _ClassVar[int]
    RAISED_FIELD_NUMBER: _ClassVar[int]
    warnings: _containers.RepeatedCompositeFieldContainer[Warning]
    started_unix_ms: int
    not_kept: int
    raised: int
    def __init__(self, warnings: _Optional[_Iterable[_Union[Warning, _Mapping]]] = ..., started_unix_ms: _Optional[int] = ..., not_kept: _Optional[int] = ..., raised: _Optional[int] = ...) -> None: ...
