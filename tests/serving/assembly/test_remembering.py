"""A service was stopped, killed, or lost its memory: the monitor knows, or says since when."""

import asyncio
import shutil
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from foremargin.serving.assembly import remembering
from foremargin.serving.assembly.backlog import Backlog
from foremargin.serving.journal import Snapshots

HOUR = 3_600_000_000_000


async def run(application, clock, bars, *, killed=None):
    """Send bars one by one; copy the state folder where it would lie after a kill."""
    async with application.app.lifespan():
        for bar in bars:
            clock.time = bar.time
            await application._from_feed([bar])
            for _ in range(400):
                quote = application.service.table.rows["BTC"].quote
                if quote.observed_at == bar.time:
                    break
                await asyncio.sleep(0.002)
        if killed is not None:
            shutil.copytree(application._folder, killed)
        for _ in range(400):
            if not application.monitor.catching_up and not application.backlog._waiting:
                break
            await asyncio.sleep(0.002)
        return application.monitor.describe("BTC"), application.monitor.anew


@pytest.fixture
def bars(make_bar):
    rng = np.random.default_rng(0)
    closes = 100.0 * np.exp(np.cumsum(0.01 * rng.normal(size=60)))
    return [make_bar("BTC", n + 1, float(close)) for n, close in enumerate(closes)]


def test_monitor_goes_on_after_a_stop_as_if_there_had_been_none(
    make_application, clock, bars, tmp_path
):
    whole, _ = asyncio.run(run(make_application(state_dir=str(tmp_path / "w")), clock, bars))
    asyncio.run(run(make_application(), clock, bars[:25]))
    assert list((tmp_path / "state" / "monitor").glob("*.snapshot"))
    parts, anew = asyncio.run(run(make_application(), clock, bars[25:]))
    assert anew == ""
    for name in ("coverage", "drift"):
        assert parts[name] == whole[name]
    assert parts["coverage"][0]["judged"] == 59
    assert parts["series"]["long_loss_bps"] == whole["series"]["long_loss_bps"]


def test_monitor_reads_the_journal_after_a_kill_without_any_memory(
    make_application, clock, bars, tmp_path
):
    folder = tmp_path / "killed"
    whole, _ = asyncio.run(run(make_application(), clock, bars[:30], killed=folder))
    assert not list(folder.glob("monitor/*"))
    again, anew = asyncio.run(run(make_application(state_dir=str(folder)), clock, []))
    assert (again["coverage"], again["drift"], anew) == (whole["coverage"], whole["drift"], "")
    assert again["coverage"][0]["judged"] == 29


@pytest.mark.parametrize("replayed", [100_000, 12])
def test_torn_memory_is_made_up_for_or_said_with_since_when(
    make_application, clock, bars, tmp_path, caplog, monkeypatch, replayed
):
    whole, _ = asyncio.run(run(make_application(), clock, bars[:20]))
    for file in (tmp_path / "state" / "monitor").glob("*.snapshot"):
        file.write_bytes(file.read_bytes()[:-7])
    monkeypatch.setattr(remembering, "REPLAYED", replayed)
    said, anew = asyncio.run(run(make_application(), clock, []))
    assert said["anew"] == anew
    if replayed == 100_000:
        assert (anew, said["coverage"]) == ("", whole["coverage"])
        assert said["since"] == whole["since"]
    else:
        assert "its memory is damaged" in anew
        assert bars[0].time < said["since"] <= bars[19].time
        assert 0 < said["coverage"][0]["judged"] < 19
        assert "the monitor began anew" in caplog.text


def test_what_is_known_in_part_is_not_kept_at_the_end(tmp_path):
    async def scenario():
        monitor: Any = SimpleNamespace(catching_up=True, names=lambda: ["BTC"])
        service: Any = SimpleNamespace(core=SimpleNamespace(last=7), digest_at=lambda _: bytes(32))
        made = remembering.Remembering(monitor, service=service, backlog=Backlog(), folder=tmp_path)
        monitor.remember, monitor.memory = list, lambda rows: b"half"
        await made.close()
        assert Snapshots(tmp_path).latest() is None
        monitor.catching_up = False
        await made.close()
        kept = Snapshots(tmp_path).latest()
        assert kept is not None
        assert (kept.sequence, kept.content) == (7, b"half")

    asyncio.run(scenario())
