"""What goes into a spool in tests, and all that comes out of it."""

from skerry.agent.capture import spool

SMALL = spool.Limits(max_bytes=10_000, max_rows=20, max_requests=50, max_record_bytes=2_000)


def captured(number: int, size: int = 100, request_id: str | None = None, answer: str = "") -> spool.Captured:
    body = f"example {number:06d} ".encode().ljust(size, b".")
    named = f"r{number}" if request_id is None else request_id
    return spool.Captured(spool.row(spool.EXAMPLE, body), "digits", named, answer)


def truth_about(example_id: str, label: int = 3) -> spool.Row:
    return spool.row(spool.TRUTH, f"truth {label} of {example_id}".encode(), example_id)


def drain(store: spool.Spool) -> list[spool.Row]:
    rows: list[spool.Row] = []
    for _ in range(1000):
        if not (batch := store.next_batch(64, 3 << 20)):
            return rows
        rows.extend(batch)
        store.settle([row.id for row in batch], [])
    raise AssertionError("the spool never drains")
