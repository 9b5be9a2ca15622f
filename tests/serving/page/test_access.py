"""Who cannot see, point or bear movement gets the same; nothing comes from outside."""

from itertools import pairwise

import pytest

INTERACTIVE = {"button", "link", "textbox", "combobox", "radio", "slider", "DisclosureTriangle"}

CONTRAST = """(() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const over = ([r, g, b, a = 1], under) => [r, g, b].map((c, i) => c * a + under[i] * (1 - a));
  const linear = (c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = (rgb) => rgb.map((c) => linear(c / 255))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      layers.push(parse(getComputedStyle(e).backgroundColor));
    }
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
  };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const bad = [];
  let seen = 0;
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || element.tagName === "OPTION") continue;
    if (!element.checkVisibility({ visibilityProperty: true })) continue;
    const style = getComputedStyle(element);
    const under = ground(element);
    const svg = element.namespaceURI.endsWith("svg");
    const text = over(parse(svg ? style.fill : style.color), under);
    const [a, b] = [light(text), light(under)].sort((x, y) => y - x);
    seen += 1;
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) bad.push([element.className, walk.currentNode.data, ratio]);
  }
  return [seen, bad];
})()"""


def test_tree_has_landmarks_headings_and_a_named_table(shown):
    tree = shown.tree()
    roles = [node["role"] for node in tree]
    for role in ("banner", "main", "contentinfo"):
        assert roles.count(role) == 1, role
    regions = {node["name"] for node in tree if node["role"] == "region"}
    assert {"Alerts", "Margins in force", "BTC-PERP", "What if"} <= regions
    headings = [n["properties"]["level"] for n in tree if n["role"] == "heading"]
    assert headings[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(headings))
    tables = [node["name"] for node in tree if node["role"] == "table"]
    assert tables
    assert all(tables)
    assert tables[0].startswith("Initial margin of every instrument")
    columns = [n["name"] for n in tree if n["role"] == "columnheader"][:8]
    titles = ("Instrument", "Long", "Short", "Regime", "Stress", "Status", "Basis", "Age")
    assert all(title in column for title, column in zip(titles, columns, strict=True))


def test_everything_that_can_be_used_has_a_name(shown):
    shown.click("#key summary")
    tree = shown.tree()
    found = [node for node in tree if node["role"] in INTERACTIVE]
    assert len(found) > 20
    assert [node for node in found if not node["name"].strip()] == []
    slider = next(node for node in tree if node["role"] == "slider")
    assert slider["name"] == "Moment on the chart"
    assert "margin" in slider["properties"].get("valuetext", "")
    images = [node["name"] for node in tree if node["role"] in ("image", "img")]
    assert any("losses were above it" in name for name in images)
    assert all(images)


def test_narrow_page_is_still_a_table_to_a_reader(shown):
    shown.size(360, 900)
    tree = shown.tree()
    rows = [node for node in tree if node["role"] == "rowheader" and "PERP" in node["name"]]
    assert len(rows) == 3
    cells = [node["name"] for node in tree if node["role"] == "cell"]
    assert any("OK" in name for name in cells)


def test_status_basis_and_age_are_seen_at_every_width(shown):
    for width in (1280, 640, 360):
        shown.size(width, 900)
        for column in ("status", "basis", "age", "long", "short"):
            seen = shown.run(
                f"[...document.querySelectorAll('#margins td[data-column={column}]')].map((c) => {{"
                " const r = c.getBoundingClientRect();"
                f" return r.width > 5 && r.height > 5 && r.right <= {width}; }})"
            )
            assert seen == [True] * 4, (width, column)
        assert shown.run("document.documentElement.scrollWidth") <= width


def test_tab_goes_everywhere_and_the_focus_is_seen(shown):
    seen: list[tuple[str, str, float]] = []
    for _ in range(60):
        shown.press("Tab")
        at = shown.run(
            "(() => { const e = document.activeElement; if (e === document.body) return null;"
            " const shownBy = e.matches('.choice input') ? e.closest('.choice') : e;"
            " const s = getComputedStyle(shownBy);"
            " return [e.id || e.textContent.trim().slice(0, 12) || e.value, s.outlineStyle,"
            " parseFloat(s.outlineWidth)]; })()"
        )
        if at is None or (seen and at[0] == seen[0][0]):
            break
        seen.append(at)
    names = [name for name, _, _ in seen]
    assert names[0].startswith("Skip to")
    wanted = {"theme", "Instrument▲", "BTC-PERP", "long", "cursor", "add", "simulate"}
    assert wanted <= set(names), names
    assert [at for at in seen if at[1] == "none" or at[2] < 2] == []


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_text_stands_out_from_its_ground(shown, service, colours):
    shown.media(prefers_color_scheme=colours)
    shown.click("#numbers summary")
    seen, bad = shown.run(CONTRAST)
    assert seen > 150
    assert bad == []


def test_nothing_moves_for_who_asked_for_that(shown):
    moving = "getComputedStyle(document.querySelector('.dot')).animationName"
    assert shown.run(moving) == "breathe"
    shown.media(prefers_reduced_motion="reduce")
    assert shown.run(moving) == "none"


def test_nothing_is_asked_from_outside_and_nothing_goes_wrong(shown, service):
    shown.click("#margins-body tr:nth-child(4) .name")
    shown.wait("document.querySelector('#detail-title').textContent === 'XAU/USD'")
    shown.click("#numbers summary")
    shown.size(360, 800)
    shown.size(1280, 900)
    assert shown.requests
    assert [url for url in shown.requests if not url.startswith(service.url + "/")] == []
    assert shown.console == []


def test_browser_is_held_to_own_files(shown):
    with_script = """(() => { try {
      const s = document.createElement("script"); s.textContent = "window.broken = 1";
      document.body.append(s); } catch { return "refused"; }
      return window.broken ? "ran" : "refused"; })()"""
    assert shown.run(with_script) == "refused"
    markup = """(() => { try { document.body.insertAdjacentHTML("beforeend", "<b>x</b>");
      return "taken"; } catch { return "refused"; } })()"""
    assert shown.run(markup) == "refused"
    outside = "fetch('http://127.0.0.1:9/').then(() => 'sent', (e) => e.message)"
    assert "fetch" in shown.run(outside)
    assert any("Content Security Policy" in text for text in shown.console)
