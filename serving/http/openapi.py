"""The OpenAPI 3.1 document: schemas from the very structs that are encoded, with examples."""

from collections.abc import Sequence
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from msgspec import Struct

from ..observations import Bar, Observation, OraclePrice, Tick
from ..quote import Basis, Calculation, Quote, SideMargin, Status
from . import schedules
from .problems import BASE, MEDIA_TYPE, PROBLEMS, Problem
from .simulate import Position, Simulation, SimulationRequest

_OPEN = ("read", "simulate")
INSTRUMENT = "instrument"
"""Format of a name that must be among those of ``/v1/instruments``."""

_REF = "#/components/schemas/{name}"
_TIME = 1_700_000_000_000_000_000
_SIDE = SideMargin(
    initial_margin_bps=1_250,
    maintenance_margin_bps=1_000,
    components={"volatility": 1_100.0, "liquidity": 149.5, "rounding": 0.5},
)
_CALCULATION = Calculation(
    instrument="BTC-PERP",
    basis=Basis.NETWORK,
    observed_at=_TIME,
    long=_SIDE,
    short=_SIDE,
    horizon_periods=24,
    horizon_s=86_400,
    tail_probability=0.01,
    sigma=0.031,
    sigma_lower=0.024,
    sigma_upper=0.043,
    regime="calm",
    stress_probability=0.02,
    model="network/7",
)
_QUOTE = Quote(
    instrument="BTC-PERP",
    sequence=42,
    status=Status.OK,
    basis=Basis.NETWORK,
    reason="",
    observed_at=_TIME,
    quoted_at=_TIME + 250_000_000,
    valid_until=_TIME + 3_600_000_000_000,
    long=_SIDE,
    short=_SIDE,
    calculation=_CALCULATION,
)
_REQUEST = SimulationRequest([Position("BTC-PERP", 1_000_000.0), Position("ETH-PERP", -400_000.0)])
_BARS: list[Observation] = [
    Bar(instrument="BTC-PERP", time=_TIME, open=40e3, high=41e3, low=39.5e3, close=40.6e3),
    Tick(instrument="BTC-PERP", time=_TIME, price=40.6e3),
    OraclePrice(
        instrument="BTC-PERP", time=_TIME, price=40.6e3, confidence=12.0, source="oracle-1"
    ),
]
EXAMPLES: dict[str, Any] = {
    "Quote": _QUOTE,
    "Calculation": _CALCULATION,
    "Schedule": schedules.schedule_of(_QUOTE),
    "SimulationRequest": _REQUEST,
    "Observations": _BARS,
    "Instruments": schedules.Instruments(["BTC-PERP", "ETH-PERP"]),
}
"""Examples by the name of a schema."""

_STRUCTS: Sequence[type[Struct]] = (
    Quote,
    Calculation,
    Simulation,
    SimulationRequest,
    schedules.Alive,
    schedules.AuditPage,
    schedules.History,
    schedules.Instruments,
    schedules.QuotePage,
    schedules.Receipts,
    schedules.Schedule,
)
_PROBLEM_SCHEMA = {
    "title": "Problem",
    "description": "RFC 9457; further members depend on the type.",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "enum": [problem.type for problem in PROBLEMS]},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
    },
}


def reference(name: str) -> dict[str, str]:
    """Return the reference to a schema."""
    return {"$ref": _REF.format(name=name)}


def content(name: str) -> dict[str, Any]:
    """Return a JSON media type with a schema, and its example if there is one."""
    media: dict[str, Any] = {"schema": reference(name)}
    if name in EXAMPLES:
        media["example"] = msgspec.to_builtins(EXAMPLES[name])
    return {"application/json": media}


def body_of(name: str) -> dict[str, Any]:
    """Return the part of an operation that documents its body."""
    return {"requestBody": {"required": True, "content": content(name)}}


def problems(*kinds: Problem) -> dict[int | str, dict[str, Any]]:
    """Return the responses of an operation for these problems, and for those that all have."""
    found: dict[int | str, dict[str, Any]] = {"default": _problem_response("Another problem", "")}
    for status in {kind.status for kind in kinds}:
        same = [kind for kind in kinds if kind.status == status]
        said = "; ".join(f"{kind.code}: {kind.title}" for kind in same)
        found[status] = _problem_response(said, same[0].code)
    return found


def document(app: FastAPI, *, has_keys: bool) -> dict[str, Any]:
    """Return the whole document.

    Parameters
    ----------
    app : FastAPI
        With the documented routes.
    has_keys : bool
        Whether there are keys; without, this machine may read and simulate, and nobody may more.
    """
    found = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        routes=app.routes,
    )
    _, schemas = msgspec.json.schema_components([*_STRUCTS, list[Observation]], ref_template=_REF)
    components = found.setdefault("components", {})
    known = components.setdefault("schemas", {})
    known.update(schemas)
    known["Problem"] = _PROBLEM_SCHEMA
    known["Observations"] = {
        "type": "array",
        "minItems": 1,
        "items": {"oneOf": [reference(kind.__name__) for kind in (Bar, Tick, OraclePrice)]},
    }
    known["Position"]["properties"]["instrument"]["format"] = INSTRUMENT
    for unused in ("HTTPValidationError", "ValidationError"):
        known.pop(unused, None)
    components["securitySchemes"] = {
        "key": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "fm_<id>_<secret>",
            "description": "Or a signature; without keys, this machine may read and simulate.",
        }
    }
    for path in found["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None) if _is_fastapis(operation) else None
            if "x-scope" in operation:
                is_open = not has_keys and operation["x-scope"] in _OPEN
                operation["security"] = [{"key": []}, {}] if is_open else [{"key": []}]
    return found


def _is_fastapis(operation: dict[str, Any]) -> bool:
    described = str(operation["responses"].get("422", ""))
    return "HTTPValidationError" in described


def _problem_response(said: str, code: str) -> dict[str, Any]:
    media: dict[str, Any] = {"schema": reference("Problem")}
    kind = next((problem for problem in PROBLEMS if problem.code == code), None)
    if kind is not None:
        media["example"] = {
            "type": BASE + kind.code,
            "title": kind.title,
            "status": kind.status,
            "detail": kind.remedy + ".",
        }
    return {"description": said, "content": {MEDIA_TYPE.decode(): media}}
