"""What a server used is counted over all its processes and threads, those that ended included."""

import sys
import time
from pathlib import Path

from bench import processes

_BURN = """
import subprocess, sys, threading, time
def burn():
    until = time.thread_time() + 0.2
    while time.thread_time() < until:
        pass
if len(sys.argv) == 1:
    child = subprocess.Popen([sys.executable, __file__, "child"])
thread = threading.Thread(target=burn)
thread.start()
thread.join()
open(sys.argv[0] + (".child" if len(sys.argv) > 1 else ".parent"), "w").close()
time.sleep(60)
"""


def test_cpu_time_of_children_and_of_ended_threads_counts(tmp_path: Path) -> None:
    program = tmp_path / "burn.py"
    program.write_text(_BURN)
    core = processes.Cores.choose().server
    with processes.running([sys.executable, str(program)], {}, core, tmp_path / "log") as process:
        done = [tmp_path / "burn.py.parent", tmp_path / "burn.py.child"]
        deadline = time.monotonic() + 30
        while not all(one.exists() for one in done) and time.monotonic() < deadline:
            time.sleep(0.02)
        tree = processes.tree(process.pid)
        assert len(tree) == 2 and tree[0] == process.pid
        assert processes.cpu_us(tree) >= 2 * 200_000
        assert processes.cpu_us(tree[:1]) < processes.cpu_us(tree)
        assert processes.rss_mb(tree) > processes.rss_mb(tree[:1]) > 0
    assert process.poll() is not None
    while processes.rss_mb(tree) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert processes.rss_mb(tree) == 0
