"""The Open Inference Protocol as protobuf: the codec between its messages and `core.inference`, and a remote model."""
