"""HTTP/2 and gRPC framing of our own. Bytes in and out in `connection`, sockets in `peer`, loop turns in `turns`.

frames, dynamic_table, hpack, headers, wire         frames, header blocks, what RFC 9113 calls malformed; gRPC's own
credit, phase, stream, outbound, control            one connection without I/O: floods, phases, windows
data_frames, connection                             and its streams
routing, refusal                                    from a header list to a method, or to why there is none
blocks, assembly, polling, turns, call              one call: messages in, a handler's turn, the reply
admission, peer, secured, listener, memory, server  sockets, TLS, accepting, sweeping, the drain

A module imports from those before it and from none after it. docs/explanation/life-of-a-request.md follows a request.
"""
