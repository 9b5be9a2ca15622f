"""Bundles as files: what one holds, who signed it, and reading it without trusting anything in it.

Training writes them, the service reads them; neither pandas nor numpy is needed for that.
"""

from .atomic import write_atomically
from .manifest import (
    CORRELATIONS,
    FORMAT,
    MANIFEST,
    MOST_CORRELATED,
    NOT_SERVED,
    OPTIONAL_FILES,
    PRIOR_CORRELATION,
    REQUIRED_FILES,
    SERVING_FILES,
    SIGNATURE,
    FileRecord,
    Manifest,
    check_served,
    parse_manifest,
)
from .promotion import CHAMPION, Promotion, read_promotion, write_promotion
from .signing import TRUSTED_VARIABLE, is_signed_by, sign, signing_key, trusted_key
from .verified import Trust, VerifiedFiles, read_verified

__all__ = [
    "CHAMPION",
    "CORRELATIONS",
    "FORMAT",
    "MANIFEST",
    "MOST_CORRELATED",
    "NOT_SERVED",
    "OPTIONAL_FILES",
    "PRIOR_CORRELATION",
    "REQUIRED_FILES",
    "SERVING_FILES",
    "SIGNATURE",
    "TRUSTED_VARIABLE",
    "FileRecord",
    "Manifest",
    "Promotion",
    "Trust",
    "VerifiedFiles",
    "check_served",
    "is_signed_by",
    "parse_manifest",
    "read_promotion",
    "read_verified",
    "sign",
    "signing_key",
    "trusted_key",
    "write_atomically",
    "write_promotion",
]
