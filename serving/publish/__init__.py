"""Signed updates for contracts: EIP-712, Merkle batches, and who verifies them."""

from .batch_json import batch_json, updates_json
from .cosigner import Consent, CoSigner
from .draft import LIMITED, NOT_CONVERTIBLE, PREFLIGHT, Market, Preflight, Report
from .fixed_point import REGIMES, STATUSES, margin_update, whole
from .hashing import keccak, market_id
from .ledger import Ledger
from .limits import Check, Held, Limits, Refusal, RegimeLimit, content_refusal, with_add_on
from .merkle import evidence_root
from .publisher import Plan, Publisher
from .rule import Due, PublishRule
from .signed import SignedBatch, SignedUpdate, plain_message, read_update
from .signing import LocalSigner, Signer, recover
from .update import Domain, MarginBatch, MarginUpdate
from .verifier import Signers, UpdateRefused, UpdateVerifier, verify_update

__all__ = [
    "LIMITED",
    "NOT_CONVERTIBLE",
    "PREFLIGHT",
    "REGIMES",
    "STATUSES",
    "Check",
    "CoSigner",
    "Consent",
    "Domain",
    "Due",
    "Held",
    "Ledger",
    "Limits",
    "LocalSigner",
    "MarginBatch",
    "MarginUpdate",
    "Market",
    "Plan",
    "Preflight",
    "PublishRule",
    "Publisher",
    "Refusal",
    "RegimeLimit",
    "Report",
    "SignedBatch",
    "SignedUpdate",
    "Signer",
    "Signers",
    "UpdateRefused",
    "UpdateVerifier",
    "batch_json",
    "content_refusal",
    "evidence_root",
    "keccak",
    "margin_update",
    "market_id",
    "plain_message",
    "read_update",
    "recover",
    "updates_json",
    "verify_update",
    "whole",
    "with_add_on",
]
