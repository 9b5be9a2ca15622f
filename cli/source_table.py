"""Where data can come from, in the terminal."""

from importlib.util import find_spec

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from ..markets.download.fetching import Capability, Fetcher
from ..markets.rules import some_of
from ..markets.sources import SOURCES
from ..markets.sources.fetchers import FETCHERS
from ..markets.sources.forms import FORMS

_PACKAGES = {"exchange": "ccxt", "skfolio": "skfolio"}  # what a source needs beyond the core


def print_sources(console: Console) -> None:
    """Print the sources that are read as they are, the forms of files, and the network."""
    console.print("Read as they are (--data):")
    for source in SOURCES:
        summary = (type(source).__doc__ or "").strip().splitlines()[0].replace("`", "")
        console.print(Padding(f"{source.name}{_installed(source.name)}: {summary}", (0, 0, 0, 2)))
    console.print("\nForms of files, known by their columns:")
    for form in FORMS:
        console.print(Padding(f"{form.name}: {form.columns.replace('`', '')}", (0, 0, 0, 2)))
    console.print("\nOn the network (foremargin data fetch):")
    for fetcher in FETCHERS:
        console.print(f"\n{fetcher.name}{_installed(fetcher.name)}")
        console.print(Padding(_offers(fetcher), (0, 0, 0, 2)))
        for sentence in fetcher.lacks:
            console.print(Padding(f"lacks: {sentence}", (0, 0, 0, 2)))


def _installed(name: str) -> str:
    package = _PACKAGES.get(name)
    if package is None:
        return ""
    state = "installed" if find_spec(package) else f"not installed: pip install {package}"
    return f" (needs {package}, {state})"


def _offers(fetcher: Fetcher) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    for name in ("data set", "gives", "intervals", "history and notes"):
        table.add_column(name, overflow="fold")
    for one in fetcher.offers:
        table.add_row(*_row(one))
    return table


def _row(one: Capability) -> tuple[str, ...]:
    about = f"{one.history}; {one.notes}" if one.notes else one.history
    intervals = some_of(one.intervals, most=20) if one.intervals else "-"
    return one.dataset, ", ".join(one.gives), intervals, about
