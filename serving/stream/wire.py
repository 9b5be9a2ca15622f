"""What both transports need: problems, and waiting with a limit."""

import asyncio

from msgspec.json import Encoder

from .events import Problem

problem_bytes = Encoder().encode
"""Return a problem as JSON bytes."""


def problem_of(code: str, title: str, status: int, detail: str) -> Problem:
    """Return a problem of RFC 9457 with a stable type."""
    return Problem(
        type=f"https://foremargin.dev/problems/{code}", title=title, status=status, detail=detail
    )


async def woken(event: asyncio.Event, *, within_s: float) -> bool:
    """Wait for an event and clear it; False if the time is up."""
    try:
        async with asyncio.timeout(max(0.0, within_s)):
            await event.wait()
    except TimeoutError:
        return False
    event.clear()
    return True
