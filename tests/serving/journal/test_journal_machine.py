"""The journal against a list: appends, faults, kills and power cuts in any order."""

import random
from pathlib import Path

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from foremargin.serving.journal import Entry, Journal, JournalError, Snapshot, Snapshots
from foremargin.tests.serving.journal.simulated_disk import PowerCut, SimulatedDisk

FOLDER = Path("/state")
groups = st.lists(st.binary(max_size=60), min_size=1, max_size=4)
STEPS = ["write", "sync", "truncate", "create", "rename", "sync_folder", "open"]


class JournalMachine(RuleBasedStateMachine):
    """Every acknowledged record is in the journal, once, in order, and nothing is made up."""

    def __init__(self):
        super().__init__()
        self.disk = SimulatedDisk(random.Random(7))
        self.model = []  # acknowledged
        self.doubtful = []  # one group at most, that failed and may be there after all
        self.snapshot = None
        self.open()

    def open(self):
        self.journal = Journal(FOLDER, segment_bytes=400, disk=self.disk)
        self.snapshots = Snapshots(FOLDER / "snapshots", disk=self.disk)
        found = [record.payload for record in self.journal.read()]
        assert found[: len(self.model)] == self.model
        assert found[len(self.model) :] in ([], self.doubtful)
        self.model, self.doubtful = found, []

    @rule(group=groups)
    def append(self, group):
        try:
            first = self.journal.append([Entry("test", "", p) for p in group], time=1)
        except JournalError:
            assert self.journal.fault
            return
        assert first == len(self.model) + 1
        self.model += group

    @rule(
        group=groups,
        step=st.sampled_from(STEPS),
        code=st.sampled_from([28, 5]),
        n=st.integers(1, 3),
    )
    @precondition(lambda self: not self.journal.fault)
    def append_with_a_fault(self, group, step, code, n):
        left = [n]

        def fault(name):
            if name == step and left[0]:
                left[0] -= 1
                raise OSError(code, "injected")

        self.disk.fault = fault
        try:
            self.journal.append([Entry("test", "", p) for p in group], time=1)
            self.model += group
        except JournalError:
            self.doubtful = group if self.journal.fault else []
        self.disk.fault = lambda name: None

    @rule(group=groups, after=st.integers(0, 12), power=st.booleans())
    @precondition(lambda self: not self.journal.fault)
    def crash_in_an_append(self, group, after, power):
        left = [after]

        def fault(name):
            left[0] -= 1
            if left[0] < 0:
                raise PowerCut

        self.disk.fault = fault
        try:
            self.journal.append([Entry("test", "", p) for p in group], time=1)
            self.model += group
        except PowerCut:
            self.doubtful = group
        self.disk.fault = lambda name: None
        self.crash(power=power)

    @rule(power=st.booleans())
    def crash(self, power):
        if power:
            self.disk.cut_power()
        else:
            self.disk.kill()
        self.open()

    @rule()
    def open_again(self):
        self.journal.close()
        self.open()

    @rule()
    def take_a_snapshot(self):
        if not self.journal.fault:
            j = self.journal
            self.snapshot = Snapshot(sequence=j.last, digest=j.digest, content=b"%d" % j.last)
            self.snapshots.save(self.snapshot)

    @invariant()
    def reads_what_was_acknowledged(self):
        assert [record.payload for record in self.journal.read()] == self.model
        assert self.journal.last == len(self.model)

    @invariant()
    def has_the_last_snapshot(self):
        latest = self.snapshots.latest()
        assert latest == self.snapshot
        if latest:
            list(self.journal.read(after=latest.sequence, digest=latest.digest))


JournalMachine.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes minutes here
)
test_journal_machine = JournalMachine.TestCase
