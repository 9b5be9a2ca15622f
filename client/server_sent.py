"""Reading server-sent events from bytes as they come.

Lines end with LF, CR or CRLF and with nothing else: JSON may hold the other line breaks of Unicode.
"""

from msgspec import Struct

_LARGEST = 16 * 1024 * 1024


class ServerSentEvent(Struct, frozen=True, kw_only=True):
    """One event; a comment is one without data and type.

    Attributes
    ----------
    type : str
        Name of the event; empty for a comment.
    data : bytes
        Its data, lines joined by LF.
    """

    type: str = ""
    data: bytes = b""


class EventReader:
    """Takes bytes and gives events.

    Attributes
    ----------
    retry_ms : int or None
        What the service asks to wait before connecting again.
    """

    def __init__(self) -> None:
        self.retry_ms: int | None = None
        self._rest = b""
        self._type = ""
        self._data: list[bytes] = []
        self._size = 0
        self._first = True

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Return the events that this completes.

        Raises
        ------
        ValueError
            If one event is larger than 16 MiB.
        """
        text = self._rest + chunk
        # A CR at the end may be half of a CRLF.
        held = b"\r" if text.endswith(b"\r") else b""
        lines = text.removesuffix(held).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = lines.pop() + held
        self._size += len(chunk)
        out = [event for line in lines if (event := self._line(line)) is not None]
        if self._size > _LARGEST:
            raise ValueError(f"an event must have at most {_LARGEST} bytes, had {self._size}")
        return out

    def _line(self, line: bytes) -> ServerSentEvent | None:
        if self._first:
            line, self._first = line.removeprefix(b"\xef\xbb\xbf"), False
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not name:
            return ServerSentEvent()
        if name == b"event":
            self._type = value.decode(errors="replace")
        elif name == b"data":
            self._data.append(value)
        elif name == b"retry" and value.isdigit() and len(value) < 9:
            self.retry_ms = int(value)
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        kind, data = self._type or "message", self._data
        self._type, self._data, self._size = "", [], len(self._rest)
        return ServerSentEvent(type=kind, data=b"\n".join(data)) if data else None
