"""The fleet's front door: reports in, desired state out, captured examples in, the model repository as static files."""
