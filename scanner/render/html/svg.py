"""SVG as text: every attribute and every word is escaped, whatever it holds."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup, escape

from ...printable import printable


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart and the numbers behind it, for those who can't see it.

    ``head`` and ``rows`` are the table that stands for the chart; ``note`` says what the reader must know of it.
    """

    title: str
    svg: Markup
    note: str = ""
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def element(name: str, *children: str, **attributes: str | float | None) -> Markup:
    """An element. Children that are no markup are text; of attributes ``_`` stands for ``-``, ``None`` is left out."""
    said = Markup("").join(
        Markup(' {}="{}"').format(Markup(key.rstrip("_").replace("_", "-")), plain(value))
        for key, value in attributes.items()
        if value is not None
    )
    inner = Markup("").join(child if isinstance(child, Markup) else escape(printable(child)) for child in children)
    return Markup("<{}{}>{}</{}>").format(Markup(name), said, inner, Markup(name))


def plain(value: str | float) -> str:
    """An attribute's text: numbers to a hundredth, which no screen shows finer."""
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return printable(str(value))


def drawing(label: str, width: float, height: float, *children: str, css: str = "chart") -> Markup:
    """A whole drawing with its text alternative, as wide as its place and never wider than it was made for."""
    return element(
        "svg",
        *children,
        xmlns="http://www.w3.org/2000/svg",
        class_=css,
        role="img",
        aria_label=label,
        viewBox=f"0 0 {plain(float(width))} {plain(float(height))}",
        width=width,
        height=height,
    )


def text(words: str, x: float, y: float, css: str = "", anchor: str | None = None) -> Markup:
    """Words at a place."""
    return element("text", words, x=float(x), y=float(y), class_=css or None, text_anchor=anchor)


def rect(x: float, y: float, width: float, height: float, css: str, title: str = "", **more: str | float) -> Markup:
    """A rectangle, with words that a pointer shows."""
    inside = (element("title", title),) if title else ()
    return element(
        "rect", *inside, x=float(x), y=float(y), width=float(width), height=float(height), class_=css, **more
    )


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> Markup:
    """A straight line."""
    return element("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), class_=css)
