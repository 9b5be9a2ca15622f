"""Options: values, Greeks, implied volatility, scenario grids, and the margin of a book."""

from .black import Greeks, black76, black_scholes
from .book import Book, Kind, Marks, option_value, unit_values
from .contingencies import (
    basis_risk,
    pin_risk,
    short_option_minimum,
    skew_risk,
    vega_expansion,
)
from .forecast import (
    ForecastMoves,
    fitted_grid,
    forecast_grid,
    forecast_moves,
    simulated_grid,
)
from .grid import ScenarioGrid, VolShape, grid_of, standard_grid
from .implied import implied_volatility
from .inverse import (
    InverseGreeks,
    inverse_book_greeks,
    inverse_future_pnl,
    inverse_greeks,
    inverse_implied_volatility,
    inverse_margin,
    inverse_pnl,
    inverse_value,
    quote_pnl,
)
from .law import SpotVolForecast
from .margin import OptionMargin, option_margin
from .revalue import (
    Approximation,
    ScenarioPnl,
    approximate_pnl,
    book_greeks,
    scenario_pnl,
)

__all__ = [
    "Approximation",
    "Book",
    "ForecastMoves",
    "Greeks",
    "InverseGreeks",
    "Kind",
    "Marks",
    "OptionMargin",
    "ScenarioGrid",
    "ScenarioPnl",
    "SpotVolForecast",
    "VolShape",
    "approximate_pnl",
    "basis_risk",
    "black76",
    "black_scholes",
    "book_greeks",
    "fitted_grid",
    "forecast_grid",
    "forecast_moves",
    "grid_of",
    "implied_volatility",
    "inverse_book_greeks",
    "inverse_future_pnl",
    "inverse_greeks",
    "inverse_implied_volatility",
    "inverse_margin",
    "inverse_pnl",
    "inverse_value",
    "option_margin",
    "option_value",
    "pin_risk",
    "quote_pnl",
    "scenario_pnl",
    "short_option_minimum",
    "simulated_grid",
    "skew_risk",
    "standard_grid",
    "unit_values",
    "vega_expansion",
]
