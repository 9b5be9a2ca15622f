"""A server in a process of its own: started, waited for, measured, loaded, and ended."""

import json
import os
import re
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foremargin.errors import ForemarginError

_STEP_S = 0.02


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Server:
    """A process that listens on a port of loopback; what it prints goes to a file.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    port : int
        Where it listens.
    log : Path
        What it prints is appended to it.
    headers : mapping of str to str, optional
        Of every request, such as ``Authorization``.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        port: int,
        log: Path,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.port, self.url = port, f"http://127.0.0.1:{port}"
        self.headers = dict(headers or {})
        self._log = log
        self.began = time.perf_counter()
        with log.open("a") as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=file)

    def get(self, path: str, *, within_s: float = 5.0) -> Any:
        """Read JSON; OSError if there is no answer, or one that is no success."""
        request = urllib.request.Request(f"{self.url}{path}", headers=self.headers)
        with urllib.request.urlopen(request, timeout=within_s) as answer:
            return json.load(answer)

    def until(self, ready: Callable[["Server"], bool], *, limit_s: float = 120.0) -> float:
        """Wait until it is ready, or fail; return seconds since it was started.

        `ready` may raise OSError for as long as nobody answers.

        Raises
        ------
        ForemarginError
            If it ended or is not ready in time.
        """
        end = time.perf_counter() + limit_s
        while time.perf_counter() < end:
            try:
                if ready(self):
                    return time.perf_counter() - self.began
            except OSError:
                pass
            if self.process.poll() is not None:
                raise ForemarginError(
                    f"a server must run until it is ended, this one left with status "
                    f"{self.process.returncode}; see {self._log}"
                )
            time.sleep(_STEP_S)
        raise ForemarginError(
            f"a server must be ready within {limit_s:g} s, was not; see {self._log}"
        )

    def listening(self, *, limit_s: float = 60.0) -> float:
        """Wait until it accepts connections; return seconds since it was started."""

        def connects(server: "Server") -> bool:
            socket.create_connection(("127.0.0.1", server.port)).close()
            return True

        return self.until(connects, limit_s=limit_s)

    def memory_mb(self) -> float:
        """Return its resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024.0

    def cpu_s(self) -> float:
        """Return its user and system time; NaN where there is no /proc."""
        try:
            said = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            return float("nan")
        return (int(said[11]) + int(said[12])) / os.sysconf("SC_CLK_TCK")

    def children(self, word: str = "") -> list[int]:
        """Return the processes that it started whose command has a word in it."""
        listed = subprocess.run(
            ["ps", "--ppid", str(self.process.pid), "-o", "pid=,args="],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        return [int(line.split()[0]) for line in listed.splitlines() if word in line]

    def stop(self) -> None:
        """End it as an operator does."""
        self.process.terminate()
        self.process.wait(30)

    def kill(self) -> None:
        """End it as a power cut does; its children see that it is gone."""
        self.process.kill()
        self.process.wait()


@dataclass(frozen=True, kw_only=True)
class Load:
    """What wrk found.

    Attributes
    ----------
    requests : int
        Answered.
    rps : float
        Requests a second.
    p50_ms, p99_ms : float
        Latency.
    not_2xx : int
        Answers with another status.
    unanswered : int
        Connections that were refused or broke, and answers that were too late.
    said : dict of str to int
        Numbers that the script printed as ``name=number``.
    """

    requests: int
    rps: float
    p50_ms: float
    p99_ms: float
    not_2xx: int
    unanswered: int
    said: dict[str, int]


def wrk(
    url: str,
    *,
    connections: int,
    seconds: int,
    headers: Mapping[str, str] | None = None,
    script: str = "",
) -> Load:
    """Load a URL with wrk, which must be on the path, from one thread.

    Parameters
    ----------
    url : str
        What is asked for.
    connections, seconds : int
        Open connections, and how long.
    headers : mapping of str to str, optional
        Of every request.
    script : str, optional
        Lua, as wrk has it.
    """
    command = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--latency"]
    for name, value in (headers or {}).items():
        command += ["-H", f"{name}: {value}"]
    with tempfile.TemporaryDirectory() as folder:
        if script:
            path = Path(folder) / "script.lua"
            path.write_text(script)
            command += ["-s", str(path)]
        text = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    return parse_wrk(text)


def post_script(body: bytes) -> str:
    """Return the Lua with which wrk posts JSON."""
    return (
        f'wrk.method = "POST"\nwrk.body = {json.dumps(body.decode())}\n'
        'wrk.headers["Content-Type"] = "application/json"\n'
    )


def parse_wrk(text: str) -> Load:
    """Return what wrk printed."""
    latency = dict(re.findall(r"(50|99)%\s+([\d.]+\w+)", text))
    errors = re.search(r"connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    return Load(
        requests=_count(r"(\d+) requests in", text),
        rps=float(re.findall(r"Requests/sec:\s+([\d.]+)", text)[0]),
        p50_ms=_ms(latency.get("50", "nanms")),
        p99_ms=_ms(latency.get("99", "nanms")),
        not_2xx=_count(r"Non-2xx or 3xx responses: (\d+)", text),
        unanswered=0 if errors is None else sum(map(int, errors.groups())),
        said={name: int(number) for name, number in re.findall(r"^(\w+)=(\d+)$", text, re.M)},
    )


def _count(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    return int(found[1]) if found else 0


def _ms(text: str) -> float:
    found = re.fullmatch(r"([\d.]+|nan)(us|ms|s|m)", text)
    assert found is not None, text
    return float(found[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}[found[2]]
