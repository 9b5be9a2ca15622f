"""What somebody reads and does on the page, by keyboard."""

import json

import pytest

NAMES = "[...document.querySelectorAll('#margins-body .name')].map((b) => b.textContent)"


def focus(tab, selector):
    tab.run(f"document.querySelector({json.dumps(selector)}).focus()")


def choose(tab, name):
    tab.run(
        f"[...document.querySelectorAll('.name')].find((b) => b.textContent === '{name}').focus()"
    )
    tab.press("Enter")
    tab.wait(f"document.querySelector('#detail-title').textContent === '{name}'")
    tab.wait("document.querySelector('#chart .margin') && document.querySelector('.gauge .bar')")


def test_headings_sort_by_keyboard_and_say_so(shown):
    assert shown.run(NAMES) == ["BTC-PERP", "ETH-PERP", "SOL-PERP", "XAU/USD"]
    focus(shown, "#margins-head th:nth-child(2) button")
    shown.press("Enter")
    up = shown.run(NAMES)
    assert up == ["BTC-PERP", "XAU/USD", "SOL-PERP", "ETH-PERP"]
    head = "document.querySelector('#margins-head th:nth-child(2)').getAttribute('aria-sort')"
    assert shown.run(head) == "ascending"
    shown.press(" ")
    assert shown.run(NAMES) == up[::-1]
    assert shown.run(head) == "descending"
    assert shown.text("#sorted") == "Sorted by long, descending"
    assert shown.run("document.querySelectorAll('[aria-sort]').length") == 1


def test_what_is_not_known_is_sorted_last_both_ways(shown):
    focus(shown, "#margins-head th:nth-child(5) button")
    for _ in range(2):
        shown.press("Enter")
        assert shown.run(NAMES)[-1] == "SOL-PERP"


def test_chart_shows_gaps_and_reads_out_every_moment(shown, service):
    choose(shown, "ETH-PERP")
    assert shown.run("document.querySelectorAll('#chart .gap').length") == 1
    # The margin's path breaks where the data do: it moves to two places.
    d = shown.run("document.querySelector('#chart .margin').getAttribute('d')")
    assert d.count("M") == 2
    series = service.market.monitor.describe("ETH-PERP")["series"]
    focus(shown, "#cursor")
    shown.press("ArrowLeft")
    margin, loss = series["long_margin_bps"][-2], series["long_loss_bps"][-2]
    said = shown.text("#readout")
    assert f"margin {margin / 100:.2f} %" in said
    assert f"{'lost' if loss > 0 else 'gained'} {abs(loss) / 100:.2f} %" in said
    assert shown.run("document.querySelector('#cursor').getAttribute('aria-valuetext')") == said
    shown.press("ArrowRight")
    assert "loss not known yet" in shown.text("#readout")


def test_side_is_chosen_by_keyboard_and_changes_the_chart(shown):
    path = "document.querySelector('#chart .reactive').getAttribute('d')"
    before = shown.run(path)
    focus(shown, "input[name=side]")
    shown.press("ArrowRight")
    shown.wait("document.querySelector('input[value=short]').checked")
    assert shown.run(path) != before
    assert "short" in shown.run("document.querySelector('#chart-summary').textContent")


def test_axes_have_units_and_utc(shown):
    texts = shown.run("[...document.querySelectorAll('#chart text')].map((t) => t.textContent)")
    assert "percent of notional" in texts
    assert "date (UTC)" in texts
    assert "0 %" in texts
    assert "UTC" in shown.text("#readout")


def test_table_says_what_the_chart_shows(shown, service):
    choose(shown, "ETH-PERP")
    shown.click("#numbers summary")
    shown.wait("document.querySelector('#numbers-body table')")
    rows = shown.run(
        "[...document.querySelectorAll('#numbers-body tbody tr')].map((r) => r.innerText)"
    )
    series = service.market.monitor.describe("ETH-PERP")["series"]
    assert "not known yet" in rows[0]
    assert sum("no data" in row for row in rows) == 1
    shown_breaches = sum(row.endswith("yes") for row in rows)
    pairs = zip(series["long_loss_bps"][-199:], series["long_margin_bps"][-199:], strict=True)
    assert shown_breaches == sum(loss is not None and loss > margin for loss, margin in pairs)


def test_coverage_is_that_of_the_monitor(shown, service):
    long = service.market.monitor.describe("BTC-PERP")["coverage"][0]
    text = shown.text("#coverage")
    assert f"{long['recent_rate']:.2%}".replace("%", " %") in text
    assert f"{long['recent_breaches']} of the last {long['recent_judged']} losses" in text
    assert "5.00 % promised" in text


def test_what_if_sends_what_was_typed_and_shows_the_answer(shown, service):
    shown.run("document.querySelector('#positions select').value = 'ETH-PERP'")
    focus(shown, "#positions input")
    shown.type("-250,000")
    shown.click("#add")
    shown.wait("document.querySelectorAll('#positions fieldset').length === 2")
    focus(shown, "#positions fieldset:nth-child(2) input")
    shown.type("1e6")
    shown.press("Enter")
    shown.wait("document.querySelector('#whatif-result .headline')")
    assert service.market.asked[-1] == {
        "positions": [
            {"instrument": "ETH-PERP", "notional": -250_000.0},
            {"instrument": "BTC-PERP", "notional": 1_000_000.0},
        ]
    }
    text = shown.text("#whatif-result")
    assert "17,625.00" in text  # 250,000 at 2.21 % and a million at 1.21 %
    assert "Worst scenario" in text
    assert "Expected shortfall" in text


@pytest.mark.parametrize(("typed", "said"), [("", "Give a notional"), ("12x", "must be a number")])
def test_what_if_says_what_is_wrong_and_asks_nothing(shown, service, typed, said):
    before = len(service.market.asked)
    focus(shown, "#positions input")
    shown.type(typed)
    shown.press("Enter")
    shown.wait(f"document.querySelector('#whatif-error').innerText.includes('{said}')")
    field = "document.querySelector('#positions input')"
    assert shown.run(f"{field}.getAttribute('aria-invalid')") == "true"
    assert shown.run(f"document.activeElement === {field}")
    assert len(service.market.asked) == before


def test_what_if_shows_why_the_service_refused(shown):
    focus(shown, "#positions input")
    shown.type("1e15")
    shown.press("Enter")
    shown.wait(
        "document.querySelector('#whatif-error').innerText === 'notional must be below 1e10 in all'"
    )


def test_colours_are_chosen_and_kept(shown, service):
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light = shown.run(ground)
    shown.run(
        "(() => { const s = document.querySelector('#theme'); s.value = 'dark';"
        " s.dispatchEvent(new Event('change')); })()"
    )
    dark = shown.run(ground)
    assert dark != light
    shown.call("Page.reload")
    shown.wait("document.querySelectorAll('#margins-body tr').length === 4")
    assert shown.run(ground) == dark
