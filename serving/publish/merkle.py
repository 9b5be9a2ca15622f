r"""Merkle trees of digests: one signature for all markets, a short proof for each.

.. math:: \text{leaf} = H(\mathtt{00} \Vert \text{digest}), \quad
          \text{node} = H(\mathtt{01} \Vert \min(a, b) \Vert \max(a, b))

with Keccak-256. The first byte keeps a node from passing for a leaf; pairs are sorted, so that a
proof needs no directions. A hash without a partner rises as it is and is never doubled, since then
two lists of leaves would have the same root.
"""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from ...errors import InputError
from .hashing import keccak

Levels: TypeAlias = tuple[tuple[bytes, ...], ...]


def leaf(digest: bytes) -> bytes:
    """Return the leaf of a digest, 32 bytes each."""
    return keccak(b"\0" + digest)


def tree(digests: Iterable[bytes]) -> Levels:
    """Return all levels of the tree, leaves first; the last holds the root alone."""
    level = [keccak(b"\0" + digest) for digest in digests]
    if not level:
        raise InputError("a batch must have at least one update, found none")
    levels = [tuple(level)]
    while len(level) > 1:
        odd = level[-1:] if len(level) % 2 else []
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [keccak(b"\1" + a + b if a < b else b"\1" + b + a) for a, b in pairs] + odd
        levels.append(tuple(level))
    return tuple(levels)


def proof(levels: Levels, index: int) -> tuple[bytes, ...]:
    """Return the partners on the way from a leaf to the root, 32 bytes each."""
    if not 0 <= index < len(levels[0]):
        raise InputError(f"index must be from 0 to {len(levels[0]) - 1}, was {index}")
    partners = []
    for level in levels[:-1]:
        partner = index ^ 1
        if partner < len(level):
            partners.append(level[partner])
        index //= 2
    return tuple(partners)


def root_of(digest: bytes, partners: Sequence[bytes]) -> bytes:
    """Return the root that a digest and its proof lead to."""
    node = leaf(digest)
    for partner in partners:
        node = keccak(b"\1" + min(node, partner) + max(node, partner))
    return node


def evidence_root(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Return the root over named files, in any order, for the field ``evidence_root``.

    A file's digest is the hash of the hash of its name (UTF-8) and the hash of its content.
    """
    pairs = sorted(dict(files).items())
    return tree(keccak(keccak(name.encode()) + keccak(content)) for name, content in pairs)[-1][0]
