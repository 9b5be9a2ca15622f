import base64
import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from foremargin.backtest.report import ReportContext, render_report
from foremargin.backtest.statement import caveats, verdict_sentences
from foremargin.errors import InputError
from foremargin.markets.findings import Finding, Severity, findings_frame

SCORES = pd.DataFrame(
    {
        "horizon": [1, 1],
        "model": ["log-har", "ewma-0.94"],
        "n": [1234, 1234],
        "qlike_loss": [0.30127, 0.40],
        "dm_p_value": [0.0123, 0.0123],
    }
)
EMPTY = pd.DataFrame()


def context(**changes):
    values = {
        "title": "A test",
        "config_yaml": "seed: 7\n",
        "command": "foremargin backtest test.yaml",
        "data": (("Source", "synthetic"),),
        "notes": ("The range stands in for intraday variance.",),
        "findings": findings_frame([]),
        "provenance": (("commit", "0123abc"),),
    }
    return ReportContext(**{**values, **changes})


class Page(HTMLParser):
    """What a browser would see: text, tags, and every address."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.addresses, self.words = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset")]

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())  # also turns no-break spaces into spaces


@pytest.fixture
def plain_figures(monkeypatch):
    """Figures are drawn but not written, for tests that look at words only."""
    uri = "data:image/svg+xml;base64,PHN2Zy8+"
    monkeypatch.setattr("foremargin.backtest.report.page.svg_uri", lambda figure: uri)


words_only = pytest.mark.usefixtures("plain_figures")


def page(verdict, *, scores=EMPTY, **changes):
    verdicts = verdict if isinstance(verdict, list) else [verdict]
    return Page(render_report(verdicts, scores=scores, context=context(**changes)))


def test_the_page_needs_nothing_else(make_verdict):
    html = render_report([make_verdict()], scores=SCORES, context=context())
    seen = Page(html)
    assert seen.addresses
    for address in seen.addresses:
        assert address.startswith(("#", "data:image/svg+xml;base64,"))
    assert not {"script", "link", "iframe"} & set(seen.tags)
    assert "url(" not in html
    assert "@import" not in html
    anchors = {a[1:] for a in seen.addresses if a.startswith("#")}
    assert anchors <= set(re.findall(r'id="([^"]+)"', html))


@words_only
def test_the_page_says_the_sentences_and_the_caveats(make_verdict):
    verdict = make_verdict()
    text = page(verdict).text
    for sentence in (*verdict_sentences(verdict), *caveats(verdict)):
        assert sentence in text


@words_only
@pytest.mark.parametrize(
    ("ours", "badge", "look"),
    [
        ("sigma", "predictive wins", "wins"),
        ("same", "no difference shown", "open"),
        ("dear", "reactive wins", "loses"),
    ],
)
def test_the_badge_follows_the_numbers(make_verdict, ours, badge, look):
    html = render_report([make_verdict(ours=ours)], scores=EMPTY, context=context())
    assert re.findall(r'<span class="badge">([^<]+)<', html) == [badge]
    assert re.findall(r'<div class="verdict ([^"]+)"', html) == [look]


@words_only
def test_controls_that_fail_raise_an_alarm(make_verdict):
    assert "this comparison cannot be trusted" in page(make_verdict(controls="swapped")).text
    assert "cannot be trusted" not in page(make_verdict()).text


@words_only
def test_the_tables_hold_the_numbers_of_the_verdict(make_verdict):
    verdict = make_verdict()
    words = {word.strip() for word in page(verdict).words}
    for policy, row in verdict.policies.iterrows():
        expected = {
            policy,
            f"{100 * row.quantile_loss:.2f}",
            f"{100 * row.breach_rate:.2f}",
            f"{100 * row.mean_margin:.2f}",
            f"{row.matched_shortfall:.3f}",
            f"{row.matched_cost_ratio:.2f}",
            f"{row.hindsight_shortfall:.3f}",
            f"{row.peak_to_trough:.2f}",
            *(f"{row[f'largest_increase_{periods}']:.2f}" for periods in (1, 5, 20, 30)),
            f"{row.series_passing} of {row.series}",
        }
        assert expected <= words
    for row in verdict.series[verdict.series.policy == "predictive"].itertuples():
        assert {row.instrument, str(row.breaches), f"{100 * row.breach_rate:.2f}"} <= words


@words_only
def test_policies_are_listed_best_first_and_tools_only_in_the_full_table(make_verdict):
    verdict = make_verdict()
    html = render_report([verdict], scores=EMPTY, context=context())
    short, full = (part.split("</table>")[0] for part in html.split("Quantile loss<small>")[1:3])
    names = re.findall(r'scope="row">([^<]+)<', short)
    assert names == [p for p in verdict.frame().index if "+" not in p]
    assert re.findall(r'scope="row">([^<]+)<', full) == list(verdict.frame().index)


@words_only
def test_hostile_names_stay_text(make_verdict):
    hostile = "<script>alert(1)</script>"
    verdict = make_verdict(instruments=(hostile, '"><img src=x onerror=alert(2)>'))
    finding = Finding(
        check="gap", severity=Severity.WARNING, instrument=hostile, count=1, detail="<b>x</b>"
    )
    seen = page(
        verdict,
        title=hostile,
        config_yaml="name: </pre><script>",
        command="<script>",
        data=((hostile, hostile),),
        notes=(hostile,),
        findings=findings_frame([finding]),
        provenance=((hostile, hostile),),
    )
    assert not {"script", "b"} & set(seen.tags)
    assert "x" not in seen.addresses
    assert hostile in seen.text


def test_equal_inputs_give_equal_pages(make_verdict):
    first, second = (
        render_report([make_verdict()], scores=SCORES, context=context()) for _ in range(2)
    )
    assert first == second
    # Two pages of the same second would agree on a date too, so there must be none.
    figures = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", first)
    assert len(figures) == 9
    for figure in figures:
        assert b"<dc:date>" not in base64.b64decode(figure)


@words_only
def test_every_horizon_has_its_section(make_verdict):
    seen = page([make_verdict(), make_verdict(horizon=5)])
    assert "Margin period of risk: 1 period of one day" in seen.text
    assert "Margin period of risk: 5 periods of one day" in seen.text
    assert {"#horizon-1", "#horizon-5"} <= set(seen.addresses)


@words_only
def test_context_and_scores_are_shown(make_verdict):
    words = page(make_verdict(), scores=SCORES).text
    for expected in ("seed: 7", "foremargin backtest test.yaml", "0123abc", "0.3013", "0.012"):
        assert expected in words
    assert "1,234" in words
    assert "The quality checks found nothing." in words
    assert "The range stands in for intraday variance." in words


@words_only
def test_without_scores_there_is_no_section_on_skill(make_verdict):
    assert "Forecast skill" not in page(make_verdict()).text


@words_only
def test_long_findings_are_folded(make_verdict):
    def findings(n):
        one = Finding(check="gap", severity=Severity.INFO, instrument="A", count=1, detail="")
        return findings_frame([one] * n)

    def html(n):
        return render_report([make_verdict()], scores=EMPTY, context=context(findings=findings(n)))

    assert "<details open><summary>Findings of the quality checks (8)" in html(8)
    assert "<details><summary>Findings of the quality checks (9)" in html(9)


def test_no_verdict_is_an_error():
    with pytest.raises(InputError, match="needs at least one verdict"):
        render_report([], scores=EMPTY, context=context())
