"""Edge.Warnings: what this node warns of, for whoever can ask it for answers. Translation only; no cloud is asked."""

from skerry.adapters.oip import request_bounds
from skerry.agent.feedback_servicer import SERVICE
from skerry.agent.sync import node_report
from skerry.agent.warning_watch import WarningWatch
from skerry.core import errors
from skerry.proto import edge_pb2
from skerry.rpc import grpc_status
from skerry.rpc.methods import Call, Kind, Method, Methods


def methods(watch: WarningWatch) -> Methods:
    async def list_warnings(call: Call, data: bytes) -> bytes:
        try:
            request_bounds.check_small(data, "a WarningsRequest")
        except errors.SkerryError as exc:
            raise grpc_status.call_error(exc) from exc
        told = edge_pb2.WarningList(
            warnings=[node_report.warning_message(one) for one in watch.raised()],
            started_unix_ms=watch.started_unix_ms,
            not_kept=watch.not_kept,
            raised=watch.totals.total(),
        )
        return bytes(told.SerializeToString())

    return {f"/{SERVICE}/Warnings": Method(Kind.UNARY, list_warnings)}
