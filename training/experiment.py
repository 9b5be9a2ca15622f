"""The experiment file: everything that decides what a run computes."""

from collections.abc import Iterable, Mapping
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Discriminator, Field, Tag, ValidationError, model_validator

from ..calibrate import ALL_POLICIES, Generation, Policy
from ..errors import InputError
from ..features import ALL_FEATURES, FEATURE_SETS
from ..models import ALL_FORECASTERS, ALL_MIXTURES, Forecaster, Mixture
from .composition import PolicyConfig
from .model_options import option_names, with_options
from .search_space import check_space
from .section import Section
from .train_config import TrainConfig
from .tune_config import TuneConfig
from .windows import EXPANDING, Schedule, Window

DEFAULT_EXPERIMENT = "default"
"""Name of the experiment that runs when none is given."""


class DataConfig(Section):
    """Which market."""

    source: tuple[str, ...] = ("arch",)
    """Paths of bar files or folders, or the name of an embedded source (``arch``)."""
    period: str = "1D"
    """Length of one period: ``1D``, ``8h``, ``1h``, ``15min``."""
    instruments: tuple[str, ...] | None = None
    """Instruments to keep; all if not given."""


class SplitConfig(Section):
    """Where forecasts, validation and test begin: UTC dates, or shares of the periods.

    Forecasts need history before them, validation needs a year of forecasts before it, and the
    test period tunes nothing.
    """

    forecast_from: date | None = None
    """First forecast origin; if not given, after `forecast_share` of the periods."""
    validation_from: date | None = None
    """First origin of validation, which fits the matched-cost constants."""
    test_from: date | None = None
    """First origin of the test period; it runs to the end of the data."""
    forecast_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.20
    """Used where `forecast_from` is not given."""
    validation_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.45
    """Used where `validation_from` is not given."""
    test_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.60
    """Used where `test_from` is not given."""


class ForecastConfig(Section):
    """Which forecasters, and how far ahead."""

    models: tuple[str, ...] | None = None
    """Names of registered forecasters and mixtures; all if not given."""
    horizons: tuple[Annotated[int, Field(ge=1)], ...] | None = None
    """Numbers of periods; by default 1, 5 and 10 daily periods, or 1 period, 8 hours and 1 day."""
    more_features: tuple[str, ...] = ()
    """Features, or sets of them, that pooled models see beside the core set."""
    window: str = EXPANDING
    """What a fit is given: ``expanding``, the whole past, or its end, like ``1000 sessions``."""
    windows: dict[str, str] = Field(default_factory=dict)
    """Windows of single models, by name, where they differ from `window`."""
    warm_starts: bool = False
    """Whether models that can start each fit where their previous one ended."""
    options: dict[str, dict[str, object]] = Field(default_factory=dict)
    """Hyper-parameters by model: ``{har-pooled: {refit_days: 7}}``."""


NamedOrComposed = Annotated[
    Annotated[PolicyConfig, Tag("composed")] | Annotated[str, Tag("named")],
    # Told apart before validation, so that an error is about the one that was meant.
    Discriminator(lambda given: "named" if isinstance(given, str) else "composed"),
]


class MarginConfig(Section):
    """What is margined, and by which policies."""

    horizons: tuple[Annotated[int, Field(ge=1)], ...] | None = None
    """Margin periods of risk, numbers of periods; by default 1 day, or 8 hours within the day."""
    tail_probability: Annotated[float, Field(gt=0.0, lt=0.1)] = 0.01
    """Breach rate that margins aim at: 0.01 for 99 % coverage."""
    policies: tuple[NamedOrComposed, ...] | None = None
    """Names of registered policies, and composed ones; all registered ones if not given."""


