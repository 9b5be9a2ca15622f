"""Figures as text inside the page: the same figure is always the same bytes."""

import base64
import io
from dataclasses import dataclass

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...errors import InputError


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A drawn figure: its address, what it shows in words, and how to read it."""

    uri: str
    alt: str
    caption: str


def figure_of(ax: Axes) -> Figure:
    """Return the figure that axes belong to."""
    figure = ax.get_figure(root=True)
    if figure is None:
        raise InputError("a display must draw on the axes of a figure, these have none")
    return figure


def svg_uri(figure: Figure) -> str:
    """Return a figure as a ``data:`` address of an SVG, without date or random names."""
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "foremargin", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}"
