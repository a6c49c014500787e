"""What a process costs by itself. Resident size counts mapped library pages too, and how many of those are resident
depends on the kernel's page cache: the same server was seen with 60 and with 77 MB. Anonymous memory is its own
doing."""

from pathlib import Path


def own_mib(pid: int) -> float:
    """Anonymous resident memory of `pid` in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"the kernel does not tell the memory of process {pid}")