class Experiment(Section):
    """A whole run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")] = "backtest"
    """Name of the MLflow experiment and of the output folder."""
    data: DataConfig = DataConfig()
    """Which market."""
    split: SplitConfig = SplitConfig()
    """Where forecasts, validation and test begin."""
    forecast: ForecastConfig = ForecastConfig()
    """Which forecasters, and how far ahead."""
    margin: MarginConfig = MarginConfig()
    """What is margined, and by which policies."""
    train: TrainConfig = TrainConfig()
    """What `foremargin train` deploys, and what it must pass."""
    tune: TuneConfig | None = None
    """What `foremargin tune` searches: a `model`, its `space`, `trials`, `metric`, `horizons`."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of every random stream."""

    @model_validator(mode="after")
    def _values_fit_the_forecasters(self) -> "Experiment":
        names = [forecaster.name for forecaster in ALL_FORECASTERS]
        _check_names("forecast.windows", self.forecast.windows, names)
        _check_names("forecast.options", self.forecast.options, names)
        mixtures = [mixture.name for mixture in ALL_MIXTURES]
        _check_names("train.model", (self.train.model,), [*names, *mixtures])
        _check_names("train.gates.references", self.train.gates.references, names)
        if set(self.train.gates.references) == {self.train.model}:
            raise ValueError(
                f"train.gates.references must name a model beside train.model, was "
                f"{list(self.train.gates.references)}"
            )
        try:
            self.schedule()
            for name in self.forecast.options:
                self.forecaster(name)
            if self.tune is not None:
                _check_names("tune.model", (self.tune.model,), names)
                tuned = self.forecaster(self.tune.model)
                _check_names("tune.space", self.tune.space, option_names(tuned))
                check_space(tuned, self.tune.space)
        except InputError as error:
            raise ValueError(str(error)) from error
        return self

    @model_validator(mode="after")
    def _names_are_registered(self) -> "Experiment":
        models = [*(f.name for f in ALL_FORECASTERS), *(m.name for m in ALL_MIXTURES)]
        _check_names("forecast.models", self.forecast.models, models)
        known = [*FEATURE_SETS, *(feature.name for feature in ALL_FEATURES)]
        _check_names("forecast.more_features", self.forecast.more_features, known)
        self._policies_are_known()
        available = {forecaster.name for forecaster in self.forecasters()}
        for mixture in ALL_MIXTURES:
            lacking = sorted(set(mixture.sources) - available)
            if mixture.name in (self.forecast.models or ()) and lacking:
                raise ValueError(
                    f"forecast.models names {mixture.name}, which needs {lacking}; add them"
                )
        for policy in self.policies():
            missing = sorted(set(policy.models) - available)
            if missing:
                raise ValueError(
                    f"policy {policy.name} needs the forecasts of {missing}; add them to "
                    "forecast.models or leave the policy out of margin.policies"
                )
        return self

    def _policies_are_known(self) -> None:
        given = self.margin.policies or ()
        registered = [policy.name for policy in ALL_POLICIES]
        _check_names("margin.policies", [p for p in given if isinstance(p, str)], registered)
        names = [p if isinstance(p, str) else p.name for p in given]
        taken = [p.name for p in given if not isinstance(p, str) and p.name in registered]
        if taken or len(set(names)) < len(names):
            raise ValueError(
                f"a composed policy must have a name of its own, found {taken or names}"
            )
        for composed in (p for p in given if not isinstance(p, str)):
            try:
                composed.policy()
            except InputError as error:
                raise ValueError(str(error)) from error

    def forecasters(self) -> tuple[Forecaster, ...]:
        """Return the forecasters by name, in the order of the registry."""
        names = self.forecast.models
        chosen = [f.name for f in ALL_FORECASTERS if names is None or f.name in names]
        return tuple(self.forecaster(name) for name in chosen)

    def forecaster(self, name: str) -> Forecaster:
        """Return one registered forecaster with the experiment's options."""
        registered = {forecaster.name: forecaster for forecaster in ALL_FORECASTERS}
        return with_options(registered[name], self.forecast.options.get(name, {}))

    def schedule(self) -> Schedule:
        """Return what each fit is given."""
        return Schedule(
            window=Window.parse(self.forecast.window),
            windows={name: Window.parse(w) for name, w in self.forecast.windows.items()},
            warm_starts=self.forecast.warm_starts,
        )

    def mixtures(self) -> tuple[Mixture, ...]:
        """Return the mixtures by name; without names, all whose sources there are."""
        names, available = self.forecast.models, {f.name for f in self.forecasters()}
        if names is None:
            return ALL_MIXTURES
        return tuple(m for m in ALL_MIXTURES if m.name in names and set(m.sources) <= available)

    def policies(self) -> tuple[Policy, ...]:
        """Return the policies given; without any, all registered whose forecasts there are."""
        given, available = self.margin.policies, {f.name for f in self.forecasters()}
        if given is not None:
            named = tuple(p for p in ALL_POLICIES if p.name in given)
            return (*named, *(p.policy() for p in given if not isinstance(p, str)))
        return tuple(p for p in ALL_POLICIES if set(p.models) <= available)


