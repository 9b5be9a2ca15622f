"""Blocks that are kept: taken up again, never mixed up, never half there."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from foremargin.errors import InputError
from foremargin.features import History, build_history
from foremargin.markets import Panel
from foremargin.models import BlockTask, Ewma, Forecaster, LogHar, PooledHar
from foremargin.training import (
    Execution,
    Schedule,
    WalkForward,
    Window,
    code_version,
    finished_blocks,
    stream,
    walk_forward,
)
from foremargin.training.finished_blocks import KEPT_DAYS, BlockStore, digest_history

FIRST = 600
MODELS: tuple[Forecaster, ...] = (Ewma(), LogHar(), PooledHar())
N_BLOCKS = 1 + 4 + 4  # of 100 days


@pytest.fixture(scope="module")
def history(make_panel: Callable[..., Panel]) -> History:
    return build_history(make_panel(n_periods=700), horizons=(1, 5))


def _walk(
    history: History,
    folder: Path,
    *,
    models: tuple[Forecaster, ...] = MODELS,
    seed: int = 1,
    fresh: bool = False,
    schedule: Schedule | None = None,
) -> WalkForward:
    return walk_forward(
        history,
        models,
        first_row=FIRST,
        seed=seed,
        schedule=schedule,
        execution=Execution(blocks=folder, fresh=fresh),
    )


def _same(one: WalkForward, other: WalkForward) -> None:
    assert one.notes == other.notes
    assert list(one.forecasts) == list(other.forecasts)
    for name, forecast in one.forecasts.items():
        pd.testing.assert_frame_equal(
            forecast.frame(), other.forecasts[name].frame(), check_exact=True
        )


def test_a_second_run_fits_nothing_and_says_the_same(history: History, tmp_path: Path) -> None:
    plain = walk_forward(history, MODELS, first_row=FIRST, seed=1)
    first = _walk(history, tmp_path)
    again = _walk(history, tmp_path)
    assert (plain.n_fitted, plain.n_kept) == (N_BLOCKS, 0)
    assert (first.n_fitted, first.n_kept) == (N_BLOCKS, 0)
    assert (again.n_fitted, again.n_kept) == (0, N_BLOCKS)
    _same(first, plain)
    _same(again, plain)


def test_only_what_is_missing_is_fitted(history: History, tmp_path: Path) -> None:
    first = _walk(history, tmp_path)
    for path in sorted(tmp_path.glob("*.block"))[:3]:
        path.unlink()
    again = _walk(history, tmp_path)
    assert (again.n_fitted, again.n_kept) == (3, N_BLOCKS - 3)
    _same(again, first)


def test_fresh_fits_everything_again(history: History, tmp_path: Path) -> None:
    _walk(history, tmp_path)
    again = _walk(history, tmp_path, fresh=True)
    assert (again.n_fitted, again.n_kept) == (N_BLOCKS, 0)


def test_another_input_never_takes_up_a_block(
    history: History, tmp_path: Path, make_panel: Callable[..., Panel]
) -> None:
    models = (PooledHar(),)
    _walk(history, tmp_path, models=models)
    panel = history.panel
    close = panel.close.copy()
    close[-1, 0] *= 1.0 + 1e-15
    moved = replace(history, panel=replace(panel, close=close))
    yearly = replace(panel, periods_per_year=panel.periods_per_year + 1.0)
    inputs: dict[str, WalkForward] = {
        "seed": _walk(history, tmp_path, models=models, seed=2),
        "option": _walk(history, tmp_path, models=(PooledHar(penalty=21.0),)),
        "window": _walk(
            history, tmp_path, models=models, schedule=Schedule(window=Window(sessions=500))
        ),
        "horizons": _walk(build_history(panel, horizons=(1, 4)), tmp_path, models=models),
        "features": _walk(
            build_history(panel, horizons=(1, 5), features=["core", "state"]),
            tmp_path,
            models=models,
        ),
        "price": _walk(moved, tmp_path, models=models),
        "calendar": _walk(replace(history, panel=yearly), tmp_path, models=models),
    }
    assert {name: walked.n_kept for name, walked in inputs.items()} == dict.fromkeys(inputs, 0)
    # A shorter refit cuts other blocks; one that begins and ends alike would still be another.
    assert _walk(history, tmp_path, models=models).n_fitted == 0


def test_other_code_never_takes_up_a_block(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _walk(history, tmp_path)
    monkeypatch.setattr(finished_blocks, "code_digest", lambda: "another")
    assert _walk(history, tmp_path).n_kept == 0


def test_the_digest_of_the_code_follows_every_character(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "errors.py").write_text("# errors")
    model = tmp_path / "models" / "model.py"
    digests = []
    monkeypatch.setattr(code_version, "_ROOT", tmp_path)
    for text in ("x = 1", "x = 2", "x = 1"):
        model.write_text(text)
        code_version.code_digest.cache_clear()
        digests.append(code_version.code_digest())
    code_version.code_digest.cache_clear()
    assert digests[0] == digests[2] != digests[1]


@pytest.mark.parametrize("content", [b"", b"PK no archive", None])
def test_a_damaged_block_is_made_again(
    history: History, tmp_path: Path, content: bytes | None
) -> None:
    first = _walk(history, tmp_path)
    victim = sorted(tmp_path.glob("*.block"))[0]
    whole = victim.read_bytes()
    victim.write_bytes(whole[: len(whole) // 2] if content is None else content)
    again = _walk(history, tmp_path)
    assert again.n_fitted == 1
    _same(again, first)
    assert victim.read_bytes() == whole or len(victim.read_bytes()) == len(whole)


def test_a_forecaster_from_outside_is_never_kept(history: History, tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Own:
        name: str = "ewma-0.94"
        refit_days: int = 3650

        def fit(self, history: History, *, rng: np.random.Generator) -> Ewma:
            return Ewma()

    for _ in range(2):
        walked = _walk(history, tmp_path, models=(Own(),))
        assert (walked.n_fitted, walked.n_kept) == (1, 0)
    assert list(tmp_path.glob("*.block")) == []


def test_a_block_that_nobody_asks_for_is_deleted_in_the_end(
    history: History, tmp_path: Path
) -> None:
    _walk(history, tmp_path)
    old, used, *_ = sorted(tmp_path.glob("*.block"))
    for path, days in ((old, KEPT_DAYS + 1), (used, KEPT_DAYS - 1)):
        os.utime(path, times=(time.time() - days * 86_400,) * 2)
    BlockStore.open(tmp_path, history)
    assert not old.exists()
    assert used.exists()
    _walk(history, tmp_path)
    assert time.time() - used.stat().st_mtime < 3_600.0  # being taken up keeps it


def test_a_folder_that_cannot_be_written_to_gets_a_sentence(
    history: History, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match=r"folder of finished blocks .* another with --mlruns"):
        _walk(history, tmp_path / "file")


def test_the_digest_of_a_history_is_of_what_models_see(history: History) -> None:
    assert digest_history(history) == digest_history(history.upto(700))
    assert digest_history(history) != digest_history(history.upto(699))


def test_a_block_of_a_warm_chain_is_another_one_than_a_cold_block(
    history: History, tmp_path: Path
) -> None:
    store = BlockStore.open(tmp_path, history)
    cold = BlockTask(forecaster=LogHar(), origins=slice(600, 650), rng=stream(1, "a"))
    warm = replace(cold, keep_fitted=True)
    names = [store.key(cold), store.key(warm), store.key(warm, after="one")]
    assert len({*names, store.key(warm, after="other")}) == 4


_SCRIPT = """
import sys
from pathlib import Path
from foremargin.features import build_history
from foremargin.markets import load_panel
from foremargin.models import Ewma, LogHar, PooledHar
from foremargin.training import Execution, walk_forward

history = build_history(load_panel("arch"), horizons=(1, 5))

def tell(done, total, model):
    print(done, flush=True)

walk_forward(
    history, [Ewma(), LogHar(), PooledHar()], first_row=history.panel.n_periods - 600, seed=1,
    execution=Execution(blocks=Path(sys.argv[1])), progress=tell,
)
"""


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_where_it_stopped(tmp_path: Path) -> None:
    from foremargin.markets import load_panel

    command = [sys.executable, "-W", "ignore", "-c", _SCRIPT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(5):
            assert process.stdout.readline(), process.wait()
        process.send_signal(signal.SIGKILL)
    finished = len(list(tmp_path.glob("*.block")))
    history = build_history(load_panel("arch"), horizons=(1, 5))
    first = history.panel.n_periods - 600
    plain = walk_forward(history, MODELS, first_row=first, seed=1)
    assert 5 <= finished < plain.n_fitted
    again = walk_forward(
        history, MODELS, first_row=first, seed=1, execution=Execution(blocks=tmp_path)
    )
    assert (again.n_kept, again.n_fitted) == (finished, plain.n_fitted - finished)
    _same(again, plain)
    # What the kill cut short is not a block.
    assert len(list(tmp_path.glob("*.block"))) == plain.n_fitted
