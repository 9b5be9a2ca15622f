"""Sphinx configuration; nothing here reads from the network, and neither do the pages."""

import re
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes  # type: ignore[import-untyped]  # it publishes no types
from docutils.utils.math.latex2mathml import tex2mathml  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent))

import generated

project = "foremargin"
author = "the foremargin authors"
version = release = metadata.version("foremargin")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
html_theme = "furo"
html_title = f"foremargin {version}"
html_copy_source = False
smartquotes = False  # two hyphens begin an option
html_math_renderer = "mathml"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4

# Notebooks run in every build, so that they cannot fall behind the code; an error ends the build.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300  # seconds for one cell; the longest takes twenty on a slow core
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say them, with shape and unit
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

_MARKER = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)

_COMMANDS = {r"\dots": r"\ldots", r"\lVert": r"\|", r"\rVert": r"\|", r"\big": "", r"\Big": ""}


def _insert_generated(app: "Sphinx", document: str, source: list[str]) -> None:
    """Put the tables that are made from the code where a page asks for them."""
    source[0] = _MARKER.sub(lambda match: generated.SECTIONS[match.group(1)](), source[0])


def _one_name_per_attribute(
    app: "Sphinx", what: str, name: str, target: object, options: object, lines: list[str]
) -> None:
    """Split ``first, last : type`` before napoleon, which would keep the last name only."""
    if what != "class":
        return
    split: list[str] = []
    start = 0
    while start < len(lines):
        stop = start + 1
        found = re.fullmatch(r"(\w+(?:, \w+)+) : (.+)", lines[start])
        if found is None:
            split.append(lines[start])
        else:
            while stop < len(lines) and lines[stop].startswith(" "):
                stop += 1
            for each in found[1].split(", "):
                split += [f"{each} : {found[2]}", *lines[start + 1 : stop]]
        start = stop
    lines[:] = split


def _plain_types_and_references(
    app: "Sphinx", what: str, name: str, target: object, options: object, lines: list[str]
) -> None:
    """After napoleon: types are words, not links; numbered references are a list.

    Numbers repeat on a page with several docstrings, and a link needs a number of its own.
    """
    for i, line in enumerate(lines):
        listed = re.sub(r"^\.\. (\[\d+\]) ", r"*  \1 ", line)
        plain = re.sub(r"(\[\d+\])_(?!\w)", r"\1", listed)
        lines[i] = re.sub(r"^(:(?:vartype|type) [^:]+:) (.+)$", r"\1 *\2*", plain)


def _mathml(tex: str, *, block: bool) -> str:
    # The converter takes the index of an accented letter for the accent's own limit, and lacks
    # some commands of amsmath.
    accented = r"\\(hat|bar|tilde)\s*(\\[a-zA-Z]+|[a-zA-Z]|\{[^{}]*\})"
    tex = re.sub(accented, r"{\\\1{\2}{}}", tex)
    for command, known in _COMMANDS.items():
        tex = re.sub(re.escape(command) + r"(?![a-zA-Z])", known.replace("\\", r"\\"), tex)
    return str(tex2mathml(tex, as_block=block))


def _visit_inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(_mathml(node.astext(), block=False))
    raise nodes.SkipNode


def _visit_block(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(
        f'<div style="padding: 0.4em 0">{_mathml(node.astext(), block=True)}</div>'
    )
    raise nodes.SkipNode


def setup(app: "Sphinx") -> None:
    """Register what the pages need beyond the extensions."""
    app.add_html_math_renderer(
        "mathml",
        inline_renderers=(_visit_inline, None),
        block_renderers=(_visit_block, None),
    )
    app.connect("source-read", _insert_generated)
    # Napoleon listens with a priority of 500.
    app.connect("autodoc-process-docstring", _one_name_per_attribute, priority=100)
    app.connect("autodoc-process-docstring", _plain_types_and_references, priority=900)
