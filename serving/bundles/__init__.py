"""Bundles in service: which one is active, hot swap, rollback, and the shadow beside it."""