def _check_names(where: str, names: Iterable[str] | None, registered: list[str]) -> None:
    unknown = sorted(set(names or ()) - set(registered))
    if unknown:
        raise ValueError(f"{where} must be among {registered}, found {unknown}")


def load_experiment(
    path_or_name: str | Path | None = None, *, overrides: Mapping[str, Any] | None = None
) -> Experiment:
    """Read an experiment file and check it.

    Parameters
    ----------
    path_or_name : str or Path, optional
        A YAML file, or the name of a shipped one; ``default`` if not given.
    overrides : mapping, optional
        Values that replace those of the file: a nested mapping, ``{"data": {"period": "1h"}}``.

    Raises
    ------
    InputError
        If there is no such file, it is not YAML, or a value is not allowed; the message names
        the key, the rule and the value.
    """
    name = DEFAULT_EXPERIMENT if path_or_name is None else str(path_or_name)
    text = _read(name)
    try:
        values = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise InputError(f"{name} must be YAML, but could not be read: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"{name} must hold keys and values, found {type(values).__name__}")
    try:
        return Experiment.model_validate(_merge(values, overrides or {}))
    except ValidationError as error:
        raise InputError(f"{name}: {_explain(error)}") from error


def shipped_experiments() -> list[str]:
    """Return the names of the experiment files that come with the package."""
    folder = resources.files(f"{__package__.rsplit('.', 1)[0]}.configs")
    return sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".yaml"))


def needs_predictive(experiment: Experiment) -> None:
    """Check that the experiment can give a verdict.

    Raises
    ------
    InputError
        If it has no predictive or no reactive policy.
    """
    kinds = [policy.generation for policy in experiment.policies()]
    if Generation.PREDICTIVE not in kinds or Generation.REACTIVE not in kinds:
        raise InputError(
            "a backtest compares predictive with reactive policies and needs at least one of "
            f"each, found {sorted({kind.value for kind in kinds})}; name them in margin.policies"
        )


def _read(name: str) -> str:
    path = Path(name)
    if path.suffix in {".yaml", ".yml"} or path.exists():
        if not path.is_file():
            raise InputError(f"there must be an experiment file at {path}, but there is none")
        return path.read_text(encoding="utf-8")
    if name in shipped_experiments():
        folder = resources.files(f"{__package__.rsplit('.', 1)[0]}.configs")
        return (folder / f"{name}.yaml").read_text(encoding="utf-8")
    raise InputError(
        f"an experiment must be a YAML file or one of {shipped_experiments()}, was {name!r}"
    )


def _merge(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for key, value in overrides.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _explain(error: ValidationError) -> str:
    """Put pydantic's findings into one sentence each: where, what must hold, what was found."""
    sentences = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"]) or "experiment"
        rule = item["msg"].removeprefix("Value error, ")
        found = "" if item["type"] == "value_error" else f", found {item['input']!r}"
        sentences.append(f"{where}: {rule}{found}")
    return "; ".join(sentences)
