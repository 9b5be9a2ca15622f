"""The dashboard and the rules name only what there is, with the thresholds of the engine."""

import json
import re
from importlib.resources import files
from typing import Annotated, Any, Literal

import msgspec
import pytest
import yaml

from foremargin.serving import monitor
from foremargin.serving.monitor import BURN_RULES, Metrics, MonitorSettings
from foremargin.serving.monitor.burn import AVAILABILITY, LATENCY, LEAST_BAD
from foremargin.serving.monitor.conditions import LARGEST_SILENCE_S
from foremargin.serving.monitor.metrics import READ_ROUTES, REQUEST_BUCKETS, SLOW_READ_S

RULES = yaml.safe_load((files(monitor) / "rules.yml").read_text())
DASHBOARD = json.loads((files(monitor) / "dashboard.json").read_text())
FUNCTIONS = {"sum", "rate", "increase", "changes", "max", "histogram_quantile", "time", "absent"}
WORDS = {"by", "and", "or", "unless", "on", "ignoring"}
TOKEN = re.compile(
    r'\s+|(?P<string>"[^"]*")|(?P<name>[A-Za-z_][\w:]*)|(?P<number>\d+(?:\.\d+)?)(?P<unit>[smhd]\b)?'
    r"|(?P<sign>=~|!~|!=|>=|<=|==|[-+*/(){}\[\],=<>])"
)
Whole = Annotated[int, msgspec.Meta(ge=0)]
Size = Annotated[int, msgspec.Meta(ge=1, le=24)]
Text = Annotated[str, msgspec.Meta(min_length=1)]


class Grid(msgspec.Struct, forbid_unknown_fields=True):
    h: Size
    w: Size
    x: Whole
    y: Whole


class Target(msgspec.Struct, forbid_unknown_fields=True):
    refId: Text
    expr: Text
    legendFormat: Text
    datasource: dict[Literal["type", "uid"], Text]


class Row(msgspec.Struct, tag="row", forbid_unknown_fields=True):
    id: Whole
    title: Text
    collapsed: Literal[False]
    gridPos: Grid
    panels: list[None]


