"""Tables and texts as Markdown shows them."""

from collections.abc import Iterable, Sequence


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with its header; cells are on one line, and a bar in them does not end them."""
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [f"| {' | '.join(map(cell, row))} |" for row in rows]
    return "\n".join(lines) + "\n"


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def code(text: str) -> str:
    """`text`, or nothing when it is empty."""
    return f"`{text}`" if text else ""


def sentence(text: str) -> str:
    """With a capital letter and a full stop, for texts that stand in a list of others."""
    text = " ".join(text.split())
    if not text:
        return text
    word = text.split()[0].rstrip(",.;:")
    first = text[0].upper() if word.isalpha() and word != "skerry" else text[0]
    return first + text[1:] + ("" if text[-1] in ".!?:" else ".")
