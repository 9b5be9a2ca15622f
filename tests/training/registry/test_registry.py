"""The registry: who may become champion, who was, and what two processes may do at a time."""

import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foremargin.bundles import read_promotion
from foremargin.errors import ForemarginError, GateError, InputError
from foremargin.training import Action, Alias, ChampionEvent, Registry, Version, load_bundle
from foremargin.training import registry as module
from foremargin.training.tracking import open_client

pytestmark = pytest.mark.slow  # a database is written to

Register = Callable[..., Version]


def champion(registry: Registry, name: str = "small") -> int | None:
    found = registry.champion(name)
    return None if found is None else found.version


def test_a_version_is_registered_with_its_bundle_as_challenger(
    registry: Registry, register: Register
) -> None:
    assert registry.names() == ()
    assert registry.versions("small") == ()
    first, second = register(registry), register(registry, passed=False)
    assert [v.version for v in registry.versions("small")] == [1, 2]
    assert registry.version("small", 1).aliases == ()
    assert (second.aliases, second.complete) == ((Alias.CHALLENGER,), True)
    assert (first.passed, second.passed) == (True, False)
    assert (second.n_gates, second.n_passed, second.gated_against) == (2, 1, None)
    assert first.model == "log-har"
    assert champion(registry) is None
    bundle = registry.bundle(first)
    assert bundle.folder == registry.store.root / "bundles" / "small-v1"
    assert bundle.digest == first.digest
    client = open_client(registry.store)
    kept = client.get_model_version("small", "1")
    assert kept.tags["gates"] == "passed"
    files = Path(str(kept.source).removeprefix("file://"))
    assert load_bundle(files).digest == first.digest


def test_only_a_version_that_passed_becomes_champion(
    registry: Registry, register: Register
) -> None:
    register(registry, passed=False)
    with pytest.raises(GateError, match="passed 1 of 2 gates and must pass all"):
        registry.promote("small", 1)
    assert champion(registry) is None
    register(registry)
    event = registry.promote("small", 2)
    assert (event.version, event.action) == (2, Action.PROMOTED)
    assert champion(registry) == 2
    assert registry.version("small", 2).aliases == (Alias.CHAMPION,)
    with pytest.raises(InputError, match="must not be champion yet"):
        registry.promote("small", 2)


def test_a_reason_overrules_the_gates_and_is_kept(registry: Registry, register: Register) -> None:
    register(registry, passed=False)
    event = registry.promote("small", 1, force="the exchange asked for it")
    assert champion(registry) == 1
    assert registry.events("small") == (event,)
    assert (event.action, event.reason) == (Action.FORCED, "the exchange asked for it")
    assert "@" in event.by


def test_gates_that_were_run_against_a_former_champion_do_not_count(
    registry: Registry, register: Register
) -> None:
    for _ in range(2):
        register(registry)
    registry.promote("small", 1)
    with pytest.raises(
        GateError, match=r"against the present champion, version 1, but .* reference"
    ):
        registry.promote("small", 2)
    register(registry, against=1)
    registry.promote("small", 3)
    assert champion(registry) == 3


def test_rolling_back_goes_one_champion_back_each_time(
    registry: Registry, register: Register
) -> None:
    for against in (None, 1, 2):
        version = register(registry, against=against).version
        registry.promote("small", version)
    for wanted in (2, 1):
        event = registry.rollback("small", reason="alarms")
        assert (event.version, event.action, event.reason) == (wanted, "rolled-back", "alarms")
        assert champion(registry) == wanted
    with pytest.raises(InputError, match="there was none"):
        registry.rollback("small", reason="alarms")
    registry.promote("small", 2)
    registry.rollback("small", reason="again")
    assert champion(registry) == 1
    assert [e.version for e in registry.events("small")] == [1, 2, 3, 2, 1, 2, 1]


def test_a_pointer_says_which_bundle_is_champion(registry: Registry, register: Register) -> None:
    bundles = registry.store.root / "bundles"
    pointer = None
    for against in (None, 1):
        version = register(registry, against=against).version
        assert read_promotion(bundles, "small") == pointer
        event = registry.promote("small", version)
        pointer = read_promotion(bundles, "small")
        assert pointer is not None
        assert (pointer.version, pointer.by, pointer.at) == (version, event.by, event.at)
        assert load_bundle(bundles / pointer.folder).digest == pointer.digest
    registry.rollback("small", reason="alarms")
    back = read_promotion(bundles, "small")
    assert back is not None
    assert back.version == 1


def test_more_than_nine_changes_stay_in_order(registry: Registry, register: Register) -> None:
    register(registry)
    register(registry)
    for i in range(10):
        registry.promote("small", 1 + i % 2, force=f"change {i}")
    assert [e.reason for e in registry.events("small")] == [f"change {i}" for i in range(10)]


