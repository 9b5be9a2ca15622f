"""``foremargin data``: inspect, sources and fetch, as a user sees them."""

import pandas as pd
import pytest
from typer.testing import CliRunner

from foremargin.cli import fetching_text
from foremargin.cli.data import app
from foremargin.cli.inspection_picture import draw
from foremargin.errors import InputError, SourceError
from foremargin.markets import Finding, Severity, inspect_source
from foremargin.markets.download.fetching import (
    Capability,
    FetchedFile,
    FetchReport,
    write_canonical,
)
from foremargin.markets.sources.fetchers import FETCHERS
from foremargin.markets.sources.forms import FORMS


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)  # where the default picture goes
    return lambda *arguments: CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture
def inspect(run):
    return lambda *arguments: run("inspect", *arguments, "--picture", "none")


@pytest.fixture
def bars():
    time = pd.date_range("2024-01-01", periods=240, freq="1h", tz="UTC")
    return pd.DataFrame({"open_time": time, "close": [100.0 + i % 7 for i in range(240)]})


# Inspect


def test_a_healthy_file_is_described_and_ends_with_zero(inspect, bars, tmp_path):
    bars.to_parquet(tmp_path / "X.parquet")
    result = inspect(tmp_path / "X.parquet")
    assert result.exit_code == 0
    for shown in ("bars", "2024-01-11 00:00", "240", "1h", "100 %", "No findings."):
        assert shown in result.output


def test_errors_come_first_and_end_with_two(inspect, bars, tmp_path):
    bars.assign(extra=1).to_csv(tmp_path / "A.csv", index=False)
    bars.drop(columns="close").to_csv(tmp_path / "B.csv", index=False)
    result = inspect(tmp_path)
    assert result.exit_code == 2
    assert "Findings: 1 error, 0 warning, 1 info" in result.output
    assert result.output.index("missing-column") < result.output.index("unknown-column")


def test_coverage_is_never_rounded_up_to_all(inspect, bars, tmp_path):
    long = bars.loc[bars.index.repeat(50)].reset_index(drop=True)
    long["open_time"] = pd.date_range("2023-01-01", periods=len(long), freq="1h", tz="UTC")
    long.drop(index=500).to_parquet(tmp_path / "X.parquet")
    assert "99.99 %" in inspect(tmp_path / "X.parquet").output


def test_many_findings_of_one_check_are_told_together(inspect, bars, tmp_path):
    for i in range(6):
        bars.drop(index=range(5, 6 + i)).to_parquet(tmp_path / f"X{i}.parquet")
    result = inspect(tmp_path)
    assert "warning: gap, 6 times, 21 in all" in result.output
    assert "X0 1, X1 2, X2 3, X3 4, X4 5, X5 6" in result.output


def test_a_file_of_no_known_form_is_said_to_be_one(inspect, tmp_path):
    pd.DataFrame({"strike": [1.0]}).to_parquet(tmp_path / "X.parquet")
    result = inspect(tmp_path / "X.parquet")
    assert result.exit_code == 2
    assert "found the columns strike" in result.output


def test_the_period_is_an_option(inspect, bars, tmp_path):
    bars.to_parquet(tmp_path / "X.parquet")
    assert inspect(tmp_path, "--period", "8h").exit_code == 0
    assert inspect(tmp_path, "--period", "5min").exit_code == 2


def test_the_embedded_source_has_a_name(inspect):
    result = inspect("arch")
    assert result.exit_code == 0
    assert "SP500" in result.output
    assert "5,031" in result.output


def test_a_path_that_does_not_exist_raises_for_the_root_command(inspect, tmp_path):
    result = inspect(tmp_path / "nowhere")
    assert isinstance(result.exception, InputError)
    assert "check the spelling" in str(result.exception)


# Picture


@pytest.mark.slow
def test_a_picture_is_written_where_it_is_said_to_be(run, bars, tmp_path):
    bars.to_parquet(tmp_path / "X.parquet")
    assert "picture: out/inspect.png" in run("inspect", tmp_path / "X.parquet").output
    assert (tmp_path / "out" / "inspect.png").read_bytes().startswith(b"\x89PNG")
    run("inspect", tmp_path / "X.parquet", "--picture", tmp_path / "deep" / "er.png")
    assert (tmp_path / "deep" / "er.png").exists()


@pytest.mark.slow
@pytest.mark.parametrize("n_files", [1, 5, 60])
def test_a_picture_has_a_row_per_instrument(bars, tmp_path, n_files):
    for i in range(n_files):
        bars.drop(index=range(i, i + 3)).to_parquet(tmp_path / f"X{i:02}.parquet")
    figure = draw(inspect_source(tmp_path))
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert [label.split()[0] for label in labels] == [f"X{i:02}" for i in range(n_files)]
    assert figure.get_size_inches()[1] < 30


