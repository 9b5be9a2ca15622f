"""Figures as text inside the page: the same figure is always the same bytes."""

import base64
import io

from matplotlib import rc_context
from matplotlib.figure import Figure


def svg_uri(figure: Figure) -> str:
    """Return a figure as a ``data:`` address of an SVG, without date or random names."""
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "foremargin", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}"
