"""The network over HTTP: Open Inference Protocol beside `mlflow models serve` of the same network.

One row of features per request, all outputs, JSON both ways, one process each, taking turns on the
same machine, with the load generator on it too. MLflow's model is PyTorch in a `pyfunc` that keeps
its module; ours is the ONNX graph of a bundle: by the routes alone, by the routes behind the gate
(keys, rates, limits), and by the protocol in front of it, which asks the room itself. Needs `wrk`;
four minutes.

- *p50*, *p99*: milliseconds.
- *processor*: microseconds of processor time of the server per request, all its processes; on a
  machine that is busy with other work this is what can be compared.
- *in process*: microseconds per call without HTTP.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foremargin.features import History, build_history
from foremargin.markets import load_panel
from foremargin.models import RegimeNetwork, TrainingPlan, to_state, write_state
from foremargin.models.network import FittedRegimeNetwork, network_onnx
from foremargin.models.network.inputs import with_garch
from foremargin.serving.inference import InferenceModel
from foremargin.serving.onnx_model import OnnxModel

Array = NDArray[np.float64]

ROUNDS, SECONDS = 3, 4
CONNECTIONS = (1, 16)

_OURS = """
import sys, time, uvicorn
from pathlib import Path
from foremargin.serving.assembly.inferring import inference_work
from foremargin.serving.http.door import Door
from foremargin.serving.http.gate import Gate
from foremargin.serving.http.hot import HotTable
from foremargin.serving.http.protocol import HotProtocol
from foremargin.serving.http.settings import HttpSettings
from foremargin.serving.inference import (
    Inference, InferenceModel, InferenceModels, make_inference_router,
)
from foremargin.serving.onnx_model import OnnxModel
from foremargin.serving.security import Authenticator, Rate, RateLimiter, RateLimits

class Clock:
    def now(self):
        return time.time_ns()

models = InferenceModels()
graph = OnnxModel.load(Path(sys.argv[1]).read_bytes())
models.replace(InferenceModel(name="network", version="1", graph=graph))
inference = Inference(models)
app = make_inference_router(inference)
if sys.argv[3] != "route":
    unlimited = Rate(1e7, 10_000_000)
    settings = HttpSettings(fast_path=sys.argv[3] == "hot")
    door = Door(
        Authenticator(None, clock=Clock()),
        limiter=RateLimiter(),
        limits=RateLimits(address=unlimited, stranger=unlimited),
    )
    hot = HotTable(
        [],
        [inference_work(inference.infer)],
        door=door,
        clock=Clock(),
        limits=settings.body,
        timeout_s=settings.timeout_s,
    )
    app = Gate(app, door=door, hot=hot, settings=settings)
uvicorn.run(
    app, host="127.0.0.1", port=int(sys.argv[2]), loop="uvloop",
    http=HotProtocol if sys.argv[3] == "hot" else "httptools",
    log_level="error", access_log=False, proxy_headers=False, server_header=False,
)
"""

_WAYS = {
    "route": "foremargin, V2, routes alone",
    "gate": "foremargin, V2, routes behind the gate",
    "hot": "foremargin, V2, answered in front of it",
}

_PYFUNC = """
from pathlib import Path

import mlflow
import numpy as np
import torch
from foremargin.models import from_state, read_state


