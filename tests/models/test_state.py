"""The state of a fitted forecaster, apart and together; the law for each is in conformance."""

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from foremargin.errors import InputError
from foremargin.models import (
    Distribution,
    Ewma,
    LogHar,
    Mixture,
    State,
    from_state,
    read_state,
    to_state,
    write_state,
)


def there_and_back(value: object) -> object:
    return from_state(read_state(*write_state(to_state(value))))


@pytest.mark.parametrize(
    "value",
    [None, True, 3, -0.0, 0.1, np.pi, float("inf"), -float("inf"), "ß\n", (), (1, (2.0, "x")), {}],
    ids=repr,
)
def test_plain_values_come_back_as_they_were(value: object) -> None:
    back = there_and_back(value)
    assert back == value
    assert type(back) is type(value)
    assert repr(back) == repr(value)


def test_what_is_no_number_stays_what_it_is() -> None:
    back = there_and_back((float("nan"), np.float32("nan")))
    assert isinstance(back, tuple)
    assert all(np.isnan(value) for value in back)
    assert [type(value) for value in back] == [float, np.float32]


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(12.0).reshape(3, 4)[:, ::2],
        np.arange(3, dtype=">f8"),
        np.zeros((0, 4)),
        np.array(2.5),
        np.array([True, False]),
        np.arange(3, dtype=np.int8),
        np.array([1.5, np.nan], dtype=np.float32),
        np.array(["2020-01-01", "NaT"], dtype="datetime64[ns]"),
        np.array([1, 2], dtype="timedelta64[D]"),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_an_array_comes_back_bit_for_bit_in_the_order_it_had(array: np.ndarray) -> None:
    back = there_and_back(array)
    assert isinstance(back, np.ndarray)
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype.newbyteorder("=")
    # Order decides how a matrix product sums; a slice is packed as pickling packs it.
    packed = pickle.loads(pickle.dumps(array))
    assert back.flags.f_contiguous == packed.flags.f_contiguous
    assert back.flags.c_contiguous == packed.flags.c_contiguous
    assert back.flags.writeable


def test_specifications_enumerations_and_mappings_come_back_equal() -> None:
    value = {
        ("BTC", 1): LogHar(refit_days=7),
        "law": Distribution.SKEW_T,
        3: Mixture(name="both", members=("a", "b")),
        "decay": Ewma(decay=0.97),
    }
    back = there_and_back(value)
    assert back == value
    assert isinstance(back, dict)
    assert list(back) == list(value)
    assert back["law"] is Distribution.SKEW_T


def test_keys_that_look_like_paths_do_not_mix_up_arrays() -> None:
    value = {"a.b": np.array([1.0]), "a": {"b": np.array([2.0])}, ("a", "b"): np.array([3.0])}
    back = there_and_back(value)
    assert isinstance(back, dict)
    assert back["a.b"].item() == 1.0
    assert back["a"]["b"].item() == 2.0
    assert back["a", "b"].item() == 3.0


def test_equal_values_give_equal_bytes() -> None:
    def made() -> object:
        return {"b": np.arange(3.0), "a": (np.float64(1.0), np.array(["2020"], dtype="M8[s]"))}

    assert write_state(to_state(made())) == write_state(to_state(made()))


@dataclass(frozen=True)
class _Foreign:
    x: int = 1


