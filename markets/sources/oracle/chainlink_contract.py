"""Chainlink's proxy contract: the words of a call, and the rounds read back from its answers.

The application binary interface of the contract is fixed: a call is four bytes that select a
function, then its arguments as words of 32 bytes; the answer is five such words.
"""

from collections.abc import Callable

import pandas as pd

from ....errors import SourceError
from ...download.client import Client
from .chainlink import Round

ContractCall = Callable[[str], str]
"""Sends the hexadecimal words of a call to the contract and returns those of its answer."""

_GET_ROUND_DATA = "0x9a6fc8f5"
_LATEST_ROUND_DATA = "0xfeaf968c"
_WORD_DIGITS = 64
_WORDS = 5
_PHASE_BITS = 64  # below the number of the contract, in a round id of the proxy


def fetch_rounds(call: ContractCall, *, since: pd.Timestamp, most: int = 10_000) -> list[Round]:
    """Return the rounds of the contract behind a proxy, newest first, one call each.

    Parameters
    ----------
    call : callable
        Asks the contract.
    since : pandas.Timestamp
        The oldest round wanted is the first at or before this time, so that the price at `since`
        is known; earlier contracts of the proxy are not read.
    most : int
        How many rounds are read at most.

    Raises
    ------
    SourceError
        If an answer is not five words.
    """
    oldest = since.timestamp()
    rounds = [_decode(call(_LATEST_ROUND_DATA))]
    while len(rounds) < most and not 0 < rounds[-1].updated_at <= oldest:
        previous = rounds[-1].round_id - 1
        if not previous % (1 << _PHASE_BITS):
            break
        rounds.append(_decode(call(_GET_ROUND_DATA + f"{previous:0{_WORD_DIGITS}x}")))
    return rounds


def contract_call(client: Client, *, node: str, proxy: str) -> ContractCall:
    """Return a function that asks a proxy contract through a node.

    Parameters
    ----------
    client : Client
        Asks, and asks again.
    node : str
        Address of a node's JSON-RPC interface.
    proxy : str
        Address of the proxy contract, ``0x`` and forty hexadecimal digits.

    Raises
    ------
    SourceError
        When called: if the node refuses, or answers in another form than JSON-RPC has.
    """

    def ask(data: str) -> str:
        parameters = [{"to": proxy, "data": data}, "latest"]
        body = {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": parameters}
        answer = client.post_json(node, body)
        result = answer.get("result") if isinstance(answer, dict) else None
        if not isinstance(result, str):
            raise SourceError(
                f"{node}: an answer must have a text 'result', was {str(answer)[:200]}; "
                "check the address of the proxy and the network of the node",
                damaged=True,
            )
        return result

    return ask


def _decode(answer: str) -> Round:
    digits = answer.removeprefix("0x")
    try:
        words = [
            int(digits[start : start + _WORD_DIGITS], 16)
            for start in range(0, _WORDS * _WORD_DIGITS, _WORD_DIGITS)
        ]
    except ValueError:
        words = []
    if len(digits) != _WORDS * _WORD_DIGITS or not words:
        raise SourceError(
            f"a round must be {_WORDS} words of {_WORD_DIGITS} hexadecimal digits, found "
            f"{len(digits)} digits; check the address of the proxy, and that it has this round",
            damaged=True,
        )
    round_id, answer_word, started_at, updated_at, answered_in_round = words
    signed = answer_word - (1 << 256 if answer_word >> 255 else 0)
    return Round(
        round_id=round_id,
        answer=signed,
        started_at=started_at,
        updated_at=updated_at,
        answered_in_round=answered_in_round,
    )
