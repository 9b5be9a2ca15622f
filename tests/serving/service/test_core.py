import asyncio

import msgspec
import pytest

from foremargin.serving.journal import Record
from foremargin.serving.observations import Bar, Observation, Tick
from foremargin.serving.ports import Outcome
from foremargin.serving.service import ServiceCore
from foremargin.serving.service.culprits import LeftOut, Omissions
from foremargin.serving.service.feed import Feed
from foremargin.serving.service.records import Append, Refuse, Reply, Submit
from foremargin.tests.serving.service.ewma import EwmaCalculator

HOUR = 3_600 * 10**9


def bar(close=100.0):
    prices = dict.fromkeys(("open", "high", "low", "close"), close)
    return Bar(instrument="BTC", time=HOUR, more={"volume": 1.0}, **prices)


def settle(core, effects, *, first=1):
    """Let every append succeed; return the other effects."""
    done = []
    while effects:
        effect = effects.pop(0)
        if isinstance(effect, Append):
            effects += core.appended(first, now=effect.time)
            first += len(effect.entries)
        else:
            done.append(effect)
    return done


def test_what_a_calculator_repeats_is_ignored_unless_it_has_another_bundle():
    core = ServiceCore(["BTC"])
    settle(core, core.ticked(HOUR))
    (first,) = EwmaCalculator().apply([bar()])
    second = msgspec.structs.replace(first, sigma=0.9 * first.sigma)
    settle(core, core.calculated([first], applied=5, now=HOUR), first=2)
    settle(core, core.calculated([second], applied=6, now=HOUR), first=3)
    settle(core, core.calculated([first], applied=5, now=HOUR), first=4)
    assert core.standings["BTC"].calculation == second
    other = msgspec.structs.replace(first, bundle="another")
    settle(core, core.calculated([other], applied=5, now=HOUR), first=4)
    assert core.standings["BTC"].calculation == other


def test_observations_of_a_failed_append_are_as_if_they_had_not_come():
    core = ServiceCore(["BTC"])
    settle(core, core.ticked(HOUR))
    (append,) = core.observed([bar()], by="", ticket=1, now=HOUR)
    assert isinstance(append, Append)
    assert core.observed([bar()], by="", ticket=2, now=HOUR) == []
    refused = core.append_failed("no room", now=HOUR)
    assert refused == [Refuse(1, "no room"), Refuse(2, "no room")]
    effects = settle(core, core.observed([bar()], by="", ticket=3, now=HOUR), first=2)
    (reply,) = (e for e in effects if isinstance(e, Reply))
    assert [r.outcome for r in reply.receipts] == [Outcome.ACCEPTED]
    assert [e for e in effects if isinstance(e, Submit)] == [Submit([bar()], 2)]


def test_a_quote_that_was_owed_is_not_owed_when_the_journal_has_it_or_a_newer_one():
    core = ServiceCore(["BTC"])
    (append,) = core.ticked(HOUR)
    assert isinstance(append, Append)
    core.append_failed("no room", now=HOUR)
    state = core.state()
    assert [made.quote.sequence for made in state.owed] == [1]
    again = ServiceCore(["BTC"])
    again.restore(state)
    (entry,) = append.entries
    again.replay(Record(1, HOUR, entry.kind, entry.by, entry.payload, bytes(32)))
    assert again.state().owed == []
    (retried,) = core.ticked(HOUR + 1)  # and it is tried again as long as it is owed
    assert isinstance(retried, Append)
    assert retried.entries == append.entries


def test_what_was_left_out_is_read_from_the_journal():
    core = ServiceCore(["BTC"])
    left_out = LeftOut(7, "it ended the calculator")
    core.replay(Record(8, HOUR, "left-out", "", msgspec.json.encode(left_out), bytes(32)))
    assert core.left_out == core.state().left_out == Omissions(1, left_out, HOUR, (7,))


class Source:
    def __init__(self):
        self.batches = []

    def backlog(self, after, limit):
        found = [b for b in self.batches if b[0] > after][:limit]
        return (found[-1][0] if found else after), found


def test_a_feed_gives_every_record_once_in_order_although_memory_is_short():
    async def run():
        source = Source()
        feed = Feed(source, after=0)

        def journalled(first, last):
            for sequence in range(first, last + 1):
                batch: list[Observation] = [Tick(instrument="BTC", time=sequence, price=1.0)]
                source.batches.append((sequence, batch))
                feed.offer(batch, sequence)

        async def taken(last):
            seen: list[int] = []
            while not seen or seen[-1] < last:
                seen += [sequence for sequence, _ in await feed.next()]
            return seen

        journalled(1, 1)
        assert await taken(1) == [1]
        with pytest.raises(TimeoutError):  # it has caught up: from now on from memory
            await asyncio.wait_for(feed.next(), 0.2)
        journalled(2, 1_500)  # more than memory holds
        assert await taken(1_500) == list(range(2, 1_501))
        journalled(1_501, 1_510)
        assert await taken(1_510) == list(range(1_501, 1_511))
        feed.restart(1_505)
        assert await taken(1_510) == list(range(1_506, 1_511))

    asyncio.run(run())
