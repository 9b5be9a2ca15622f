import pytest


@pytest.mark.parametrize("width", [1280, 390, 360])
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_page_fits_its_width_and_can_be_pictured(tab, service, tmp_path, width, colours):
    tab.size(width, 900)
    tab.media(prefers_color_scheme=colours, prefers_reduced_motion="reduce")
    tab.call("Page.navigate", url=service.url + "/")
    tab.wait("document.querySelectorAll('#margins-body tr').length === 4")
    tab.wait("document.querySelector('#chart .margin') && document.querySelector('.gauge .bar')")
    assert tab.run("document.documentElement.scrollWidth") <= width
    picture = tmp_path / f"page-{width}-{colours}.png"
    tab.picture(picture)
    assert picture.stat().st_size > 20_000
