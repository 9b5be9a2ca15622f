"""Streams: a snapshot, then deltas, over WebSocket and server-sent events."""
