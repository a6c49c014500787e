"""What a peer may cost this process. Every number is a promise about memory, time or work; defaults are safe in
production. The grpcio transport keeps those that grpcio can keep (messages, metadata, streams, connections, keepalive).
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Limits:
    max_message_bytes: int = 32 << 20
    """One gRPC message in either direction, after decompression."""

    max_streams: int = 256
    """Concurrent calls of one connection; more are refused in a way that clients retry."""

    max_connections: int = 10_000
    max_connections_per_address: int = 1_000
    """Of one IP address (an IPv6 /64 counts as one). Proxies and NAT put many peers behind one address."""

    max_metadata_bytes: int = 16 << 10
    """A decoded header list by the rule of RFC 9113 §6.5.2 (32 + name + value each); a call above it fails alone."""

    max_header_block_bytes: int = 64 << 10
    """Above this we stop decoding, and the connection ends: the state of the header compression is lost."""

    max_continuations: int = 16
    """CONTINUATION frames of one header block."""

    stream_window_bytes: int = 64 << 10
    """Unread request bytes of a call, unless it announced a larger message."""

    connection_window_bytes: int = 8 << 20
    """Bytes of all its calls that may be on their way: each call's own window bounds what we hold."""

    unread_bytes: int = 256 << 20
    """Requests that came in parts and are incomplete or unread, of the whole process (announced sizes count)."""

    unsent_bytes: int = 64 << 20
    """Replies that a peer does not take, of one connection; a reply that would exceed it fails its call."""

    credit: int = 1_000
    """What a peer may spend at once on frames that cost only us work: resets, PING, SETTINGS, tiny window updates."""

    credit_per_s: int = 500
    credit_per_sent_frame: int = 4
    """gRPC's own core answers a DATA frame with window updates and a PING: what we send earns the peer some of them."""

    handshake_s: float = 10.0
    """TLS, preface and SETTINGS; also a header block that stays unfinished."""

    stalled_s: float = 60.0
    """How long replies may wait for the peer to take them, and an unfinished request for its next byte."""

    slowest_bytes_per_s: int = 1_024
    """Each byte extends that time by this rate and no more: neither dripped requests nor tiny window updates last."""

    poll_s: float = 200e-6
    """How long the loop may look for the next request of a caller that asks without a pause, before it sleeps; 0: not
    at all."""

    max_calls: int = 20_000
    """Open calls of the whole process."""

    keepalive_s: float = 60.0
    """Silence before we PING."""

    keepalive_timeout_s: float = 20.0
    """Silence after that PING before we hang up."""

    def sharing(self, connections: int) -> "Limits":
        """The same with at most so many connections, half of them of one address where addresses are limited."""
        most = min(self.max_connections, max(1, connections))
        of_one = self.max_connections_per_address
        of_one = most if of_one >= self.max_connections else min(of_one, max(1, most // 2))
        return replace(self, max_connections=most, max_connections_per_address=of_one)
