"""`skerry keys`: the secrets of an installation, and the ceremonies of the model repository's keys."""
