"""The AsyncAPI 3.0 document of the streams, made from the types that they speak.

References
----------
AsyncAPI Specification 3.0.0; WebSockets channel binding 0.1.0.
"""

from functools import cache
from typing import Any

from msgspec.json import Encoder, schema_components

from .events import (
    ErrorEvent,
    HeartbeatEvent,
    Ping,
    PongEvent,
    QuoteEvent,
    ResyncEvent,
    SnapshotEvent,
    Subscribe,
    Unsubscribe,
)

_SENT = {
    "quote": QuoteEvent,
    "snapshot": SnapshotEvent,
    "resync": ResyncEvent,
    "heartbeat": HeartbeatEvent,
    "pong": PongEvent,
    "error": ErrorEvent,
}
_RECEIVED = {"subscribe": Subscribe, "unsubscribe": Unsubscribe, "ping": Ping}
_BY_EVENTS = ("quote", "snapshot", "resync")
_SCHEMAS = "#/components/schemas/{name}"


def asyncapi_document() -> dict[str, Any]:
    """Return the document as plain JSON.

    Operations are the service's: it sends events and receives requests.
    """
    messages = {**_SENT, **_RECEIVED}
    found, schemas = schema_components(messages.values(), ref_template=_SCHEMAS)
    payloads = dict(zip(messages, found, strict=True))
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "foremargin streams",
            "version": "1.0.0",
            "description": (
                "A snapshot of margins, then what changes. Events are CloudEvents 1.0 in JSON; a "
                "slow reader is sent the newest quote of each instrument only."
            ),
        },
        "defaultContentType": "application/json",
        "channels": {"stream": _stream_channel(), "events": _events_channel()},
        "operations": {
            "sendToWebSocket": _operation("send", "stream", _SENT),
            "receiveFromWebSocket": _operation("receive", "stream", _RECEIVED),
            "sendServerSentEvents": _operation("send", "events", _BY_EVENTS),
        },
        "components": {
            "messages": {name: _message(name, payloads[name]) for name in messages},
            "schemas": schemas,
        },
    }


@cache
def asyncapi_bytes() -> bytes:
    """Return the document as JSON bytes, made once."""
    return Encoder(order="deterministic").encode(asyncapi_document())


def _stream_channel() -> dict[str, Any]:
    return {
        "address": "/v1/stream",
        "title": "WebSocket",
        "description": (
            "One event a frame with the subprotocol cloudevents.json or with none; arrays of "
            "events with foremargin.batch.v1."
        ),
        "messages": _references("#/components/messages/", (*_SENT, *_RECEIVED)),
        "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
    }


def _events_channel() -> dict[str, Any]:
    query = {
        "type": "object",
        "properties": {
            "instruments": {"type": "string", "description": "Names with commas; all without it."},
            "resume_from": {"type": "string", "description": "As the header Last-Event-ID."},
        },
    }
    return {
        "address": "/v1/events",
        "title": "Server-sent events",
        "description": "The data of each server-sent event is one event.",
        "messages": _references("#/components/messages/", _BY_EVENTS),
        "bindings": {"ws": {"method": "GET", "query": query, "bindingVersion": "0.1.0"}},
    }


def _operation(action: str, channel: str, names: Any) -> dict[str, Any]:
    references = _references(f"#/channels/{channel}/messages/", names)
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": list(references.values()),
    }


def _message(name: str, payload: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "contentType": "application/json", "payload": payload}


def _references(prefix: str, names: Any) -> dict[str, dict[str, str]]:
    return {name: {"$ref": prefix + name} for name in names}
