"""The OpenAPI document: what it promises, and that the API keeps it, by schemathesis."""

import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from foremargin.serving.http import PROBLEMS, HttpSettings
from foremargin.serving.http.cursors import write_cursor
from foremargin.serving.http.openapi import EXAMPLES, INSTRUMENT
from foremargin.serving.security import Rate, RateLimits

GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "http_api.md"
OPERATIONS = {
    *("GET /v1/instruments", "GET /v1/margins", "GET /v1/margins/{instrument}"),
    *("GET /v1/margins/{instrument}/history", "GET /v1/forecasts/{instrument}"),
    *("GET /v1/schedules/{instrument}", "GET /v1/audit", "GET /v1/updates/batch"),
    *("GET /v1/updates/{instrument}", "POST /v1/portfolios:simulate", "POST /v1/observations"),
    *("POST /v1/commands/{name}", "GET /livez", "GET /readyz", "GET /metrics"),
}


@pytest.fixture
def document(build, call):
    return call(build(), "GET", "/openapi.json").json()


def test_every_operation_is_documented_with_its_answer_and_its_problems(document):
    assert document["openapi"].startswith("3.1")
    found = {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert found.keys() == OPERATIONS
    for operation in found.values():
        assert operation["summary"]
        assert "200" in operation["responses"]
        for status, response in operation["responses"].items():
            if status == "default" or int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"]
    for name in ("POST /v1/observations", "POST /v1/commands/{name}"):
        headers = [one for one in found[name]["parameters"] if one["in"] == "header"]
        assert [one["name"] for one in headers if one["required"]] == ["Idempotency-Key"]


def test_every_reference_leads_somewhere_and_nothing_is_of_fastapi(document):
    text = msgspec.json.encode(document).decode()
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    assert names <= document["components"]["schemas"].keys()
    assert "HTTPValidationError" not in text


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_an_example_fits_its_schema(document, name):
    jsonschema = pytest.importorskip("jsonschema")
    schema = {
        "$ref": f"#/components/schemas/{name}",
        "components": document["components"],
    }
    value = msgspec.json.decode(msgspec.json.encode(EXAMPLES[name]))
    jsonschema.Draft202012Validator(schema).validate(value)


def test_problems_have_one_name_each_and_the_guide_lists_them_all():
    assert len({problem.code for problem in PROBLEMS}) == len(PROBLEMS)
    rows = re.findall(r"^\| `([a-z-]+)` \| (\d+) \| (.+?) \| (.+?) \|$", GUIDE.read_text(), re.M)
    said = [(p.code, str(p.status), p.title, p.remedy) for p in PROBLEMS]
    assert [tuple(cell.replace("`", "") for cell in row) for row in rows] == said


NAMES = ("BTC-PERP", "ETH-PERP", "NEW-PERP")
# What only the service knows: names that are quoted, and cursors with their checksums.
schemathesis.openapi.format(INSTRUMENT, st.sampled_from(NAMES))
schemathesis.openapi.format(
    "margins-cursor", st.sampled_from([write_cursor(name, of="margins") for name in NAMES])
)
schemathesis.openapi.format(
    "audit-cursor",
    st.integers(0, 2**70).map(lambda n: write_cursor(str(n), of="audit"))
    | st.integers(0, 10**18).map(str),
)


def _as_meant(case: Any, serial: Iterator[int]) -> None:
    """Take out of a request that fits the schema what no schema can say of it."""
    if {"instruments", "after"} <= (case.query or {}).keys():
        del case.query["after"]  # one or the other
    if "instruments" in (case.query or {}):
        case.query["instruments"] = "BTC-PERP,ETH-PERP"
    if "Idempotency-Key" in (case.headers or {}):
        case.headers["Idempotency-Key"] = f"new-{next(serial)}"  # of no other request
    if case.operation.path == "/v1/portfolios:simulate":  # the largest notional is of a net one
        positions = {one["instrument"]: one for one in case.body["positions"]}
        case.body["positions"] = list(positions.values())
    if case.operation.path == "/v1/observations":
        for one in case.body:  # to a schema 1.0 is an integer; as nanoseconds it is refused
            one["time"] = int(one["time"])


def _operations(document: Any) -> dict[str, Any]:
    """Return the operations of a document that is valid."""
    found = (one.ok() for one in document.get_all_operations())
    return {f"{one.method.upper()} {one.path}": one for one in found}


USUAL = settings(
    max_examples=6,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.slow
def test_no_generated_request_makes_an_error_of_the_service(build, tokens):
    # Who is not believed is answered 401 to the end, not 429 after a hundred: it is what is asked.
    patient = HttpSettings(rates=RateLimits(stranger=Rate(1.0, 1_000_000)))
    schema = schemathesis.openapi.from_asgi("/openapi.json", build(settings=patient))
    # The key is sent with every case; whether it is asked for is seen by `ignored_auth`.
    schema.config.generation.with_security_parameters = False
    bearer = {"Authorization": f"Bearer {tokens['all']}"}
    seen: dict[str, set[int]] = {}
    serial = count()

    def check(case: Any) -> None:
        if case.meta.generation.mode.is_positive:
            _as_meant(case, serial)
        answer = case.call_and_validate(headers=bearer)
        seen.setdefault(f"{case.operation.method.upper()} {case.operation.path}", set()).add(
            answer.status_code
        )
        assert answer.status_code < 500
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == ["application/problem+json"]
            assert answer.json()["status"] == answer.status_code

    for operation in _operations(schema).values():
        positive, negative = (
            operation.as_strategy(generation_mode=mode) for mode in schemathesis.GenerationMode
        )
        USUAL(given(case=positive)(check))()
        if any(operation.iter_parameters()) or operation.body:
            USUAL(given(case=negative)(check))()
    assert seen.keys() == OPERATIONS
    for name in OPERATIONS - {"POST /v1/commands/{name}", *BY_NAME}:
        assert 200 in seen[name], name
    assert seen["POST /v1/observations"] & {400, 422}  # by chance which of the two


BY_NAME = {name for name in OPERATIONS if name.endswith("{instrument}")} | {
    "GET /v1/margins/{instrument}/history"
}


def test_a_document_says_who_needs_a_key(build, call):
    def needed(app: Any) -> dict[str, list[dict[str, list[str]]]]:
        paths = call(app, "GET", "/openapi.json").json()["paths"]
        return {
            f"{method.upper()} {path}": operation.get("security", [])
            for path, methods in paths.items()
            for method, operation in methods.items()
        }

    free = {"GET /livez", "GET /readyz"}
    with_keys, without = needed(build()), needed(build(keys=False))
    assert {name for name, said in with_keys.items() if said == [{"key": []}]} == OPERATIONS - free
    assert {name for name, said in without.items() if said == [{"key": []}]} == {
        "POST /v1/observations",
        "POST /v1/commands/{name}",
    }
    assert all(with_keys[name] == without[name] == [] for name in free)


RAW = st.binary(max_size=300) | st.text('[]{}",:0123456789.eE+-\\utypeick', max_size=120).map(
    str.encode
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    body=RAW,
    url=st.sampled_from(["/v1/observations", "/v1/commands/pause", "/v1/portfolios:simulate"]),
    key=st.binary(max_size=20),
    kind=st.sampled_from(["application/json", "text/plain", "application/json; charset=utf-8"]),
)
def test_any_bytes_as_a_body_are_answered_with_a_problem_or_done(
    shared, call_shared, body, url, key, kind
):
    app, token = shared
    headers = {b"content-type": kind.encode(), b"authorization": b"Bearer " + token.encode()}
    printable = bytes(one for one in key if 33 <= one < 127)
    headers[b"idempotency-key"] = printable + b"%d" % abs(hash(body))
    answer = call_shared(app, "POST", url, content=body, headers=headers)
    assert answer.status_code < 500
    if answer.status_code != 200:
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.fixture
def shared(build, tokens):
    return build(), tokens["all"]


@pytest.fixture
def call_shared(call):
    return call


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    path=st.text(st.characters(codec="utf-8", exclude_characters="?#"), max_size=30),
    query=st.text("abcdeilmnrstfu=&,%25C3A9+ 01", max_size=40),
    header=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
)
def test_any_path_query_and_tag_are_answered(shared, call_shared, path, query, header):
    app, token = shared
    for base in ("/v1/margins/", "/v1/"):
        url = f"{base}{quote(path)}?{quote(query, safe='=&,%')}"
        answer = call_shared(
            app, "GET", url, token=token, headers={"if-none-match": header, "traceparent": header}
        )
        assert answer.status_code < 500
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    header=st.binary(max_size=120)
    | st.from_regex(rb"FM1-HMAC-SHA256 key=.{0,14},time=[0-9]{0,14},nonce=.{0,20}", fullmatch=True)
    | st.from_regex(rb"(?i)bearer fm_[a-z0-9]{12}_[A-Za-z0-9_-]{40,45}", fullmatch=True)
)
def test_any_authorization_header_is_answered_401(shared, call_shared, header):
    app, _ = shared
    value = bytes(one for one in header if one >= 32 and one != 127).strip()
    headers = {b"authorization": value}
    answer = call_shared(app, "GET", "/v1/margins/BTC-PERP", headers=headers)
    assert answer.status_code in (401, 429)
