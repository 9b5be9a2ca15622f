"""The process of the calculator: ``python -m foremargin.serving.service.host DESCRIPTOR``.

It reads messages from a socket that it was given, and answers them one after the other. A thread
beats beside it, so that the front can tell a long calculation from a frozen process.
"""

import importlib
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import cast

from msgspec import Struct

from ...errors import ForemarginError, InputError
from .memory import settle_memory
from .wire import (
    LENGTH,
    Apply,
    Beat,
    Calculates,
    Done,
    Failed,
    Ready,
    Snapped,
    Start,
    TakeSnapshot,
    ToCalculator,
    decode_command,
    encode_message,
)

BEAT_S = 1.0


def load(factory: str) -> object:
    """Return what a name such as ``package.module:Class.load`` names."""
    module, _, path = factory.partition(":")
    try:
        found: object = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"a factory must be named package.module:function, {factory!r} is none that can be "
            f"loaded: {error}"
        ) from error
    return found


class Channel:
    """Frames over a socket; written by two threads, read by one."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._guard = connection, threading.Lock()

    def send(self, message: Struct) -> None:
        """Write a message."""
        with self._guard:
            self._connection.sendall(encode_message(message))

    def receive(self) -> ToCalculator | None:
        """Read a message; None when the front has gone."""
        head = self._exactly(LENGTH.size)
        content = None if head is None else self._exactly(LENGTH.unpack(head)[0])
        return None if content is None else decode_command(content)

    def _exactly(self, length: int) -> bytes | None:
        content = bytearray()
        while len(content) < length:
            part = self._connection.recv(min(length - len(content), 2**20))
            if not part:
                return None
            content += part
        return bytes(content)


def serve(channel: Channel) -> None:
    """Make a calculator and answer until the front has gone."""
    start = channel.receive()
    if not isinstance(start, Start):
        return
    calculator, ready = _made(start)
    ready.calculations = calculator.current()
    channel.send(ready)
    settle_memory()
    applied = 0
    while (message := channel.receive()) is not None:
        if isinstance(message, Apply):
            channel.send(_applied(calculator, message))
            applied = message.sequence
        elif isinstance(message, TakeSnapshot):
            channel.send(Snapped(applied, calculator.snapshot()))


def _made(start: Start) -> tuple[Calculates, Ready]:
    factory = load(start.factory)
    if not callable(factory):
        raise InputError(f"a factory must be callable, {start.factory!r} is not")
    calculator = cast(Calculates, factory(**start.arguments))
    if start.snapshot is None:
        return calculator, Ready(False, "there is no snapshot")
    try:
        calculator.restore(start.snapshot)
    except ForemarginError as error:
        return cast(Calculates, factory(**start.arguments)), Ready(False, str(error))
    return calculator, Ready(True)


def _applied(calculator: Calculates, message: Apply) -> Done:
    began, refused = time.time_ns(), ""
    try:
        calculations = calculator.apply(message.observations)
    except ForemarginError as error:
        calculations, refused = [], str(error)
    return Done(message.sequence, calculations, refused, began, time.time_ns())


def _beat(channel: Channel, stopped: threading.Event) -> None:
    with suppress(OSError):  # the front has gone, and the main thread sees it too
        while not stopped.wait(BEAT_S):
            channel.send(Beat())


def main(descriptor: int) -> int:
    """Serve one front; return the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the front's to handle
    channel, stopped = Channel(socket.socket(fileno=descriptor)), threading.Event()
    threading.Thread(target=_beat, args=(channel, stopped), daemon=True).start()
    try:
        serve(channel)
    except (BrokenPipeError, ConnectionResetError):
        return 0
    except Exception as error:
        with suppress(OSError):
            channel.send(Failed(f"{type(error).__name__}: {error}"))
        raise
    finally:
        stopped.set()
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
