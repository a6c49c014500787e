"""The Edge service: late ground truth from those who learn it, and the state of the spool. Translation only."""

from google.protobuf.message import DecodeError

from skerry.adapters.oip import request_bounds
from skerry.adapters.telemetry.metrics import Metrics
from skerry.agent.capture import capture_queue, sampler
from skerry.agent.capture.spool_thread import SpoolThread
from skerry.agent.feedback_access import Access, CallerBudgets
from skerry.agent.residual_memory import ResidualMemory
from skerry.agent.sync import node_report
from skerry.core import digests, errors, feedback
from skerry.core.specs.task import MAX_CLASSES
from skerry.core.tasks import Task, Truth
from skerry.proto import edge_pb2
from skerry.rpc import grpc_status
from skerry.rpc.methods import Call, CallError, Kind, Method, Methods, Status
from skerry.serving.metrics import outcome_of
from skerry.serving.registry import Registry

SERVICE = "skerry.edge.v1.Edge"
_MAX_ROW_CHARS = 12  # of "#<row>"
_FOREVER_MS = 1 << 62
_OUTCOMES = {edge_pb2.FeedbackReply.RECORDED: "recorded", edge_pb2.FeedbackReply.NOT_CAPTURED: "not_captured"}


class FeedbackServicer:
    def __init__(
        self,
        queue: capture_queue.CaptureQueue,
        spool_thread: SpoolThread,
        registry: Registry,
        access: Access,
        budgets: CallerBudgets,
        residual_memory: ResidualMemory,
        metrics: Metrics,
    ) -> None:
        self._queue, self._spool_thread, self._registry = queue, spool_thread, registry
        self._access, self._budgets, self._residuals = access, budgets, residual_memory
        self._outcomes = metrics.counter("skerry_feedback_total", "Calls of Feedback by outcome.", ("outcome",))

    def methods(self) -> Methods:
        return {
            f"/{SERVICE}/Feedback": Method(Kind.UNARY, self.feedback),
            f"/{SERVICE}/SpoolStatus": Method(Kind.UNARY, self.spool_status),
        }

    async def feedback(self, call: Call, data: bytes) -> bytes:
        """RECORDED once the truth is on disk; NOT_CAPTURED when there is no example to label."""
        try:
            request_bounds.check_small(data, "a FeedbackRequest")
            outcome = await self._record(call, edge_pb2.FeedbackRequest.FromString(data))
        except DecodeError as exc:
            self._outcomes.add(("input",))
            raise CallError(Status.INVALID_ARGUMENT, f"the request cannot be read: {exc}") from exc
        except feedback.ExpiredTokenError as exc:
            self._outcomes.add(("expired",))
            raise grpc_status.call_error(exc) from exc
        except errors.SkerryError as exc:
            self._outcomes.add((outcome_of(exc),))
            raise grpc_status.call_error(exc) from exc
        self._outcomes.add((_OUTCOMES[outcome],))
        return bytes(edge_pb2.FeedbackReply(outcome=outcome).SerializeToString())

    async def spool_status(self, call: Call, data: bytes) -> bytes:
        try:
            self._queue.check_open()
        except errors.UnavailableError as exc:
            raise grpc_status.call_error(exc) from exc
        return bytes(node_report.spool_state(self._spool_thread).SerializeToString())

    async def _record(self, call: Call, request: edge_pb2.FeedbackRequest) -> edge_pb2.FeedbackReply.Outcome:
        self._queue.check_open()
        self._budgets.spend(call.peer_address)
        if not 0 < len(request.request_id) <= sampler.MAX_REQUEST_ID_CHARS + _MAX_ROW_CHARS:
            raise errors.InputError(f"request_id must be 1..{sampler.MAX_REQUEST_ID_CHARS} characters")
        answer = self._access.admit(call, request, horizon_ms=self._horizon_ms(request.model))
        task = self._registry.lookup(request.model).manifest.task
        truth, counted = truth_of(request, task), request.label_map or task.digest
        if not await self._queue.feedback(request.model, request.request_id, truth, counted, answer):
            return edge_pb2.FeedbackReply.NOT_CAPTURED
        self._residuals.settle(request.model, request.request_id, answer, truth, counted)
        return edge_pb2.FeedbackReply.RECORDED

    def _horizon_ms(self, model: str) -> int:
        """Of a model that is not served nobody knows it: no token is too old then. Who may not be told that it is not
        served hears first that it needs a proof, and who has one is told that, and not that it came too late."""
        try:
            return self._registry.lookup(model).manifest.task.horizon_ms
        except errors.SkerryError:
            return _FOREVER_MS


def truth_of(request: edge_pb2.FeedbackRequest, task: Task) -> Truth:
    """What its caller says is true. Raises InputError for what the task's answers cannot be. What counts in another
    label map is bounded here and understood in the cloud: a node need not know every map that its model ever had."""
    truth: Truth = tuple(request.values) if request.values else request.label
    if request.label_map and request.label_map != task.digest and task.class_names:
        digests.check(request.label_map, "label_map")
        if isinstance(truth, int) and 0 <= truth < MAX_CLASSES:
            return truth
        raise errors.InputError(f"the truth of a request to {request.model!r}: label {request.label} is no class")
    if fault := task.truth_fault(truth):
        raise errors.InputError(f"the truth of a request to {request.model!r}: {fault}")
    return truth
