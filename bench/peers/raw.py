"""The floor in Python: `session.run` in a loop, asked as peers/cpp/raw.cpp is."""

import json
import sys
import time
from pathlib import Path

import numpy as np

from bench.peers import plain


def _main() -> None:
    model, row, datatype, *sizes = sys.argv[1:]
    dtype = {"FP32": np.float32, "INT64": np.int64, "UINT8": np.uint8}[datatype]
    x = np.frombuffer(Path(row).read_bytes(), dtype).reshape(1, *map(int, sizes))
    run = plain.session(model).run
    print("ready", flush=True)
    for line in sys.stdin:
        wanted, runs = float(line), []
        began, cpu = time.perf_counter(), time.process_time()
        before = began
        while before - began < wanted:
            run(["logits"], {"input": x})
            after = time.perf_counter()
            runs.append(after - before)
            before = after
        used, took = time.process_time() - cpu, before - began
        runs.sort()
        answer = {
            "cpu_us_per_request": used / len(runs) * 1e6,
            "p50_us": runs[len(runs) // 2] * 1e6,
            "p99_us": runs[int(len(runs) * 0.99)] * 1e6,
            "rps": len(runs) / took,
            "errors": 0,
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _main()
