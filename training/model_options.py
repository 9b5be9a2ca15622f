"""Hyper-parameters that an experiment changes: checked against the specification's own fields."""

import dataclasses
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import TypeVar, get_type_hints

from pydantic import PydanticSchemaGenerationError, TypeAdapter, ValidationError

from ..errors import InputError
from ..models import Forecaster

_Spec = TypeVar("_Spec")


def with_options(forecaster: Forecaster, options: Mapping[str, object]) -> Forecaster:
    """Return a specification with some hyper-parameters changed.

    Parameters
    ----------
    forecaster : Forecaster
        A frozen dataclass.
    options : mapping of str to object
        New values by field. A field of a dataclass inside is named with a dot
        (``plan.learning_rate``), or by a mapping inside (``plan: {learning_rate: 0.001}``).

    Raises
    ------
    InputError
        If there is no such field, the value does not fit it, or the model would change its name.

    Examples
    --------
    >>> from foremargin.models import PooledHar
    >>> with_options(PooledHar(), {"refit_days": 7}).refit_days
    7
    """
    changed = _replaced(forecaster, _flat(options), forecaster.name)
    if changed.name != forecaster.name:
        raise InputError(
            f"options of {forecaster.name} must leave its name alone, but {dict(options)} makes "
            f"it {changed.name}; name that model in forecast.models instead"
        )
    if changed.refit_days < 1:
        raise InputError(f"{changed.name}.refit_days must be at least 1, was {changed.refit_days}")
    return changed


def option_names(spec: object, prefix: str = "") -> list[str]:
    """Return the names of all hyper-parameters of a specification, with dots for those inside."""
    names: list[str] = []
    for field in _fields(spec):
        value = getattr(spec, field)
        inside = option_names(value, f"{prefix}{field}.") if _is_spec(value) else []
        names.extend(inside or [f"{prefix}{field}"])
    return names


def option_value(spec: object, name: str) -> object:
    """Return a hyper-parameter, named as in :func:`option_names`, as an experiment writes it."""
    for part in name.split("."):
        spec = getattr(spec, part)
    return spec.value if isinstance(spec, Enum) else spec


def option_type(spec: object, name: str) -> object:
    """Return the type of a hyper-parameter as its field declares it."""
    *parents, last = name.split(".")
    for part in parents:
        spec = getattr(spec, part)
    return get_type_hints(type(spec))[last]


def _replaced(spec: _Spec, options: Mapping[str, object], where: str) -> _Spec:
    """Change the fields of one dataclass; those inside are changed first."""
    changes: dict[str, object] = {}
    inside: dict[str, dict[str, object]] = {}
    for name, value in options.items():
        field, _, rest = name.partition(".")
        known = field in _fields(spec)
        if not known or bool(rest) != _is_spec(getattr(spec, field)):
            raise InputError(
                f"options of {where} must be among {option_names(spec)}, found {name!r}"
            )
        if rest:
            inside.setdefault(field, {})[rest] = value
        else:
            changes[field] = _checked(spec, field, value, where)
    for field, values in inside.items():
        changes[field] = _replaced(getattr(spec, field), values, f"{where}.{field}")
    # A dataclass that is frozen and made anew checks its own rules, in its __post_init__.
    changed: _Spec = dataclasses.replace(spec, **changes)  # type: ignore[type-var]
    return changed


def _checked(spec: object, field: str, value: object, where: str) -> object:
    """Turn a value of YAML into one of the field's type."""
    kind = get_type_hints(type(spec))[field]
    try:
        adapter: TypeAdapter[object] = TypeAdapter(kind)
        return adapter.validate_python(value)
    except PydanticSchemaGenerationError as error:
        raise InputError(f"{where}.{field} cannot be set in an experiment: {error}") from error
    except ValidationError as error:
        rule = "; ".join(item["msg"] for item in error.errors())
        raise InputError(f"{where}.{field}: {rule}, found {value!r}") from error


def _flat(options: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    return dict(_pairs(options, prefix))


def _pairs(options: Mapping[str, object], prefix: str) -> Iterator[tuple[str, object]]:
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _pairs(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _fields(spec: object) -> list[str]:
    if not dataclasses.is_dataclass(spec) or isinstance(spec, type):
        return []
    return [field.name for field in dataclasses.fields(spec) if field.init]


def _is_spec(value: object) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)