@pytest.mark.slow
def test_a_file_that_cannot_be_read_has_a_row_that_says_why(bars, tmp_path):
    bars.to_parquet(tmp_path / "A.parquet")
    (tmp_path / "B.parquet").write_bytes(b"not parquet")
    figure = draw(inspect_source(tmp_path))
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "cannot be used: unreadable-file" in texts
    assert draw(inspect_source(tmp_path / "B.parquet")).axes  # and alone


# Sources


def test_every_source_form_and_data_set_is_listed(run):
    result = run("sources")
    assert result.exit_code == 0
    for form in FORMS:
        assert f"{form.name}: " in result.output
    for fetcher in FETCHERS:
        assert fetcher.name in result.output
        for offer in fetcher.offers:
            assert offer.dataset in result.output


# Fetch


class Stub:
    """A source that writes one file per symbol, or fails as it is told."""

    name = "stub"
    offers = (Capability(dataset="bars", gives=("close",), history="all", intervals=("1h",)),)
    lacks = ("everything else",)

    def __init__(self, failure=None, finding=None):
        self.failure = failure
        self.finding = finding
        self.requests = []

    def fetch(self, request, *, folder, client):
        self.requests.append(request)
        (symbol,) = request.symbols
        if symbol == "BAD" and self.failure is not None:
            raise self.failure
        time = pd.date_range(request.start, request.end, freq="1h", inclusive="left")
        frame = pd.DataFrame({"open_time": time, "close": 5.0})
        file: FetchedFile = write_canonical(frame, folder / f"{symbol}.parquet", instrument=symbol)
        findings = (self.finding,) if self.finding else ()
        return FetchReport(files=(file,), transferred_bytes=3_000_000, findings=findings)


@pytest.fixture
def stub(monkeypatch):
    def install(**options):
        fetcher = Stub(**options)
        monkeypatch.setattr(fetching_text, "FETCHERS", (fetcher,))
        return fetcher

    return install


ASKED = ("--from", "2024-01-01", "--to", "2024-01-03", "--interval", "1h")


def test_a_fetch_writes_files_and_says_what_they_hold(run, stub, tmp_path):
    fetcher = stub()
    result = run("fetch", "stub", "bars", "A", "B", *ASKED, "--out", tmp_path / "new")
    assert result.exit_code == 0
    assert "2 files written, 6.0 MB received" in result.output
    assert "2024-01-02 23:00" in result.output
    assert [one.start for one in fetcher.requests] == [pd.Timestamp("2024-01-01", tz="UTC")] * 2
    assert len(pd.read_parquet(tmp_path / "new" / "A.parquet")) == 48


def test_a_failing_source_keeps_what_was_written_before(run, stub, tmp_path):
    stub(failure=SourceError("stub: the server must answer; try again later"))
    result = run("fetch", "stub", "bars", "A", "BAD", *ASKED, "--out", tmp_path / "new")
    assert isinstance(result.exception, SourceError)  # which the root command turns into 4
    assert "1 files written" in result.output
    assert (tmp_path / "new" / "A.parquet").exists()


def test_an_interrupted_fetch_says_how_to_go_on(run, stub, tmp_path):
    stub(failure=KeyboardInterrupt())
    result = run("fetch", "stub", "bars", "A", "BAD", *ASKED, "--out", tmp_path / "new")
    assert result.exit_code == 130
    assert "the same command goes on from there" in result.output
    assert (tmp_path / "new" / "A.parquet").exists()


def test_an_instrument_that_could_not_be_had_ends_with_two(run, stub, tmp_path):
    finding = Finding(
        check="no-data", severity=Severity.ERROR, instrument="A", count=1, detail="nothing there"
    )
    stub(finding=finding)
    result = run("fetch", "stub", "bars", "A", *ASKED, "--out", tmp_path)
    assert result.exit_code == 2
    assert "error: no-data: nothing there" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nobody", "bars", "A", *ASKED), "source must be one of stub, was 'nobody'"),
        (("stub", "trades", "A", *ASKED), "dataset must be one of those that stub offers"),
        (("stub", "bars", "A", *ASKED[:4]), "interval of stub bars must be 1h, was None"),
        (("stub", "bars", "A", "--from", "2024-01-03", "--to", "2024-01-01"), "end must be after"),
    ],
)
def test_a_wrong_wish_is_refused_before_anything_is_asked(run, stub, arguments, message):
    fetcher = stub()
    result = run("fetch", *arguments)
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)
    assert fetcher.requests == []
