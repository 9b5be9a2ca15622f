"""Security: keys, signatures of requests, limits, and webhooks.

Nothing here knows HTTP beyond header values; :mod:`..http` asks it about every request. The sender
of webhooks needs httpx and is in :mod:`.webhook_sender`.
"""

from .authentication import Authenticator, is_loopback, is_signature
from .headers import DATA_HEADERS, DATA_HEADERS_TLS, DATA_POLICY, PAGE_POLICY, with_security
from .keys import KeyRecord, new_key
from .limits import BodyLimits, Excess, LimitedBodies, excess_of, read_body, replay_body
from .listening import TlsSettings, check_listening, uvicorn_arguments
from .principals import ANONYMOUS, EXPLANATIONS, LOOPBACK, Principal, Rate, Refusal, Scope
from .rates import Allowance, RateLimiter, RateLimits, limit_of
from .redaction import redact, redact_secrets
from .signing import NonceCache, Signature, SignedRequest, read_signature, sign_request
from .store import KeyStore, create_key, revoke_key
from .webhook_addresses import Destinations
from .webhook_plan import Attempt, Delivery, RetryRule, WebhookPlan
from .webhook_signatures import new_webhook_secret, verify_webhook, webhook_headers

__all__ = [
    "ANONYMOUS",
    "DATA_HEADERS",
    "DATA_HEADERS_TLS",
    "DATA_POLICY",
    "EXPLANATIONS",
    "LOOPBACK",
    "PAGE_POLICY",
    "Allowance",
    "Attempt",
    "Authenticator",
    "BodyLimits",
    "Delivery",
    "Destinations",
    "Excess",
    "KeyRecord",
    "KeyStore",
    "LimitedBodies",
    "NonceCache",
    "Principal",
    "Rate",
    "RateLimiter",
    "RateLimits",
    "Refusal",
    "RetryRule",
    "Scope",
    "Signature",
    "SignedRequest",
    "TlsSettings",
    "WebhookPlan",
    "check_listening",
    "create_key",
    "excess_of",
    "is_loopback",
    "is_signature",
    "limit_of",
    "new_key",
    "new_webhook_secret",
    "read_body",
    "read_signature",
    "redact",
    "redact_secrets",
    "replay_body",
    "revoke_key",
    "sign_request",
    "uvicorn_arguments",
    "verify_webhook",
    "webhook_headers",
    "with_security",
]
