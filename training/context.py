"""What a page says about the run that made it."""

import shlex
import sys
from collections.abc import Sequence

import yaml

from ..backtest.report import ReportContext
from ..features import variance_measure
from ..markets import findings_frame
from .preparation import Preparation
from .records import Tag, opening_records


def report_context(
    prepared: Preparation, *, verb: str, title: str, notes: Sequence[str], run_id: str
) -> ReportContext:
    """Describe data, configuration and provenance of a run.

    Parameters
    ----------
    prepared : Preparation
        What was run on.
    verb : str
        Of the command, for example ``evaluate``.
    title : str
        Head line; the names of the instruments are added.
    notes : sequence of str
        What a reader must know.
    run_id : str
        The MLflow run.
    """
    experiment, panel, split = prepared.experiment, prepared.panel, prepared.split
    marks = (0, split.forecast_row, split.validation_row, split.test_row, -1)
    day = [str(panel.time[row])[:16].replace("T", " ") for row in marks]
    data = [
        ("source", panel.source),
        ("period", experiment.data.period),
        ("history from", day[0]),
        ("forecasts from", day[1]),
        ("validation from", day[2]),
        ("test from", day[3]),
        ("test to", day[4]),
    ]
    measures = zip(panel.instruments, variance_measure(panel), strict=True)
    data += [(f"variance of {name}", measure) for name, measure in measures]
    records = opening_records(experiment, panel, verb=verb)
    provenance = [(r.key, r.value) for r in records if isinstance(r, Tag)]
    return ReportContext(
        title=f"{title}: {', '.join(panel.instruments)}",
        config_yaml=yaml.safe_dump(experiment.model_dump(mode="json"), sort_keys=False),
        command=shlex.join(["foremargin", *sys.argv[1:]]),
        data=tuple(data),
        notes=tuple(notes),
        findings=findings_frame(panel.findings),
        provenance=(("MLflow run", run_id), *provenance),
    )
