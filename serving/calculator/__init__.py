"""The calculator: observations in, calculated margins out, the same numbers as the backtest."""
