"""The calculator in a process of its own: killed, hung, silent, and given what ends it."""

import asyncio
import os
import shutil
import signal
import socket
import time
from typing import Any, cast

import pytest

from foremargin.serving.journal import Snapshots
from foremargin.serving.ports import Outcome
from foremargin.serving.quote import Basis
from foremargin.serving.service import (
    CalculatorProcess,
    ProcessSettings,
)
from foremargin.serving.service.process import _DiedError, _Life
from foremargin.serving.service.wire import Beat, encode_message
from foremargin.tests.serving.service.ewma import EwmaCalculator
from foremargin.tests.serving.service.running import (
    HOUR,
    Clock,
    bar,
    basis_of,
    left_out,
    running,
    tick,
    until,
)

FACTORY = "foremargin.tests.serving.service.ewma:EwmaCalculator"


def process(folder, **settings):
    patience = ProcessSettings(
        **{"backoff_s": 0.05, "longest_backoff_s": 0.2, "snapshot_records": 2, **settings}
    )
    return CalculatorProcess(
        FACTORY,
        arguments=lambda: {"decay": 0.9},
        snapshots=Snapshots(folder / "calculator"),
        settings=patience,
    )


def expected(observations):
    return EwmaCalculator(decay=0.9).apply(list(observations))[-1]


@pytest.mark.parametrize("parts", [1, 2])
def test_a_front_that_was_busy_does_not_call_its_calculator_silent(parts):
    async def run():
        own, other = socket.socketpair()
        with other:
            life = _Life(cast(Any, None), await asyncio.open_connection(sock=own), 1)
            frame = encode_message(Beat())
            if parts == 2:  # the length has come before
                other.send(frame[:4])
            asking = asyncio.create_task(life.receive(within_s=0.05))
            await asyncio.sleep(0.01)
            other.send(frame[4:] if parts == 2 else frame)
            time.sleep(0.1)
            assert await asking == Beat()
            with pytest.raises(_DiedError, match=r"no sign of life for 0\.05 s"):
                await life.receive(within_s=0.05)
            life.writer.close()

    asyncio.run(run())


@pytest.mark.slow
def test_a_calculator_that_is_killed_goes_on_from_its_snapshot(tmp_path):
    async def run():
        calculator, clock = process(tmp_path), Clock()
        clock.time = 1_008 * HOUR
        bars = [bar(1_000 + i, 100.0 + i % 3) for i in range(9)]
        async with running(tmp_path, calculator=calculator, clock=clock) as service:
            for i, one in enumerate(bars):
                await service.accept([one], by="")
                if i == 5:
                    await until(lambda: calculator.applied > 0)
                    os.kill(calculator.pid, signal.SIGKILL)
            await until(lambda: service.core.waiting.since is None and not calculator.fault)
            await until(lambda: service.table.rows["BTC"].quote.observed_at == bars[-1].time)
            assert calculator.deaths == 1
            assert service.table.rows["BTC"].quote.calculation == expected(bars)
            assert Snapshots(tmp_path / "calculator").latest() is not None
        # A new service and process go on from the snapshots.
        clock.time += HOUR
        async with running(tmp_path, calculator=process(tmp_path), clock=clock) as service:
            more = bar(1_009, 101.0)
            await service.accept([more], by="")
            await until(lambda: service.table.rows["BTC"].quote.observed_at == more.time)
            assert service.table.rows["BTC"].quote.calculation == expected([*bars, more])

    asyncio.run(run())


@pytest.mark.slow
def test_a_calculator_that_hangs_is_replaced_and_says_so(tmp_path):
    async def run():
        calculator = process(tmp_path, apply_s=0.4, backoff_s=5.0, longest_backoff_s=5.0)
        async with running(tmp_path, calculator=calculator) as service:
            await until(lambda: not calculator.fault)
            first = calculator.pid
            await service.accept([tick(1_000 * HOUR, "refuse")], by="")
            await until(lambda: service.core.left_out.count == 1)
            assert "venue refuse must not come" in service.health()["calculator"]["last_left_out"]
            assert calculator.pid == first
            await service.accept([tick(1_000 * HOUR, "hang")], by="")
            await until(lambda: "is followed by one of over 0.4 s" in calculator.fault)
            await until(lambda: "starting again" in service.health()["calculator"]["fault"])
            await until(lambda: "starting again" in service.table.rows["BTC"].quote.reason)

    asyncio.run(run())


