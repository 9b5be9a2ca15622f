"""What the page does: moves with the market, and says when it does not."""

import time

import msgspec

from foremargin.serving.quote import Status

STATE = "document.querySelector('#connection')?.dataset.state"
BODY = "document.querySelector('#margins-body')?.innerText"


def test_new_quote_is_shown_without_asking(moving, changing):
    changing.market.write("ETH-PERP", time.time_ns() - 90_000_000_000, (4_321, 4_444))
    moving.wait(f"{BODY}?.includes('43.21') && {BODY}?.includes('44.44')")
    moving.wait(f"/1 min \\d+ s/.test({BODY})")


def test_new_instrument_is_added_and_can_be_simulated(moving, changing):
    changing.market.write("NEW-PERP", time.time_ns(), (1_111, 1_112))
    moving.wait(f"{BODY}?.includes('NEW-PERP')")
    assert "NEW-PERP" in moving.run("document.querySelector('#positions select').innerText")


def test_without_a_stream_it_asks_and_says_so(tab, changing):
    changing.market.streaming = False
    tab.call("Page.navigate", url=changing.url + "/")
    tab.wait(f"{STATE} === 'polling'")
    assert "No stream" in tab.text("#connection")
    changing.market.write("BTC-PERP", time.time_ns(), (7_654, 7_655))
    tab.wait(f"{BODY}?.includes('76.54')")
    changing.market.streaming = True
    tab.wait(f"{STATE} === 'live'", seconds=20.0)


def test_lost_connection_is_said_and_found_again(moving, changing):
    changing.market.down = True
    changing.market.hang_up()
    moving.wait(f"{STATE} === 'lost'")
    assert "Connection lost" in moving.text("#connection")
    assert "it is not live" in moving.text("#lost")
    assert "1.21" in moving.run(BODY), "what was known stays, marked as old"
    changing.market.down = False
    moving.wait(f"{STATE} === 'live'", seconds=20.0)
    assert moving.run("document.querySelector('#lost').hidden")


def test_margin_past_its_time_is_called_expired(moving, changing):
    old = changing.market.table.rows["BTC-PERP"].quote
    row = "document.querySelector('#margins-body tr').innerText"
    assert "OK" in moving.run(row)
    late = msgspec.structs.replace(old, valid_until=time.time_ns(), quoted_at=time.time_ns())
    changing.market.table.write([late])
    changing.market.hang_up()  # the stream begins again with a snapshot
    moving.wait(f"{row}.includes('Expired')", seconds=15.0)


def test_stale_and_fixed_margins_say_so(moving, changing):
    quote = changing.market.table.rows["BTC-PERP"].quote
    fixed = msgspec.structs.replace(
        quote,
        status=Status.FALLBACK,
        observed_at=0,
        quoted_at=time.time_ns(),
        calculation=None,
        reason="nothing was ever computed",
    )
    changing.market.table.write([fixed])
    changing.market.hang_up()
    moving.wait(f"{BODY}?.includes('Fallback') && {BODY}?.includes('never')", seconds=15.0)
    moving.wait("document.querySelector('#facts').innerText.includes('nothing was ever computed')")
    assert "not forecast by this rung" in moving.text("#stress")


def test_ages_are_by_the_clock_of_the_service(tab, changing):
    tab.call(
        "Page.addScriptToEvaluateOnNewDocument",
        source="const real = Date.now; Date.now = () => real() + 5 * 3600e3;",
    )
    tab.call("Page.navigate", url=changing.url + "/")
    tab.wait("document.querySelectorAll('#margins-body tr').length === 4")
    # Hourly closes: below an hour by the service's clock, above five by the browser's.
    age = "document.querySelector('#margins td[data-column=age]').innerText"
    tab.wait(f"/^(Age )?(\\d+ min )?\\d+ s$/.test({age})")


def test_refusal_asks_for_a_key_and_sends_it(tab, changing):
    changing.market.refuse = True
    tab.call("Page.navigate", url=changing.url + "/")
    tab.wait(f"{STATE} === 'refused'")
    assert tab.run("document.querySelector('#key').open")
    tab.run("document.querySelector('#key-input').focus()")
    tab.type("fm_1_secret")
    tab.press("Enter")
    tab.wait("document.querySelectorAll('#margins-body tr').length === 4")
    assert "Bearer fm_1_secret" in changing.market.keys
    assert "fm_1_secret" not in tab.run("JSON.stringify(localStorage) + document.cookie")


def test_firing_alert_is_in_a_live_region(moving, changing):
    assert "Breaker open, network SOL-PERP" in moving.text("#alerts")
    assert moving.run("document.querySelector('#alerts').getAttribute('aria-live')") == "polite"
    changing.market.monitor.breakers({"network BTC-PERP": "half-open"})
    changing.market.monitor.evaluate()
    moving.wait("document.querySelectorAll('#alerts .firing').length === 2", seconds=12.0)


def test_events_are_read_whole_wherever_they_are_cut(shown):
    stream = (
        ": hi\\r\\nid: 7\\ndata: a\\ndata:b\\n\\ndata: c\\r\\n\\r\\nevent: none\\n\\ndata\\n\\n"
    )
    script = f"""(async () => {{
      const {{ parser }} = await import("/page/api.js");
      const text = "{stream}";
      const out = new Set();
      for (let i = 0; i <= text.length; i += 1) {{
        const seen = [];
        const parse = parser((event) => seen.push(event));
        parse(text.slice(0, i));
        parse(text.slice(i));
        out.add(JSON.stringify(seen));
      }}
      return [...out];
    }})()"""
    assert shown.run(script) == ['[{"id":"7","data":"a\\nb"},{"data":"c"},{"data":""}]']
