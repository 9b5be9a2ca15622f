"""A service that runs: what tests of its shell and of its calculator's process share."""

import asyncio
from contextlib import asynccontextmanager

from foremargin.serving.observations import Bar, Tick
from foremargin.serving.service import InProcessCalculator, Service
from foremargin.tests.serving.service.ewma import EwmaCalculator

HOUR = 3_600 * 10**9


class Clock:
    def __init__(self):
        self.time = 1_000 * HOUR

    def now(self):
        return self.time


def bar(hour, close=100.0, name="BTC"):
    prices = dict.fromkeys(("open", "high", "low", "close"), close)
    return Bar(instrument=name, time=hour * HOUR, more={"volume": 1.0}, **prices)


def tick(time, venue=""):
    return Tick(instrument="BTC", time=time, price=100.0, venue=venue)


@asynccontextmanager
async def running(folder, *, calculator=None, clock=None, names=("BTC", "ETH"), **options):
    calculator = InProcessCalculator(EwmaCalculator()) if calculator is None else calculator
    service = Service(folder, names, calculator=calculator, clock=clock or Clock(), **options)
    service.sweep_s = 0.01
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


async def until(condition, *, within_s=20.0):
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


def basis_of(service, name="BTC"):
    return service.table.rows[name].quote.basis


def left_out(service):
    entries = service.audit(after=0, limit=1_000)
    return [entry.what["sequence"] for entry in entries if entry.kind == "left-out"]
