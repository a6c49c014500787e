"""The fuzzer behind `make fuzz`: atheris mutates inputs of `rpc_fuzz.Fuzz` towards new coverage of rpc/h2 and hpack."""

import pathlib
import sys

import atheris

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

with atheris.instrument_imports(include=["skerry.rpc", "hpack"]):
    import rpc_fuzz

if __name__ == "__main__":
    fuzz = rpc_fuzz.Fuzz()
    atheris.Setup(sys.argv, fuzz.run)
    atheris.Fuzz()