@dataclass
class _Open:
    x: int = 1


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ([1.0], "list"),
        ({1.0, 2.0}, "set"),
        (lambda: None, "function"),
        (_Foreign(), "_Foreign"),
        (_Open(), "_Open"),
        (np.array([object()]), "object"),
        (np.array(["a"]), "<U1"),
        (np.array([1j]), "complex128"),
        (b"bytes", "bytes"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_cannot_be_written_down_is_refused_with_its_place(value: object, found: str) -> None:
    with pytest.raises(InputError, match=rf"{found}.* at inside\.0"):
        to_state({"inside": (value,)})


def _document(value: object) -> bytes:
    return json.dumps({"format": 1, "value": value}).encode()


NO_ARRAYS = write_state(to_state(()))[1]


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ({"type": "Popen", "fields": {"args": "id"}}, "'Popen'"),
        ({"type": "os.system", "fields": {}}, "'os.system'"),
        ({"type": "Distribution", "fields": {}}, "'Distribution'"),
        ({"enum": "Ewma", "value": 0.9}, "'Ewma'"),
        ({"enum": "Distribution", "value": "cauchy"}, "Distribution .* cannot be made"),
        ({"type": "Ewma", "fields": {"decay": 0.9, "more": 1}}, "Ewma .* cannot be made"),
        ({"type": "Mixture", "fields": {"name": "x", "members": 3}}, "Mixture .* cannot be made"),
        ({"array": "x", "dtype": "<f8", "form": "plain"}, "names once, found 'x'"),
        ({"mapping": [[1]]}, "pairs"),
        ({"mapping": [[{"mapping": []}, 1]]}, "hashable"),
        ({"float": "1e400"}, "known parts"),
        ({"tuple": [1], "more": 2}, "known parts"),
        ([1], "known parts"),
    ],
    ids=str,
)
def test_a_document_with_anything_but_known_parts_is_refused(value: object, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        from_state(read_state(_document(value), NO_ARRAYS))


def test_a_document_of_another_format_is_refused() -> None:
    state = to_state(1.0)
    other = State(document={**state.document, "format": 2}, arrays={})
    with pytest.raises(InputError, match=r"format 1 .* found format 2"):
        from_state(other)


def test_every_array_is_named_exactly_once() -> None:
    state = to_state((np.arange(2.0), np.arange(3.0)))
    more = State(document=state.document, arrays={**state.arrays, "more": np.zeros(1)})
    with pytest.raises(InputError, match=r"found others: .'more'"):
        from_state(more)
    twice = json.loads(write_state(state)[0])
    twice["value"]["tuple"][1]["array"] = "0"
    with pytest.raises(InputError, match="names once, found '0'"):
        from_state(State(document=twice, arrays=state.arrays))


@pytest.mark.parametrize("dtype", ["<f4", "object", "nonsense", "<M8[ns]"])
def test_an_array_of_another_dtype_than_the_document_says_is_refused(dtype: str) -> None:
    state = to_state(np.arange(2.0))
    document = json.loads(write_state(state)[0])
    document["value"]["dtype"] = dtype
    with pytest.raises(InputError, match=r"dtype|must be a"):
        from_state(State(document=document, arrays=state.arrays))


@pytest.mark.parametrize(
    "damage",
    [
        lambda document, arrays: (document[:-3], arrays),
        lambda document, arrays: (document.replace(b"1.5", b"NaN"), arrays),
        lambda document, arrays: (b"[]", arrays),
        lambda document, arrays: (document, arrays[:-1]),
        lambda document, arrays: (document, b""),
        lambda document, arrays: (document, pickle.dumps({"x": np.zeros(1)})),
    ],
    ids=["cut", "nan", "list", "cut-arrays", "no-arrays", "pickle"],
)
def test_damaged_files_are_refused(damage: Callable[[bytes, bytes], tuple[bytes, bytes]]) -> None:
    written = write_state(to_state((1.5, np.arange(3.0))))
    assert from_state(read_state(*written)) is not None
    with pytest.raises(InputError):
        from_state(read_state(*damage(*written)))


def test_a_document_that_is_nested_without_end_is_refused() -> None:
    deep: object = 1
    for _ in range(400):
        deep = {"tuple": [deep]}
    text = '{"format": 1, "value": ' + '{"tuple": [' * 50_000 + "]}" * 50_000 + "}"
    with pytest.raises(InputError):
        from_state(read_state(text.encode(), NO_ARRAYS))
    assert from_state(read_state(_document(deep), NO_ARRAYS)) is not None
