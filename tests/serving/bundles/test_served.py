"""The store as commands of a running service ask it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from foremargin.errors import InputError
from foremargin.serving.assembly.deployed import ServedBundles
from foremargin.serving.bundles import BundleStore
from foremargin.tests.serving.bundles.conftest import Write


@pytest.fixture
def served(write: Write, open_store: Callable[[], BundleStore]) -> ServedBundles:
    """A service of version 2."""
    store = open_store()
    store.activate(write(2))
    return ServedBundles(store)


def inferred(served: ServedBundles) -> list[tuple[str, list[str]]]:
    return [(name, served.models.versions(name)) for name in served.models.names()]


def test_calculator_is_told_of_the_active_bundle_and_of_its_shadow(served, write) -> None:
    active = served.loaded().files
    alone = {"folder": str(active.folder), "digest": active.digest}
    assert served.arguments() == alone
    beside = served.shadow(write(1))
    assert beside is not None
    shadow = {"shadow": str(beside.files.folder), "shadow_digest": beside.files.digest}
    assert served.arguments() == {**alone, **shadow}
    assert served.active() == "small/2 with the shadow small/1"
    served.shadow(None)
    assert served.arguments() == alone


def test_network_that_answers_is_that_of_the_active_bundle(served, write) -> None:
    assert inferred(served) == [("small", ["2"])]
    served.activate(write(3))
    assert inferred(served) == [("small", ["3"])]
    served.rollback()
    assert inferred(served) == [("small", ["2"])]
    served.activate(write(4, network=False))
    assert inferred(served) == []


def test_bundle_of_other_instruments_needs_a_restart(served, write, promote, tmp_path) -> None:
    other = write(3, instruments=("COIN", "NEW"))
    for ask in (served.activate, served.shadow):
        with pytest.raises(InputError, match=r"of the 1 instruments that are served.* restart"):
            ask(other)
    promote(other)
    with pytest.raises(InputError, match="restart with it"):
        served.follow(tmp_path / "bundles", "small")
    assert served.active() == "small/2"
    assert inferred(served) == [("small", ["2"])]


def test_new_champion_is_followed_once(served, write, promote, tmp_path: Path) -> None:
    bundles = tmp_path / "bundles"
    assert served.follow(bundles, "small") is False
    promote(served.loaded().files.folder)
    assert served.follow(bundles, "small") is False
    promote(write(3))
    assert served.follow(bundles, "small") is True
    assert inferred(served) == [("small", ["3"])]
    assert served.follow(bundles, "small") is False


def test_service_without_a_bundle_says_what_to_do(open_store) -> None:
    with pytest.raises(InputError, match=r"must have a bundle, found none; name one with --bundle"):
        ServedBundles(open_store())
