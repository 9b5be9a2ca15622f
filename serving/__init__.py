"""The service: forecasts and margins for a margin engine, fast, signed, and never silently wrong.

Two processes. The *front* answers: it holds the last margins as bytes, the journal, the signatures
and the page, and imports neither pandas nor numba. The *calculator* computes them: features,
forecasts, coverage control and limits on movement, the very code of the backtest. When the
calculator is late or gone the front goes down the ladder and says so in every answer.
"""
