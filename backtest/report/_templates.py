"""Pages from templates of this folder; equal values give equal text."""

from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined


def render(template: str, **values: object) -> str:
    """Fill a template; a value that it needs and does not get is an error."""
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(_read),
    )
    environment.filters["unbroken"] = _unbroken
    return environment.get_template(template).render(**values)


def _read(name: str) -> str:
    return files(__package__ or "").joinpath(name).read_text(encoding="utf-8")


def _unbroken(text: str) -> str:
    """Keep numbers and their units on one line."""
    for pair in (" %", "p = ", "p < "):
        text = text.replace(pair, pair.replace(" ", "\N{NO-BREAK SPACE}"))
    return text
