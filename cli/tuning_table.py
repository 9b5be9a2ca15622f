"""The outcome of a search in the terminal."""

from rich import box
from rich.console import Console
from rich.table import Table

from ..training import TuningResult

_WIDTH = 100


def print_tuning(result: TuningResult, console: Console) -> None:
    """Print the best setting beside the default one, their losses, and what that is worth."""
    first, last = (f"{day:%Y-%m-%d}" for day in result.span)
    n_failed = int(result.trials.failure.notna().sum())
    failed = f", {n_failed} of them without a score" if n_failed else ""
    console.print(f"{result.config.model}: {len(result.trials) - 1} settings tried{failed}")
    console.print(_settings(result))
    console.print(f"{result.config.metric} over validation, {first} to {last}")
    console.print(_losses(result))
    console.print(_sentence(result), style=None if result.is_better else "yellow", width=_WIDTH)


def _settings(result: TuningResult) -> Table:
    best = f"trial {result.best.number}" if result.best.number else "best"
    table = _empty("hyper-parameter", "default", best)
    for name, value in result.default.options.items():
        table.add_row(name, _short(value), _short(result.best.options[name]))
    return table


def _losses(result: TuningResult) -> Table:
    table = _empty("periods ahead", "rows", "default", "best", "change", "DM p")
    for row in result.comparison.to_dict("records"):
        table.add_row(
            f"{row['horizon']}",
            f"{row['n']:,}",
            f"{row['base_loss']:.4f}",
            f"{row['loss']:.4f}",
            f"{row['loss'] - row['base_loss']:+.4f}",
            f"{row['dm_p_value']:.3f}",
        )
    return table


def _sentence(result: TuningResult) -> str:
    n_tried = len(result.trials) - 1
    if result.best.number == 0:
        return (
            f"warning: none of {n_tried} settings beats the default one; best.yaml is the "
            "experiment as it was"
        )
    if not result.is_better:
        return (
            f"warning: the best of {n_tried} settings is not better than the default one beyond "
            f"chance (DM p {result.p_value:.3f} over all horizons); keep the default"
        )
    return (
        f"the best of {n_tried} settings beats the default one (DM p {result.p_value:.3f} over all "
        "horizons); it was chosen on these very rows, which flatters it: evaluate best.yaml on the "
        "test period once"
    )


def _empty(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    for k, heading in enumerate(headings):
        table.add_column(heading, justify="right" if k else "left")
    return table


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
