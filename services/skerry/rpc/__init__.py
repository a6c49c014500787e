"""gRPC below the data plane: our HTTP/2 core, and grpcio as the fallback. Knows no service by name."""
