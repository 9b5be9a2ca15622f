"""Tails learnt directly: value at risk and expected shortfall without a variance in between."""
