"""Trees: every update is provable, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foremargin.errors import InputError
from foremargin.serving.publish import evidence_root, keccak
from foremargin.serving.publish.merkle import leaf, proof, root_of, tree

DIGESTS = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40, unique=True)


def by_the_definition(hashes):
    """The root by recursion over halves of one level."""
    if len(hashes) == 1:
        return hashes[0]
    pairs = [sorted(hashes[k : k + 2]) for k in range(0, len(hashes), 2)]
    return by_the_definition([keccak(b"\1" + b"".join(p)) if len(p) > 1 else p[0] for p in pairs])


@given(digests=DIGESTS)
def test_the_root_is_that_of_the_definition(digests) -> None:
    assert tree(digests)[-1] == (by_the_definition([keccak(b"\0" + d) for d in digests]),)


@given(digests=DIGESTS, data=st.data())
def test_every_digest_is_provable_and_no_other(digests, data) -> None:
    levels = tree(digests)
    index = data.draw(st.integers(0, len(digests) - 1))
    partners = proof(levels, index)
    assert len(partners) <= (len(digests) - 1).bit_length()
    assert root_of(digests[index], partners) == levels[-1][0]
    other = data.draw(st.binary(min_size=32, max_size=32))
    assert (root_of(other, partners) == levels[-1][0]) == (other == digests[index])


@given(digests=DIGESTS, data=st.data())
def test_a_node_does_not_pass_for_a_digest(digests, data) -> None:
    levels = tree(digests)
    for level in range(len(levels) - 1):
        inner = levels[level][0]
        partners = [levels[k][1] for k in range(level, len(levels) - 1)]
        assert root_of(inner, partners) != levels[-1][0]


def test_the_last_of_an_odd_number_is_not_doubled() -> None:
    digests = [keccak(bytes([k])) for k in range(3)]
    assert tree(digests)[-1] != tree([*digests, digests[-1]])[-1]


def test_a_single_update_is_its_own_root() -> None:
    levels = tree([b"\1" * 32])
    assert (levels, proof(levels, 0)) == (((leaf(b"\1" * 32),),), ())


def test_the_root_of_five_is_pinned() -> None:
    digests = [keccak(bytes([k])) for k in range(5)]
    assert tree(digests)[-1][0].hex() == ROOT


def test_an_empty_batch_has_no_root() -> None:
    with pytest.raises(InputError, match="a batch must have at least one update, found none"):
        tree([])


@pytest.mark.parametrize("index", [-1, 5])
def test_a_proof_is_of_a_leaf(index) -> None:
    levels = tree([keccak(bytes([k])) for k in range(5)])
    with pytest.raises(InputError, match=f"index must be from 0 to 4, was {index}"):
        proof(levels, index)


def test_evidence_is_the_same_in_any_order_and_depends_on_names_and_content() -> None:
    files = [("a.json", b"1"), ("b.json", b"2"), ("c.json", b"3")]
    root = evidence_root(files)
    assert evidence_root(files[::-1]) == root
    assert evidence_root([("x.json", b"1"), *files[1:]]) != root
    assert evidence_root([("a.json", b"4"), *files[1:]]) != root


ROOT = "d9ee1b5b59aa9f6acfddc4c62207cd9d67fab37e5d77e826171ce5f25cde3c1f"
