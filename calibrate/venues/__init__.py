"""Margin rules of venues, one module each."""
