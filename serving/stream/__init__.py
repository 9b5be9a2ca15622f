"""Streams: a snapshot, then deltas, over WebSocket and server-sent events.

The hub knows the newest quote of every instrument in the order of publication, and how far each
subscriber has read. A slow subscriber therefore costs no memory and delays nobody: what it has not
read yet is the newest quote of each instrument above its place, and never more than that.
"""

from .asyncapi import asyncapi_document
from .events import Reason, Resync
from .hub import Hub, Subscription
from .records import Delivery, HubCounts, StreamLimits
from .routes import Authorise, Refusal, make_stream_routes

__all__ = [
    "Authorise",
    "Delivery",
    "Hub",
    "HubCounts",
    "Reason",
    "Refusal",
    "Resync",
    "StreamLimits",
    "Subscription",
    "asyncapi_document",
    "make_stream_routes",
]