@pytest.mark.slow
@pytest.mark.parametrize("snapshot_records", [1, 1_000])
def test_a_record_that_ends_the_calculator_again_and_again_is_left_out_and_said_so(
    tmp_path, snapshot_records
):
    async def run():
        calculator, clock = process(tmp_path, deaths=2, snapshot_records=snapshot_records), Clock()
        clock.time = 1_004 * HOUR
        bars = [bar(1_000 + i, 100.0 + i % 3) for i in range(4)]
        async with running(tmp_path, calculator=calculator, clock=clock) as service:
            await service.accept(bars[:2], by="")
            (receipt,) = await service.accept([tick(1_001 * HOUR + 1, "kill")], by="")
            await service.accept(bars[2:3], by="")
            await until(lambda: service.table.rows["BTC"].quote.observed_at == bars[2].time)
            assert service.table.rows["BTC"].quote.calculation == expected(bars[:3])
            assert calculator.deaths == 2
            assert not calculator.fault
            await until(lambda: service.core.left_out.count == 1)
            told = service.health()["calculator"]
            assert told["left_out"] == 1
            assert told["last_left_out"] == (
                f"record {receipt.sequence}: it ended the calculator 2 times: its process ended"
            )
            await until(lambda: left_out(service))
            assert left_out(service) == [receipt.sequence]
            await until(lambda: Snapshots(tmp_path / "calculator").latest() is not None)
        clock.time += HOUR
        calculator = process(tmp_path, deaths=2)
        async with running(tmp_path, calculator=calculator, clock=clock) as service:
            await service.accept(bars[3:], by="")
            await until(lambda: service.table.rows["BTC"].quote.observed_at == bars[3].time)
            assert service.table.rows["BTC"].quote.calculation == expected(bars)
            assert calculator.deaths == 0  # it goes on from a snapshot behind the record

    asyncio.run(run())


@pytest.mark.slow
def test_another_bundle_is_given_what_the_one_before_could_not_bear(tmp_path):
    async def run():
        calculator = process(tmp_path, deaths=1, snapshot_records=1_000)
        async with running(tmp_path, calculator=calculator) as service:
            await service.accept([tick(999 * HOUR, "kill")], by="")
            await service.accept([bar(1_000)], by="")
            await until(lambda: service.table.rows["BTC"].quote.observed_at == 1_000 * HOUR)
            snapshots = Snapshots(tmp_path / "calculator")
            await until(lambda: snapshots.latest() is not None)
            shutil.rmtree(tmp_path / "calculator")  # as if they were of the bundle before
            await calculator.reload()
            await until(lambda: calculator.deaths == 2 and not calculator.fault)
            assert left_out(service) == [service.core.left_out.last.sequence]

    asyncio.run(run())


@pytest.mark.slow
def test_records_that_end_the_calculator_one_after_the_other_are_not_left_out(tmp_path):
    async def run():
        calculator = process(tmp_path, deaths=1)
        async with running(tmp_path, calculator=calculator) as service:
            for n in (1, 2):
                await service.accept([tick(999 * HOUR + n, "kill")], by="")
            await until(lambda: "not a record is to blame" in service.core.calculator_fault)
            await until(
                lambda: "not a record is to blame" in service.table.rows["BTC"].quote.reason
            )
            assert len(left_out(service)) == 1

    asyncio.run(run())


@pytest.mark.slow
def test_a_factory_that_is_none_is_named_and_reads_go_on(tmp_path):
    async def run():
        calculator = CalculatorProcess(
            "foremargin.nowhere:Calculator",
            arguments=dict,
            snapshots=Snapshots(tmp_path / "calculator"),
        )
        async with running(tmp_path, calculator=calculator) as service:
            await until(lambda: "nowhere" in calculator.fault)
            assert basis_of(service) is Basis.FIXED
            (receipt,) = await service.accept([bar(1_000)], by="")
            assert receipt.outcome is Outcome.ACCEPTED

    asyncio.run(run())