def test_an_alias_that_was_set_by_hand_is_written_down(
    registry: Registry, register: Register
) -> None:
    for _ in range(2):
        register(registry)
    registry.promote("small", 1)
    open_client(registry.store).set_registered_model_alias("small", "champion", "2")
    assert champion(registry) == 2
    registry.rollback("small", reason="who did that")
    assert champion(registry) == 1
    assert [(e.version, e.action) for e in registry.events("small")] == [
        (1, Action.PROMOTED),
        (2, Action.FOUND),
        (1, Action.ROLLED_BACK),
    ]


@pytest.mark.parametrize("do", ["promote", "force", "shadow", "rollback"])
def test_a_bundle_that_was_changed_cannot_serve(
    do: str, registry: Registry, register: Register
) -> None:
    register(registry)
    register(registry, against=1)
    registry.promote("small", 1)
    if do == "rollback":
        registry.promote("small", 2)
    spoilt = registry.folder("small", 1 if do == "rollback" else 2) / "state.json"
    spoilt.write_bytes(spoilt.read_bytes() + b" ")
    before = champion(registry)
    acts: dict[str, Callable[[], Any]] = {
        "promote": lambda: registry.promote("small", 2),
        "force": lambda: registry.promote("small", 2, force="hurry"),
        "shadow": lambda: registry.shadow("small", 2),
        "rollback": lambda: registry.rollback("small", reason="hurry"),
    }
    with pytest.raises(InputError, match="SHA-256"):
        acts[do]()
    assert champion(registry) == before


def test_a_bundle_of_another_version_in_its_place_is_refused(
    registry: Registry, register: Register
) -> None:
    register(registry)
    register(registry)
    shutil.rmtree(registry.folder("small", 2))
    shutil.copytree(registry.folder("small", 1), registry.folder("small", 2))
    with pytest.raises(InputError, match="must be the bundle that was registered"):
        registry.promote("small", 2)


def test_a_version_whose_training_was_killed_counts_for_nothing(
    registry: Registry, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*args: object, **kwargs: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_bundle", killed)
        with pytest.raises(KeyboardInterrupt):
            register(registry)
    (left,) = registry.versions("small")
    assert (left.complete, left.passed, left.aliases) == (False, False, ())
    with pytest.raises(InputError, match="train it anew"):
        registry.promote("small", 1, force="I want it")
    assert register(registry).version == 2
    registry.promote("small", 2)


def test_the_shadow_needs_no_gates(registry: Registry, register: Register) -> None:
    register(registry, passed=False)
    registry.shadow("small", 1)
    assert registry.version("small", 1).aliases == (Alias.CHALLENGER, Alias.SHADOW)
    assert champion(registry) is None


def test_a_model_is_named_where_there_are_several(registry: Registry, register: Register) -> None:
    with pytest.raises(InputError, match="foremargin train"):
        registry.only(None)
    register(registry)
    assert registry.only(None) == "small"
    register(registry, name="other")
    assert registry.only("other") == "other"
    with pytest.raises(InputError, match=r"one of .'other', 'small'., was None"):
        registry.only(None)
    with pytest.raises(InputError, match=r"has no 7; there are .1"):
        registry.version("small", 7)


def test_of_two_promotions_at_a_time_one_wins_and_the_other_is_stale(
    registry: Registry, register: Register
) -> None:
    for _ in range(3):
        register(registry)
    outcomes: list[ChampionEvent | ForemarginError] = []
    together = threading.Barrier(3)

    def promote(number: int) -> None:
        own = Registry(registry.store)
        own.names()  # the connection is there before the start
        together.wait()
        try:
            outcomes.append(own.promote("small", number))
        except ForemarginError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=promote, args=(number,)) for number in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won = [event for event in outcomes if isinstance(event, ChampionEvent)]
    assert len(won) == 1
    assert [type(error) for error in outcomes if error not in won] == [GateError, GateError]
    assert champion(registry) == won[0].version
    assert registry.events("small") == tuple(won)


_HOLD = """
import sqlite3, sys
lock = sqlite3.connect(sys.argv[1], isolation_level=None)
lock.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


def test_another_process_is_waited_for_and_its_death_lets_go(
    registry: Registry, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(registry)
    path = registry.store.root / "registry.lock"
    monkeypatch.setattr(module, "_LOCK_WAIT_S", 0.2)
    command = [sys.executable, "-c", _HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match=r"another process has held .*registry\.lock"):
            registry.promote("small", 1)
        other.kill()
    registry.promote("small", 1)
    assert champion(registry) == 1
    with sqlite3.connect(path) as lock:
        assert lock.execute("SELECT 1").fetchone() == (1,)
    lock.close()