class Network(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        folder = Path(context.artifacts["state"])
        files = [(folder / name).read_bytes() for name in ("state.json", "weights.safetensors")]
        self.fitted = from_state(read_state(*files))
        self.module = self.fitted.module()
        torch.set_num_threads(1)

    def predict(self, context, model_input, params=None):
        fitted, module = self.fitted, self.module
        x = fitted.scaler.transform(np.asarray(model_input["features"]))
        with torch.no_grad():
            hidden = module.hidden(torch.as_tensor(x)[None], None)
            correction = module.correction(hidden).mean(0).numpy()
            shapes = module.shapes(hidden)
            said = {
                name: getattr(shapes, name).mean(0).numpy()
                for name in ("quantile", "shortfall", "steepness", "shift")
            }
        said["log_variance"] = fitted.skip.predict(x) + correction[:, 0]
        if fitted.cost_skip is not None:
            said["log_cost"] = fitted.cost_skip.predict(x) + correction[:, 1]
        return said


mlflow.models.set_model(Network())
"""


@dataclass(frozen=True)
class Server:
    """What is measured: its name, how it is started, what it is asked."""

    name: str
    command: Callable[[int], list[str]]
    path: str
    ready: str
    body: bytes


def main() -> None:
    """Print the tables."""
    if shutil.which("wrk") is None:
        print("wrk is not installed; nothing to measure")
        return
    fitted, rows = _network()
    with tempfile.TemporaryDirectory() as folder:
        servers = [_ours(Path(folder), fitted, rows, way=way) for way in _WAYS]
        servers.append(_mlflow(Path(folder), fitted, rows))
        _print_in_process(fitted, rows)
        found: dict[tuple[str, int], list[tuple[float, ...]]] = {}
        with ExitStack() as stack:
            places = [stack.enter_context(_running(server)) for server in servers]
            for _ in range(ROUNDS):
                for server, place in zip(servers, places, strict=True):
                    for connections in CONNECTIONS:
                        measured = _measured(server, place, connections, Path(folder))
                        found.setdefault((server.name, connections), []).append(measured)
    print("\n| server | connections | requests/s | p50 | p99 | processor |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for (name, connections), all_rounds in found.items():
        rate, p50, p99, used = np.median(all_rounds, axis=0)
        print(f"| {name} | {connections} | {rate:,.0f} | {p50:.2f} | {p99:.2f} | {used:,.0f} |")


def _network() -> tuple[FittedRegimeNetwork, Array]:
    """Fit the network of the default sizes in a moment; rows of features without gaps."""
    history: History = build_history(load_panel("arch"), horizons=(1, 5, 10))
    plan = TrainingPlan(max_epochs=1, head_epochs=1, max_steps=20)
    fitted = RegimeNetwork(plan=plan).fit(history, rng=np.random.default_rng(1))
    seen = with_garch(history, fitted.garch, fitted.spec.features_of(history.panel))
    known = np.isfinite(seen.features.level)
    return fitted, np.nan_to_num(seen.features.values[known][-1_000:])


def _ours(folder: Path, fitted: FittedRegimeNetwork, rows: Array, *, way: str) -> Server:
    path = folder / "model.onnx"
    path.write_bytes(network_onnx(fitted))
    tensor = {
        "name": "features",
        "shape": [1, rows.shape[1]],
        "datatype": "FP64",
        "data": rows[-1].tolist(),
    }
    return Server(
        name=_WAYS[way],
        command=lambda port: [sys.executable, "-c", _OURS, str(path), str(port), way],
        path="/v2/models/network/infer",
        ready="/v2/health/ready",
        body=json.dumps({"inputs": [tensor]}).encode(),
    )


def _mlflow(folder: Path, fitted: FittedRegimeNetwork, rows: Array) -> Server:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    state = folder / "state"
    state.mkdir()
    document, arrays = write_state(to_state(fitted))
    (state / "state.json").write_bytes(document)
    (state / "weights.safetensors").write_bytes(arrays)
    code = folder / "network_pyfunc.py"
    code.write_text(_PYFUNC)
    spec = TensorSpec(np.dtype("float64"), (-1, rows.shape[1]), "features")
    mlflow.pyfunc.save_model(
        str(folder / "mlflow"),
        python_model=str(code),
        artifacts={"state": str(state)},
        signature=ModelSignature(inputs=Schema([spec])),
        pip_requirements=["mlflow"],
    )
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder / "mlflow")]
    return Server(
        name="`mlflow models serve`",
        command=lambda port: [*command, "--env-manager", "local", "-p", str(port)],
        path="/invocations",
        ready="/ping",
        body=json.dumps({"inputs": {"features": rows[-1:].tolist()}}).encode(),
    )


@contextmanager
def _running(server: Server) -> Iterator[tuple[int, int]]:
    """Start a server on a free port and end it, with what it started; gives port and group."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    process = subprocess.Popen(
        server.command(port),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        # MLflow looks for uvicorn on the path.
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    try:
        begun = time.perf_counter()
        while time.perf_counter() - begun < 120.0:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{server.ready}", timeout=5):
                    break
            except OSError:
                time.sleep(0.05)
        print(f"{server.name}: ready after {time.perf_counter() - begun:.1f} s")
        yield port, process.pid
    finally:
        os.killpg(process.pid, 15)
        process.wait(20)


def _processor_s(group: int) -> float:
    """Return seconds of processor time that the processes of a group have used."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue  # it has ended
        if int(fields[2]) == group:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _measured(
    server: Server, place: tuple[int, int], connections: int, folder: Path
) -> tuple[float, ...]:
    """Return requests/s, median and 99 % quantile in ms, and processor time per request in us."""
    port, group = place
    script = folder / "post.lua"
    script.write_text(
        'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
        f"wrk.body = [==[{server.body.decode()}]==]\n"
    )
    url = f"http://127.0.0.1:{port}{server.path}"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--latency", "-s", str(script)]
    before = _processor_s(group)
    text = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(f"{server.name} did not answer every request:\n{text}")
    used = _processor_s(group) - before
    n_requests = re.search(r"(\d+) requests in", text)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    quantiles = [re.search(rf"{q}%\s+([\d.]+)(us|ms|s)\n", text) for q in (50, 99)]
    assert rate is not None
    assert n_requests is not None
    unit = {"us": 1e-3, "ms": 1.0, "s": 1e3}
    p50, p99 = (float(q[1]) * unit[q[2]] for q in quantiles if q is not None)
    return float(rate[1]), p50, p99, 1e6 * used / int(n_requests[1])


def _print_in_process(fitted: FittedRegimeNetwork, rows: Array) -> None:
    graph = OnnxModel.load(network_onnx(fitted))
    model = InferenceModel(name="network", version="1", graph=graph)
    tensor = {"name": "features", "shape": [1, rows.shape[1]], "datatype": "FP64"}
    body = json.dumps({"inputs": [{**tensor, "data": rows[-1].tolist()}]}).encode()
    print(f"{rows.shape[1]} features, request of {len(body)} bytes; in process, microseconds:")
    for name, call in (
        ("graph, 1 row", lambda: graph.run({"features": rows[-1:]})),
        ("graph, 16 rows", lambda: graph.run({"features": rows[-16:]})),
        ("graph, 256 rows", lambda: graph.run({"features": rows[-256:]})),
        ("whole request, 1 row", lambda: model.infer(body)),
    ):
        taken = []
        for _ in range(300):
            before = time.perf_counter()
            call()
            taken.append(1e6 * (time.perf_counter() - before))
        print(f"  {name}: {np.median(taken):.0f}")


if __name__ == "__main__":
    main()
