"""From paths to a panel: formats, folders, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from foremargin.errors import InputError
from foremargin.markets import FIELDS, SOURCES, Source, inspect_source, load_panel


def test_csv_and_parquet_give_the_same_panel(make_bars, write):
    bars = make_bars()
    parquet, csv = write(bars, "a/X.parquet"), write(bars, "b/X.csv")
    np.testing.assert_allclose(load_panel(csv).close, load_panel(parquet).close, rtol=1e-15)
    np.testing.assert_array_equal(load_panel(csv).time, load_panel(parquet).time)


@pytest.mark.parametrize(
    "form", ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S+00:00", "%Y-%m-%dT%H:%M:%S.000+0000"]
)
def test_every_zoned_iso_form_is_read(make_bars, write, form):
    bars = make_bars()
    text = bars.assign(open_time=bars["open_time"].dt.strftime(form))
    expected = load_panel(write(bars, "a/X.csv")).fingerprint()
    assert load_panel(write(text, "b/X.csv")).fingerprint() == expected


def test_other_zones_and_time_units_mean_the_same_instants(make_bars, write):
    bars = make_bars()
    expected = load_panel(write(bars, "a/X.parquet")).fingerprint()
    tokyo = bars["open_time"].dt.tz_convert("Asia/Tokyo").dt.as_unit("ms")
    path = write(bars.assign(open_time=tokyo), "b/X.parquet")
    assert load_panel(path).fingerprint() == expected


def test_the_order_of_rows_does_not_matter(make_bars, write):
    bars = make_bars()
    expected = load_panel(write(bars, "a/X.parquet"))
    shuffled = load_panel(write(bars.sample(frac=1, random_state=1), "b/X.parquet"))
    assert shuffled.fingerprint() == expected.fingerprint()
    assert {f.check for f in shuffled.findings} == {"out-of-order"}


def test_a_time_index_is_read_as_the_time_column(make_bars, write):
    bars = make_bars()
    path = write(bars.set_index("open_time"), "b/X.parquet")
    assert load_panel(path).fingerprint() == load_panel(write(bars)).fingerprint()


def test_a_folder_holds_one_file_per_instrument(make_bars, write):
    write(make_bars(seed=1), "all/B.parquet")
    write(make_bars(seed=2), "all/A.csv")
    folder = write(make_bars(seed=3), "all/c.PARQUET").parent
    (folder / "README.md").write_text("not a bar file")
    assert load_panel(folder).instruments == ("A", "B", "c")
    assert load_panel(str(folder)).instruments == ("A", "B", "c")


def test_one_file_may_hold_several_instruments(make_bars, write):
    a, b = make_bars(seed=1), make_bars(seed=2)
    both = pd.concat([a.assign(instrument="A"), b.assign(instrument="B")])
    both = both.sort_values(["open_time", "instrument"])
    panel = load_panel(write(both, "both.parquet"))
    assert panel.instruments == ("A", "B")
    alone, second = load_panel(write(b, "B.parquet")), panel.select(["B"])
    np.testing.assert_array_equal(second.close, alone.close)
    for name in alone.fields:
        np.testing.assert_array_equal(second.fields[name], alone.fields[name])


def test_several_paths_keep_their_order(make_bars, write):
    paths = [write(make_bars(seed=i), f"{name}.parquet") for i, name in enumerate("ZA")]
    assert load_panel(paths).instruments == ("Z", "A")
    assert load_panel([*paths, "arch"]).instruments == ("Z", "A", "SP500", "NASDAQ", "WTI")


def test_unknown_columns_are_listed_and_ignored(make_bars, write):
    bars = make_bars().assign(volume_usd=1.0, mood="good")
    for name in ("X.parquet", "X.csv"):
        panel = load_panel(write(bars, name))
        (finding,) = panel.findings
        assert (finding.check, finding.count) == ("unknown-column", 2)
        assert "volume_usd, mood" in finding.detail
        assert set(panel.fields) <= set(FIELDS)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("X.parquet", b"", "must have rows, found 0 bytes"),
        ("X.csv", b"", "must have rows, found 0 bytes"),
        ("X.csv", b"\n", "must be valid csv, and reading it failed"),
        ("X.parquet", b"open_time,close\n", "must be valid parquet, and reading it failed"),
        ("X.csv", b'open_time,close\n"1,2\n', "must be valid csv, and reading it failed"),
        ("X.csv", b"\xff\xfe\x00\x81", "must be valid csv, and reading it failed"),
        ("X.xlsx", b"PK", r"must end in .parquet or .csv, found '.xlsx'; convert it"),
        ("X", b"PK", r"must end in .parquet or .csv, found 'no suffix'; convert it"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        load_panel(path)
    assert str(caught.value).startswith(str(path))
    assert inspect_source(path).has_errors


def test_a_path_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"there is no .*nowhere; check the spelling"):
        load_panel(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"there is no .*nowhere; check the spelling"):
        inspect_source(tmp_path / "nowhere")


def test_a_folder_without_bar_files_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"must hold .parquet or .csv files, found none"):
        load_panel(tmp_path)


def test_no_path_at_all_is_refused():
    with pytest.raises(InputError, match="at least one data path or source name, found none"):
        load_panel([])


def test_one_name_for_two_markets_is_refused(make_bars, write):
    paths = [write(make_bars(seed=i), f"{name}/X.parquet") for i, name in enumerate("ab")]
    with pytest.raises(
        InputError,
        match=r"^an instrument must come from one market, found 'X' in .*a/X.* and .*b/X.*, whose "
        r"closes differ by a median of .* basis points; leave one out, name them apart",
    ):
        load_panel(paths)


def test_a_few_basis_points_are_enough_to_tell_a_perpetual_from_its_spot(make_bars, write):
    spot = make_bars()
    basis = 1.0 + 2e-4 * np.sin(np.arange(len(spot)))
    perpetual = spot.assign(**{name: spot[name] * basis for name in ("open", "close")})
    perpetual = perpetual.assign(high=spot["high"] * 1.01, low=spot["low"] * 0.99)
    paths = [write(spot, "spot/X.parquet"), write(perpetual, "perp/X.parquet")]
    with pytest.raises(InputError, match=r"median of 1\.\d basis points"):
        load_panel(paths, period="8h")


def test_a_row_without_its_instrument_is_refused(make_bars, write):
    bars = make_bars().assign(instrument="A")
    bars.loc[3, "instrument"] = None
    with pytest.raises(InputError, match="'instrument' must name one in every row, found 1 row"):
        load_panel(write(bars))


def test_data_shorter_than_a_period_are_refused(make_bars, write):
    bars = make_bars("2024-01-06 12:00", n=24)  # Saturday noon to Sunday noon
    with pytest.raises(InputError, match="must cover at least one whole period of 1D, found none"):
        load_panel(write(bars))


def test_the_panel_names_its_source_as_the_caller_wrote_it(make_bars, write):
    path = write(make_bars())
    assert load_panel([path, "arch"]).source == f"{path}, arch"


def test_every_source_has_a_name_and_only_the_last_claims_any_path():
    sources: tuple[Source, ...] = SOURCES
    assert len({source.name for source in sources}) == len(sources)
    claims = [source.claims("some/file.parquet") for source in sources]
    assert claims == [*[False] * (len(sources) - 1), True]


def test_row_numbers_count_rows_of_the_file_whatever_its_index_was(make_bars, write):
    bars = make_bars()
    bars.loc[17, "close"] = -1.0
    with pytest.raises(InputError, match="first: row 8, 2024-01-01 17:00 UTC"):
        load_panel(write(bars.iloc[10:]))
    repeated = bars.drop(columns="open_time").set_index(pd.Index([1] * 240))
    repeated["open_time"] = bars["open_time"].to_numpy()
    repeated["open_time"] = pd.DatetimeIndex(repeated["open_time"], tz="UTC")
    with pytest.raises(InputError, match="first: row 18, 2024-01-01 17:00 UTC"):
        load_panel(write(repeated))
