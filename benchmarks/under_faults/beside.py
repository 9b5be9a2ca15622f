"""Two threads beside the load: one looks at all margins, one sends ticks and keeps the receipts."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from .checks import Look
from .market import INSTRUMENTS, replayed

_LOOK_S, _SEND_S = 0.04, 0.15


class Beside(threading.Thread):
    """Does one thing again and again until it is ended; counts answers by fault and status."""

    def __init__(self, url: str, headers: dict[str, str], replay: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        self.url, self.headers, self.replay = url, headers, replay
        self.fault = ""
        self.answers: Counter[tuple[str, str]] = Counter()
        self.error: Exception | None = None
        self._done = threading.Event()
        self._wait_s = _LOOK_S

    def run(self) -> None:
        """Go on until it is ended."""
        while not self._done.wait(self._wait_s):
            fault = self.fault
            try:
                self.once(fault)
            except urllib.error.HTTPError as error:
                self.answers[fault, str(error.code)] += 1
            except (OSError, ValueError, EOFError, urllib.error.URLError):
                # A fault that began meanwhile is the one that broke it.
                self.answers[self.fault or fault, "nothing"] += 1
            except Exception as error:  # a thread that dies must not look like one that saw nothing
                self.error = error
                return

    def once(self, fault: str) -> None:
        """Do it once."""
        raise NotImplementedError

    def end(self) -> None:
        """Stop, and raise what ended it before."""
        self._done.set()
        self.join(10)
        if self.error is not None:
            raise self.error

    def ask(self, path: str, body: Any = None, **headers: str) -> Any:
        """Return the JSON of an answer."""
        content = None if body is None else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        request = urllib.request.Request(
            f"{self.url}{path}", content, {**self.headers, **kind, **headers}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


class Watcher(Beside):
    """Looks at all margins."""

    looks: list[Look]

    def __init__(self, url: str, headers: dict[str, str], replay: dict[str, Any]) -> None:
        super().__init__(url, headers, replay)
        self.looks = []

    def once(self, fault: str) -> None:
        """Look."""
        began = replayed(**self.replay)
        quotes = self.ask("/v1/margins")["quotes"]
        self.answers[fault, "200"] += 1
        self.looks.append(Look(time=began, quotes=quotes, fault=fault))


class Sender(Beside):
    """Sends ticks; remembers what was acknowledged, by its place in the journal."""

    acknowledged: dict[int, Any]

    def __init__(
        self, url: str, headers: dict[str, str], replay: dict[str, Any], bars: Path
    ) -> None:
        super().__init__(url, headers, replay)
        rows = (json.loads(line) for line in bars.read_bytes().splitlines())
        self._closes = {
            (bar["instrument"], bar["time"]): bar["close"] for row in rows for bar in row
        }
        self.acknowledged = {}
        self.outcomes: Counter[str] = Counter()
        self._wait_s, self._sent = _SEND_S, 0

    def once(self, fault: str) -> None:
        """Send a tick at the last close, a little off."""
        self._sent += 1
        quotes = self.ask("/v1/margins")["quotes"]
        name = INSTRUMENTS[self._sent % len(INSTRUMENTS)]
        observed = next(one["observed_at"] for one in quotes if one["instrument"] == name)
        close = self._closes.get((name, observed))
        if close is None:  # nothing was calculated yet
            return
        price = close * (1.0 + 1e-5 * (self._sent % 7))
        tick = {
            "type": "tick",
            "instrument": name,
            "time": replayed(**self.replay),
            "price": price,
            "venue": "sender",
        }
        key = f"tick-{self._sent}-{time.time_ns()}"
        receipt = self.ask("/v1/observations", [tick], **{"Idempotency-Key": key})["receipts"][0]
        self.answers[fault, "200"] += 1
        self.outcomes[receipt["outcome"]] += 1
        if receipt["sequence"]:
            self.acknowledged[receipt["sequence"]] = tick
