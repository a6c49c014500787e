"""HTML and SVG as escaped text: every value goes through `escape`, so a name can never become markup."""

import html
from collections.abc import Iterable, Sequence


class Markup(str):
    """Text that is markup already and is not escaped again."""

    __slots__ = ()


def escape(value: object) -> Markup:
    """Any value as markup that shows it literally."""
    return value if isinstance(value, Markup) else Markup(html.escape(str(value)))


def tag(name: str, *content: object, **attributes: object) -> Markup:
    """`<name …>content</name>`. `class_` gives `class`, `_` elsewhere a hyphen; None attributes are left out."""
    shown = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{shown}>{''.join(map(escape, content))}</{name}>")


def join(parts: Iterable[object]) -> Markup:
    return Markup("".join(map(escape, parts)))


def table(
    caption: str, heads: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Sequence[int] = ()
) -> Markup:
    """A table with a caption and column heads; `numbers` are the columns to align right."""

    def cell(kind: str, index: int, value: object, scope: str | None) -> Markup:
        return tag(kind, value, class_="number" if index in numbers else None, scope=scope)

    head = tag("tr", *(cell("th", index, text, "col") for index, text in enumerate(heads)))
    body = (
        tag(
            "tr",
            *(cell("td" if index else "th", index, value, None if index else "row") for index, value in enumerate(row)),
        )
        for row in rows
    )
    inside = join([tag("caption", caption), tag("thead", head), tag("tbody", *body)])
    return tag("div", tag("table", inside), class_="wide", tabindex="0", role="region", aria_label=caption)
