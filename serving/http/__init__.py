"""HTTP: the API, version 1, and its fast path."""
