"""HTTP/2 and gRPC framing of our own. Bytes in and bytes out in `connection`, sockets in `server` and `peer`.

frames, hpack, headers   the wire: frame layout, header blocks, what RFC 9113 calls malformed
outbound, connection, control, credit   one connection without I/O: windows, settings, the stream table, limits
stream, routing, refusal, call, assembly, wire   one request: from its header list to its status
server, admission, peer   the event loop: sockets, TLS, batches of a loop turn, deadlines, drain
"""
