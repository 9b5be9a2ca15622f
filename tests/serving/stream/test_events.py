"""The form of what travels: CloudEvents 1.0, the AsyncAPI document, and what is imported for it."""

import json
import re
import subprocess
import sys
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import httpx
import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest

from foremargin.serving.stream import Hub, asyncapi_document
from foremargin.serving.stream.events import Ping, Pong, Problem, Subscribe, Unsubscribe, rfc3339

NAME = re.compile(r"[a-z0-9]{1,20}")
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
URI_REFERENCE = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")


def cloudevents_faults(event: dict[str, Any]) -> list[str]:
    """Return what CloudEvents 1.0.2, its JSON format 3.1 and the extensions used do not allow."""
    faults = [
        f"{key} is missing" for key in ("id", "source", "specversion", "type") if not event.get(key)
    ]
    attributes = {key: value for key, value in event.items() if key not in ("data", "data_base64")}
    faults += [f"name {key}" for key in attributes if not NAME.fullmatch(key)]
    for key, value in attributes.items():
        whole = isinstance(value, int) and -(2**31) <= value < 2**31
        if not isinstance(value, str | bool) and not whole:
            faults.append(f"type of {key}")
        if isinstance(value, str) and not value:
            faults.append(f"{key} is empty")
    if event.get("specversion") != "1.0":
        faults.append("specversion")
    if not URI_REFERENCE.fullmatch(str(event.get("source"))):
        faults.append("source is no URI-reference")
    if "time" in event and not RFC3339.fullmatch(event["time"]):
        faults.append("time")
    if not re.fullmatch(r"[\w.+-]+/[\w.+-]+(;.*)?", event.get("datacontenttype", "a/b")):
        faults.append("datacontenttype")
    if not isinstance(event.get("sequence", ""), str):  # extension "sequence": an orderable string
        faults.append("sequence")
    if "data" in event and "data_base64" in event:
        faults.append("data twice")
    return faults


@pytest.fixture
def every_event(clock, make_quote) -> list[dict[str, Any]]:
    """One event at least of every type."""
    hub = Hub(clock, epoch="e1")
    names = ["A", "BTC/USDT:USDT"]
    hub.publish([make_quote(name, 1) for name in names])
    reader = hub.subscribe(None, wake=lambda: None)
    bodies = [d.body for chunk in reader.round() for d in chunk]
    hub.publish([make_quote("A", 2)])
    reader.reply(Pong(nonce='a "quoted"\nword'))
    reader.reply(
        Problem(type="https://foremargin.dev/problems/x", title="x", status=400, detail="")
    )
    bodies += [d.body for chunk in reader.round() for d in chunk]
    bodies.append(reader.heartbeat().body)
    assert all(b"\n" not in body and b"\r" not in body for body in bodies)
    return [json.loads(body) for body in bodies]


def test_every_event_is_a_cloud_event(every_event):
    assert {event["type"].split(".")[2] for event in every_event} == {
        *("quote", "snapshot", "resync", "heartbeat", "pong", "error")
    }
    for event in every_event:
        assert cloudevents_faults(event) == [], event["type"]
    identities = [(event["source"], event["id"]) for event in every_event]
    assert len(set(identities)) == len(identities)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"id": ""}, "id is missing"),
        ({"sequence": 2**31}, "type of sequence"),
        ({"sequence": 7}, "sequence"),
        ({"source": "a b"}, "source is no URI-reference"),
        ({"time": "yesterday"}, "time"),
        ({"partition_key": "A"}, "name partition_key"),
        ({"specversion": "0.3"}, "specversion"),
        ({"previous": None}, "type of previous"),
    ],
)
def test_the_rules_see_what_is_wrong(every_event, change, fault):
    assert fault in cloudevents_faults({**every_event[0], **change})


def test_the_source_is_the_address_of_the_margin_and_the_time_that_of_the_quote(every_event):
    event = next(e for e in every_event if e.get("partitionkey") == "BTC/USDT:USDT")
    assert event["source"] == "/v1/margins/BTC%2FUSDT:USDT"
    assert unquote(event["source"].rpartition("/")[2]) == "BTC/USDT:USDT"
    assert event["time"] == rfc3339(event["data"]["quoted_at"])
    seconds, rest = event["time"].split(".")
    moment = datetime.fromisoformat(seconds + "+00:00")
    assert (
        int(moment.timestamp()) * 10**9 + int(rest.removesuffix("Z")) == event["data"]["quoted_at"]
    )


def resolved(document: dict[str, Any], reference: str) -> object:
    found: object = document
    for step in reference.removeprefix("#/").split("/"):
        assert isinstance(found, dict)
        found = found[step]
    return found


def references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [r for value in node.values() for r in references(value)]
    if isinstance(node, list):
        return [r for value in node for r in references(value)]
    return []


def test_the_asyncapi_document_holds_together():
    document = asyncapi_document()
    assert document["asyncapi"] == "3.0.0"
    assert set(document["info"]) >= {"title", "version"}
    found = references(document)
    assert len(found) > 30
    for reference in found:
        assert resolved(document, reference), reference
    for operation in document["operations"].values():
        assert operation["action"] in {"send", "receive"}
        channel = operation["channel"]["$ref"]
        for message in operation["messages"]:
            # An operation's messages must be those of its channel, as the specification asks.
            assert message["$ref"].startswith(channel + "/messages/")
    addresses = {channel["address"] for channel in document["channels"].values()}
    assert addresses == {"/v1/stream", "/v1/events"}


def _valid(name: str, instance: object) -> None:
    document = asyncapi_document()
    payload = document["components"]["messages"][name]["payload"]
    schema = {**payload, "components": document["components"]}
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(
        instance, schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


def test_real_events_validate_against_their_own_schemas_and_no_other(every_event):
    names = set(asyncapi_document()["components"]["messages"]) - {
        "subscribe",
        "unsubscribe",
        "ping",
    }
    for event in every_event:
        own = event["type"].split(".")[2]
        _valid(own, event)
        for other in names - {own}:
            with pytest.raises(jsonschema.ValidationError, match=r"not one of|required|valid"):
                _valid(other, event)


def test_requests_validate_and_wrong_ones_do_not():
    for name, request in (
        ("subscribe", Subscribe(instruments="all")),
        ("subscribe", Subscribe(instruments=["A"], resume_from="e1-5")),
        ("unsubscribe", Unsubscribe(instruments=["A"])),
        ("ping", Ping(nonce="x")),
    ):
        _valid(name, msgspec.to_builtins(request))
    with pytest.raises(jsonschema.ValidationError, match="does not match"):
        _valid("subscribe", {"type": "subscribe", "instruments": ["no blanks"]})
    with pytest.raises(jsonschema.ValidationError, match="Additional properties"):
        _valid("ping", {"type": "ping", "more": 1})


def test_the_document_is_served(serve):
    service = serve()
    address = f"http://127.0.0.1:{service.port}/v1/asyncapi.json"
    assert httpx.get(address, trust_env=False).json() == asyncapi_document()


def test_the_room_is_light():
    code = "import foremargin.serving.stream, sys; print(*sorted(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numpy", "pandas", "numba", "torch", "mlflow", "scipy", "websockets", "httpx"}
    assert not heavy & set(found.stdout.split())
