"""Quotes, updates, keys, and a chain with the contract; test files cannot import each other."""

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foremargin.serving.publish import (
    Domain,
    LocalSigner,
    MarginUpdate,
    keccak,
    margin_update,
)
from foremargin.serving.quote import Basis, Calculation, Quote, SideMargin, Status

NOW = 4_000_000_000  # seconds, in 2096: a chain cannot go back behind the clock
SECOND = 1_000_000_000
_HERE = Path(__file__).parent
_RECURSION_OF_EVM = 12 * 1024  # what py-evm sets when it is imported
_ROOT = _HERE.parents[2]
_CONTRACT = _ROOT / "serving" / "publish" / "solidity" / "MarginVerifier.sol"


@pytest.fixture(autouse=True)
def recursion_of_the_chain(usual_recursion_limit: None) -> None:
    """Give py-evm, where it is used, the limit that it asks for."""
    if "eth" in sys.modules:
        sys.setrecursionlimit(_RECURSION_OF_EVM)


def _quote(
    margins: Sequence[int] = (800, 500, 900, 600),
    *,
    at: int = NOW,
    name: str = "BTC",
    **changes: Any,
) -> Quote:
    """A quote made at `at` seconds from data ten seconds old, valid for an hour."""
    long, short = (
        SideMargin(initial_margin_bps=i, maintenance_margin_bps=m, components={})
        for i, m in (margins[:2], margins[2:])
    )
    calculation = Calculation(
        instrument=name,
        basis=Basis.NETWORK,
        observed_at=(at - 10) * SECOND,
        long=long,
        short=short,
        horizon_periods=1,
        horizon_s=86_400,
        tail_probability=0.01,
        sigma=0.0312345678901234,
        sigma_lower=0.021,
        sigma_upper=0.047,
        regime=changes.pop("regime", "calm"),
        stress_probability=0.07,
        liquidity_stress_probability=None,
        liquidity_cost=0.0004,
        bundle="ab" * 32,
    )
    asked = changes.pop("calculation", {})
    replaced = None if asked is None else msgspec.structs.replace(calculation, **asked)
    fields: dict[str, Any] = {
        "instrument": name,
        "sequence": 1,
        "status": Status.OK,
        "basis": Basis.NETWORK,
        "reason": "",
        "observed_at": (at - 10) * SECOND,
        "quoted_at": at * SECOND,
        "valid_until": (at + 3_600) * SECOND,
        "long": long,
        "short": short,
        "calculation": replaced,
    }
    return Quote(**{**fields, **changes})


def _update(**changes: Any) -> MarginUpdate:
    return msgspec.structs.replace(margin_update(_quote(), seq=1, epoch=1), **changes)


@pytest.fixture(scope="session")
def now() -> int:
    """Seconds."""
    return NOW


@pytest.fixture(scope="session")
def quote() -> Callable[..., Quote]:
    return _quote


@pytest.fixture(scope="session")
def update() -> Callable[..., MarginUpdate]:
    """The first update of BTC, with changes."""
    return _update


@pytest.fixture(scope="session")
def domain() -> Domain:
    return Domain(chain_id=1, contract="0x" + "11" * 20)


@pytest.fixture(scope="session")
def signers() -> list[LocalSigner]:
    """Three keys by rising address."""
    keys = [LocalSigner(keccak(bytes([k]))) for k in range(3)]
    return sorted(keys, key=lambda key: key.address)


