"""MLServer's stubs and its converters to and from its own types. Arguments: address, expected logits as JSON."""

import json
import sys

import grpc
import numpy as np
from mlserver import types
from mlserver.codecs import NumpyCodec
from mlserver.grpc import converters, dataplane_pb2, dataplane_pb2_grpc

address, expected = sys.argv[1], np.array(json.loads(sys.argv[2]), dtype=np.float32)
ROW = np.array([[1, 2, 3, 4]], dtype=np.float32)

with grpc.insecure_channel(address) as channel:
    stub = dataplane_pb2_grpc.GRPCInferenceServiceStub(channel)
    assert stub.ServerLive(dataplane_pb2.ServerLiveRequest()).live
    assert stub.ServerReady(dataplane_pb2.ServerReadyRequest()).ready
    assert stub.ModelReady(dataplane_pb2.ModelReadyRequest(name="digits", version="1")).ready
    assert stub.ServerMetadata(dataplane_pb2.ServerMetadataRequest()).name == "skerry"
    made = stub.ModelMetadata(dataplane_pb2.ModelMetadataRequest(name="digits"))
    assert [tensor.name for tensor in made.inputs] == ["x"], made

    request = types.InferenceRequest(id="m-1", inputs=[NumpyCodec.encode_input("x", ROW)])
    for raw in (False, True):
        message = converters.ModelInferRequestConverter.from_types(request, model_name="digits", use_raw=raw)
        answer = stub.ModelInfer(message, timeout=10)
        reply = converters.ModelInferResponseConverter.to_types(answer)
        assert reply.id == "m-1", reply
        np.testing.assert_allclose(NumpyCodec.decode_output(reply.outputs[0]), expected, rtol=1e-5)

    index = stub.RepositoryIndex(dataplane_pb2.RepositoryIndexRequest())
    assert {one.name: one.state for one in index.models}["digits"] == "READY", index
# ModelStreamInfer is left out: MLServer streams another message than Triton does, and we speak Triton's.
sys.stdout.write("{}\n")