class Shown(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    id: Whole
    title: Text
    description: Text
    datasource: dict[Literal["type", "uid"], Text]
    gridPos: Grid
    targets: Annotated[list[Target], msgspec.Meta(min_length=1)]
    fieldConfig: dict[str, Any]
    options: dict[str, Any]


class Stat(Shown, tag="stat"):
    """One number."""


class Series(Shown, tag="timeseries"):
    """Lines over time."""


def exposed(clock, make_quote):
    """Every series name of `Metrics` with its labels, whether it has samples yet or not."""
    metrics = Metrics(clock, version="1")
    metrics.request("/v1/margins", 200, 0.001)
    metrics.quoted([make_quote()])
    metrics.overdue({"A": 1.0})
    names: dict[str, set[str]] = {}
    for collector in metrics.registry._collector_to_names:
        labels = set(getattr(collector, "_labelnames", ()))
        for family in collector.collect():
            own = labels | set(getattr(family, "_labelnames", ()))
            own |= {k for s in family.samples for k in s.labels}
            suffixes = {
                "counter": ["_total"],
                "histogram": ["_bucket", "_count", "_sum"],
            }.get(family.type, [""])
            for suffix in suffixes:
                names[family.name + suffix] = own | ({"le"} if suffix == "_bucket" else set())
    return names


def check_promql(text, known):
    """Tokens are PromQL's, brackets close, and names, labels and functions exist."""
    at, tokens = 0, []
    while at < len(text):
        found = TOKEN.match(text, at)
        assert found, f"no PromQL at {text[at:]!r}"
        at = found.end()
        if found.lastgroup:
            tokens.append((found.lastgroup, found.group().strip()))
    stack = []
    metric = None
    for i, (kind, token) in enumerate(tokens):
        after = tokens[i + 1][1] if i + 1 < len(tokens) else ""
        if token in "({[":
            stack.append((token, tokens[i - 1][1] if i else ""))
        elif token in ")}]":
            assert "({[".index(stack.pop()[0]) == ")}]".index(token), text
        elif kind == "name" and stack and stack[-1][0] == "{":
            assert token in known[metric], f"{metric} has no label {token}"
            assert after in ("=", "=~", "!=", "!~"), text
        elif kind == "name" and stack and stack[-1] == ("(", "by"):
            assert any(token in labels for labels in known.values()), token
        elif kind == "name" and token not in WORDS and after == "(":
            assert token in FUNCTIONS, f"no function {token}"
        elif kind == "name" and token not in WORDS and token not in FUNCTIONS:
            assert token in known, f"no metric {token}"
            metric = token
    assert not stack, f"a bracket is open in {text}"


@pytest.fixture
def known(clock, make_quote):
    names = exposed(clock, make_quote)
    recorded: dict[str, set[str]] = {
        r["record"]: set() for g in RULES["groups"] for r in g["rules"] if "record" in r
    }
    return {**names, **recorded}


def test_rules_are_promql_of_what_there_is(known):
    for group in RULES["groups"]:
        assert group["interval"] == "15s"
        for rule in group["rules"]:
            check_promql(rule["expr"], known)
            if "alert" in rule:
                assert rule["labels"]["severity"] in ("page", "ticket")
                for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
                    (metric,) = re.findall(r"foremargin_\w+", rule["expr"])
                    assert label in known[metric]


def test_checker_of_promql_can_fail(known):
    for text, why in (
        ("foremargin_nothing > 1", "no metric"),
        ("rat(foremargin_quotes_total[5m])", "no function"),
        ('foremargin_quotes_total{side="x"}', "no label"),
        ("sum(foremargin_quotes_total", "bracket is open"),
        ("foremargin_quotes_total ; 1", "no PromQL"),
    ):
        with pytest.raises(AssertionError, match=why):
            check_promql(text, known)


def alerts():
    return {r["alert"]: r for g in RULES["groups"] for r in g["rules"] if "alert" in r}


def seconds(window):
    return int(window[:-1]) * {"m": 60, "h": 3_600, "d": 86_400}[window[-1]]


@pytest.mark.parametrize("objective", [AVAILABILITY, LATENCY], ids=lambda o: o.name)
def test_burn_rules_are_those_of_the_engine(objective):
    found = []
    for name, rule in alerts().items():
        if rule["labels"].get("objective") != objective.name:
            continue
        parts = re.findall(r"ratio_rate(\w+) > ([\d.]+) \* ([\d.]+)", rule["expr"])
        (long, rate, budget), (short, again, same) = parts
        assert (rate, budget) == (again, same), name
        assert float(budget) == pytest.approx(1 - objective.target)
        least = float(re.findall(r">= ([\d.]+)", rule["expr"])[0])
        assert least == LEAST_BAD
        assert f"[{long}]" in rule["expr"]
        found.append((float(rate), seconds(long), seconds(short), rule["labels"]["severity"]))
    assert found == [(r.rate, r.long_s, r.short_s, r.severity) for r in BURN_RULES]


def test_recorded_ratios_are_of_their_window_and_of_the_promised_reads():
    for rule in RULES["groups"][0]["rules"]:
        if "record" in rule:
            window = rule["record"].split("ratio_rate")[1]
            assert set(re.findall(r"\[(\w+)\]", rule["expr"])) == {window}
    routes = set(re.findall(r'route=~"([^"]*)"', json.dumps(RULES).replace('\\"', '"')))
    (pattern,) = routes
    more = ("/v1/margins/{instrument}/history", "/v1/audit", "/v1/instruments", "/metrics")
    matched = [route for route in (*READ_ROUTES, *more) if re.fullmatch(pattern, route)]
    assert matched == list(READ_ROUTES)
    assert set(re.findall(r'le="([^"]*)"', json.dumps(RULES).replace('\\"', '"'))) == {
        str(SLOW_READ_S)
    }
    assert SLOW_READ_S in REQUEST_BUCKETS


def test_other_thresholds_are_those_of_the_engine():
    found = alerts()
    assert found["ForemarginStaleFeed"]["expr"].endswith(f"> {MonitorSettings().stale_after_s:g}")
    assert found["ForemarginNobodyLooks"]["expr"].endswith(f"> {LARGEST_SILENCE_S:g}")
    for name in ("ForemarginBreakerOpen", "ForemarginCoverage", "ForemarginDrift"):
        assert found[name]["expr"].endswith("> 0")


def test_every_panel_has_its_form_and_asks_for_what_there_is(known):
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        msgspec.convert(panel, Row | Stat | Series)
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24
        cells = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & taken, f"{panel['title']} lies over another"
        taken |= cells
        for target in panel.get("targets", ()):
            check_promql(target["expr"].replace("$instrument", "x"), known)
            for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
                assert any(label in labels for labels in known.values())
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


def test_every_metric_is_on_the_dashboard_or_in_a_rule(known):
    text = json.dumps(DASHBOARD) + json.dumps(RULES)
    names = {re.sub(r"_(bucket|count|sum)$", "", n) for n in known if n.startswith("foremargin_")}
    assert [name for name in names if name not in text] == []
