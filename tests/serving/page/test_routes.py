"""Files of the page and its two JSON routes, without a browser."""

import re
import subprocess
import sys
from importlib.resources import files

import httpx
import pytest

from foremargin.serving import page
from foremargin.serving.page import CONTENT_SECURITY_POLICY

STATIC = [item for item in (files(page) / "static").iterdir()]


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/page/page.css", "text/css; charset=utf-8"),
        ("/page/main.js", "text/javascript; charset=utf-8"),
        ("/page/icon.svg", "image/svg+xml"),
    ],
)
def test_file_has_its_type_a_policy_and_a_tag(service, path, media_type):
    answer = httpx.get(service.url + path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    for asked in (answer.headers["etag"], f'"other", W/{answer.headers["etag"]}', "*"):
        again = httpx.get(service.url + path, headers={"If-None-Match": asked})
        assert (again.status_code, again.content) == (304, b"")
    other = httpx.get(service.url + path, headers={"If-None-Match": '"other"'})
    assert other.status_code == 200


@pytest.mark.parametrize("name", ["none.js", "..%2Froutes.py", "%2e%2e/routes.py", "__init__.py"])
def test_nothing_but_the_files_is_served(service, name):
    assert httpx.get(f"{service.url}/page/{name}").status_code == 404


def test_monitor_takes_names_with_slashes(service):
    answer = httpx.get(f"{service.url}/v1/monitor/XAU%2FUSD").json()
    assert answer["instrument"] == "XAU/USD"
    columns = answer["series"]
    assert {len(column) for column in columns.values()} == {420}
    assert columns["long_loss_bps"][-1] is None
    assert columns["long_loss_bps"][-2] == pytest.approx(-columns["short_loss_bps"][-2])


def test_unknown_instrument_is_a_problem(service):
    answer = httpx.get(f"{service.url}/v1/monitor/NONE")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "https://foremargin.dev/problems/unknown-instrument"


def test_alerts_come_with_the_time_of_the_service(service):
    answer = httpx.get(f"{service.url}/v1/alerts").json()
    (alert,) = [one for one in answer["alerts"] if one["rule"] == "breaker-open"]
    assert (alert["subject"], alert["state"]) == ("network SOL-PERP", "firing")
    assert answer["now"] >= alert["since"]


@pytest.mark.parametrize("item", STATIC, ids=lambda item: item.name)
def test_file_loads_nothing_from_outside_and_has_nothing_inline(item):
    text = item.read_text()
    found = re.findall(r"""(?:https?:)?//[\w.-]+\.[a-z]{2,}[^\s"'`)]*""", text)
    assert set(found) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
    if item.name.endswith(".html"):
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text)


def test_import_brings_nothing_heavy():
    script = (
        "import sys, foremargin.serving.page;"
        "print([m for m in ('pandas','numba','scipy','torch','mlflow','opentelemetry') "
        "if m in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert out.stdout.strip() == "[]"