class OnChain:
    """The contract on a chain in this process."""

    def __init__(
        self, tester: Any, artefact: dict[str, Any], addresses: list[str], threshold: int
    ) -> None:
        self.tester = tester
        self._functions = {e["name"]: e for e in artefact["abi"] if e["type"] == "function"}
        self._errors = {
            keccak(f"{e['name']}()".encode())[:4]: e["name"]
            for e in artefact["abi"]
            if e["type"] == "error"
        }
        self.owner, self.guardian, self.stranger = self.tester.get_accounts()[:3]
        constructor = next(e for e in artefact["abi"] if e["type"] == "constructor")
        from eth_abi.abi import encode

        arguments = encode(_types(constructor), [addresses, threshold, self.guardian])
        receipt = self._send(bytes.fromhex(artefact["bytecode"]) + arguments, self.owner, to="")
        self.address: str = receipt["contract_address"].lower()
        self.gas = 0

    @property
    def domain(self) -> Domain:
        """Of this chain: eth-tester's number is a constant of its own."""
        return Domain(chain_id=131_277_322_940_537, contract=self.address)

    @property
    def now(self) -> int:
        """Time of the next block, seconds."""
        return int(self.tester.get_block_by_number("pending")["timestamp"])

    def at(self, time: int) -> "OnChain":
        """Let the next block be at a time, seconds."""
        self.tester.time_travel(time)
        return self

    def send(self, name: str, *arguments: Any, sender: str = "") -> None:
        """Send a transaction; Reverted with the name of the contract's error."""
        receipt = self._send(self._encoded(name, arguments), sender or self.stranger)
        self.gas = int(receipt["gas_used"])

    def call(self, name: str, *arguments: Any) -> Any:
        """Ask without a transaction."""
        from eth_abi.abi import decode

        entry = self._functions[name]
        answer = self.tester.call(
            {
                "from": self.stranger,
                "to": self.address,
                "data": "0x" + self._encoded(name, arguments).hex(),
            },
            block_number="pending",
        )
        values = decode([_type(o) for o in entry["outputs"]], bytes.fromhex(answer[2:]))
        return values[0] if len(values) == 1 else values

    def _encoded(self, name: str, arguments: Sequence[Any]) -> bytes:
        from eth_abi.abi import encode

        entry = self._functions[name]
        selector = keccak(f"{name}({','.join(_types(entry))})".encode())[:4]
        return selector + encode(_types(entry), arguments)

    def _send(self, data: bytes, sender: str, *, to: str | None = None) -> Any:
        from eth_tester.exceptions import TransactionFailed  # type: ignore[import-untyped]

        transaction = {
            "from": sender,
            "to": self.address if to is None else to,
            "gas": 8_000_000,
            "data": "0x" + data.hex(),
        }
        try:
            # An estimate comes with the error's name; a transaction that fails does not.
            if to is None:
                self.tester.call(transaction, block_number="pending")
        except TransactionFailed as error:
            raise Reverted(self._name_of(error)) from None
        receipt = self.tester.get_transaction_receipt(self.tester.send_transaction(transaction))
        if receipt["status"] != 1:
            raise Reverted("in the block and not before")
        return receipt

    def _name_of(self, error: Exception) -> str:
        # eth-tester hands on the revert's data as the text of a bytes literal.
        data = str(error.args[0])
        code = ast.literal_eval(data)[:4] if data[:2] in ("b'", 'b"') else b""
        return str(self._errors.get(code, repr(error)))


class Reverted(Exception):
    """The contract refused; says the name of its error."""


def _type(entry: dict[str, Any]) -> str:
    if not entry["type"].startswith("tuple"):
        return str(entry["type"])
    return f"({','.join(map(_type, entry['components']))}){entry['type'].removeprefix('tuple')}"


def _types(entry: dict[str, Any]) -> list[str]:
    return [_type(argument) for argument in entry["inputs"]]


@pytest.fixture(scope="session")
def reverted() -> type[Exception]:
    return Reverted


@pytest.fixture(scope="session")
def artefact() -> dict[str, Any]:
    """ABI and bytecode, compiled once; skipped where there is no compiler."""
    node, folder = shutil.which("node"), _solc()
    if node is None or folder is None:
        pytest.skip("needs node and the npm package solc, named by FOREMARGIN_SOLC")
    pytest.importorskip("eth_tester", reason="needs eth-tester[py-evm]")
    command = [node, str(_HERE / "compile.js"), str(folder), str(_CONTRACT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="session")
def tester(artefact: dict[str, Any]) -> Any:
    """An empty chain in this process."""
    from eth_tester import EthereumTester, PyEVMBackend  # type: ignore[import-untyped]

    return EthereumTester(PyEVMBackend())


@pytest.fixture
def deploy(tester: Any, artefact: dict[str, Any]) -> Iterator[Callable[..., OnChain]]:
    """Deploy the contract (signers' addresses, threshold); afterwards the chain is as before."""
    before = tester.take_snapshot()
    yield lambda addresses, threshold=1: OnChain(tester, artefact, addresses, threshold)
    tester.revert_to_snapshot(before)


def _solc() -> Path | None:
    """The package's folder: FOREMARGIN_SOLC, or node_modules beside the code."""
    named = os.environ.get("FOREMARGIN_SOLC")
    folder = Path(named) if named else _ROOT / "node_modules" / "solc"
    return folder.resolve() if (folder / "package.json").is_file() else None
