"""HTTP/2 and gRPC framing of our own. Bytes in and out in `connection`, sockets in `peer`, loop turns in `server`.

frames, hpack, headers                    the wire: frame layout, header blocks, what RFC 9113 calls malformed
credit, outbound, control, connection     one connection without I/O: windows, settings, the stream table, floods
stream, wire, routing, refusal            one request: from its header list to a method, or to why it has none
assembly, incoming, call                  one call: messages in, a handler, the reply
admission, listener, peer, memory, server the event loop: sockets, TLS, batches, deadlines, drain
"""
