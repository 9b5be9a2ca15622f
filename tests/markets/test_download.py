"""Downloads come out whole and right, or not at all, whatever the server does."""

import hashlib
import random
import re
import socket
from pathlib import Path

import pytest

from foremargin.errors import SourceError
from foremargin.markets.download.client import Client

CHUNK = 1 << 14  # bytes arrive in chunks of this size, and a chunk is written when it is whole
BODY = random.Random(7).randbytes(6 * CHUNK + 100)
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "made" / "file.zip"


def beside(path: Path) -> list[str]:
    return sorted(one.name for one in path.parent.iterdir())


def test_json_comes_back_with_the_query_that_was_asked(server, client):
    server.give("/rate", lambda query: b'{"asked": "%s"}' % query["coin"].encode())
    assert client.get_json(f"{server.url}/rate", params={"coin": "BTC"}) == {"asked": "BTC"}


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again_with_growing_pauses(server, client, pauses, status):
    server.give("/a", b"fine", failures=[status] * 3)
    assert client.get_bytes(f"{server.url}/a") == b"fine"
    assert [one.status for one in server.asked] == [status] * 3 + [200]
    for pause, middle in zip(pauses, [0.5, 1.0, 2.0], strict=True):
        assert 0.5 * middle <= pause <= 1.5 * middle


def test_pauses_are_spread_by_chance(server, client, pauses):
    for _ in range(4):
        server.give("/a", b"fine", failures=[500])
        client.get_bytes(f"{server.url}/a")
    assert len(set(pauses)) == 4


def test_the_server_decides_how_long_to_wait_up_to_a_limit(server, client, pauses):
    server.give("/a", b"fine", failures=[429], retry_after="7")
    server.give("/b", b"fine", failures=[503], retry_after="86400")
    server.give("/c", b"fine", failures=[429], retry_after="soon")
    for name in "abc":
        assert client.get_bytes(f"{server.url}/{name}") == b"fine"
    assert pauses[:2] == [7.0, client.longest_pause_s]
    assert pauses[2] <= 0.75  # a header that says nothing


def test_a_server_that_keeps_failing_is_named_with_status_and_tries(server, client):
    server.give("/a", b"", failures=[503] * 9)
    asked = f"{server.url}/a: .* after 4 tries it answered 503 Service Unavailable; check"
    with pytest.raises(SourceError, match=asked) as caught:
        client.get_bytes(f"{server.url}/a")
    assert caught.value.status == 503
    assert len(server.asked) == 4


@pytest.mark.parametrize("status", [400, 403, 404, 418, 451])
def test_a_refusal_is_final_and_is_quoted(server, client, status):
    server.give("/a", b"", failures=[status])
    refusal = rf"/a\?coin=BTC: .* it answered {status} .*'not now'; check"
    with pytest.raises(SourceError, match=refusal) as caught:
        client.get_json(f"{server.url}/a", params={"coin": "BTC"})
    assert caught.value.status == status
    assert len(server.asked) == 1


def test_an_answer_that_is_no_json_is_quoted(server, client):
    server.give("/a", b"<html>down for\nmaintenance</html>")
    quoted = "must be JSON, was '<html>down for maintenance</html>'"
    with pytest.raises(SourceError, match=quoted):
        client.get_json(f"{server.url}/a")


def test_a_server_that_is_not_there_is_named_after_the_last_try(client, pauses):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(
        SourceError, match=r"after 4 tries the connection failed .*refused"
    ) as caught:
        client.get_bytes(f"http://127.0.0.1:{port}/")
    assert caught.value.status is None
    assert len(pauses) == 3


def test_a_silent_server_is_asked_again(server, pauses):
    server.give("/a", b"late", delay_s=0.3)
    hasty = Client(tries=2, timeout_s=0.05, sleep=pauses.append)
    with pytest.raises(SourceError, match=r"after 2 tries it was silent for 0\.05 s"):
        hasty.get_bytes(f"{server.url}/a")
    assert len(pauses) == 1


def test_an_address_that_cannot_be_asked_is_final(client, pauses):
    with pytest.raises(SourceError, match=r"asking failed \(Invalid URL 'nowhere'"):
        client.get_bytes("nowhere")
    assert not pauses


def test_requests_keep_their_distance(server, pauses):
    server.give("/a", b"fine")
    slow = Client(pause_s=100.0, sleep=pauses.append)
    for _ in range(3):
        slow.get_bytes(f"{server.url}/a")
    # No pause before the first; the fake sleep takes no time, so each waits nearly all of it.
    assert len(pauses) == 2
    assert all(99.0 < pause <= 100.0 for pause in pauses)


def test_a_body_cut_short_is_asked_for_again(server, client):
    server.give("/a", b'{"whole": true}', cuts=[5])
    assert client.get_json(f"{server.url}/a") == {"whole": True}


def test_a_download_is_whole_and_leaves_nothing_beside_it(server, client, path):
    server.give("/f", BODY, etag='"1"')
    done = client.download(f"{server.url}/f", path, sha256=SHA256.upper())
    assert path.read_bytes() == BODY
    assert (done.size_bytes, done.transferred_bytes, done.skipped) == (len(BODY), len(BODY), False)
    assert beside(path) == ["file.zip"]


@pytest.mark.parametrize("sha256", [SHA256, None], ids=["checked", "unchecked"])
def test_an_interrupted_download_transfers_only_the_rest(server, path, sha256):
    server.give("/f", BODY, etag='"1"', cuts=[3 * CHUNK])
    with pytest.raises(SourceError, match="after one try the connection failed"):
        Client(tries=1).download(f"{server.url}/f", path, sha256=sha256)
    assert not path.exists()
    done = Client(tries=1).download(f"{server.url}/f", path, sha256=sha256)
    assert path.read_bytes() == BODY
    assert done.transferred_bytes == len(BODY) - 3 * CHUNK
    assert server.sent_bytes() == len(BODY)
    assert server.asked[-1].headers["If-Range"] == '"1"'
    assert beside(path) == ["file.zip"]


def test_a_download_cut_short_goes_on_within_the_same_call(server, client, path):
    server.give("/f", BODY, etag='"1"', cuts=[CHUNK, 2 * CHUNK])
    done = client.download(f"{server.url}/f", path)
    assert path.read_bytes() == BODY
    assert done.transferred_bytes == server.sent_bytes() == len(BODY)


def test_an_interruption_inside_a_chunk_loses_that_chunk_only(server, client, path):
    server.give("/f", BODY, etag='"1"', cuts=[3 * CHUNK + 5])
    done = client.download(f"{server.url}/f", path)
    assert path.read_bytes() == BODY
    assert server.sent_bytes() == len(BODY) + 5
    assert done.transferred_bytes == len(BODY)


@pytest.mark.parametrize("sha256", [SHA256, None], ids=["checked", "unchecked"])
def test_a_server_that_ignores_ranges_sends_all_and_nothing_is_doubled(
    server, client, path, sha256
):
    server.give("/f", BODY, etag='"1"', cuts=[3 * CHUNK], ignores_range=True)
    done = client.download(f"{server.url}/f", path, sha256=sha256)
    assert path.read_bytes() == BODY
    assert done.transferred_bytes == 3 * CHUNK + len(BODY)


@pytest.mark.parametrize("checked", [True, False])
def test_a_file_that_changed_meanwhile_is_not_spliced(server, path, checked):
    server.give("/f", BODY, etag='"1"', cuts=[3 * CHUNK])
    with pytest.raises(SourceError, match="connection failed"):
        Client(tries=1).download(f"{server.url}/f", path)
    newer = BODY[::-1]
    server.give("/f", newer, etag='"2"')
    sha256 = hashlib.sha256(newer).hexdigest() if checked else None
    Client(tries=1).download(f"{server.url}/f", path, sha256=sha256)
    assert path.read_bytes() == newer


def test_a_part_of_another_version_is_found_out_by_the_checksum(server, client, path):
    """A server without ETags: the range fits, the bytes do not."""
    server.give("/f", BODY[::-1], cuts=[3 * CHUNK])
    with pytest.raises(SourceError, match="connection failed"):
        Client(tries=1).download(f"{server.url}/f", path, sha256=SHA256)
    server.give("/f", BODY)
    done = client.download(f"{server.url}/f", path, sha256=SHA256)
    assert path.read_bytes() == BODY
    assert done.transferred_bytes == len(BODY) - 3 * CHUNK + len(BODY)


@pytest.mark.parametrize("etag", [None, 'W/"1"'])
def test_without_a_mark_of_the_version_or_a_checksum_nothing_is_resumed(server, client, path, etag):
    server.give("/f", BODY, cuts=[3 * CHUNK], etag=etag)
    client.download(f"{server.url}/f", path)
    assert path.read_bytes() == BODY
    assert "Range" not in server.asked[-1].headers


def test_a_part_longer_than_the_file_is_thrown_away(server, client, path):
    path.parent.mkdir()
    path.with_name("file.zip.part").write_bytes(BODY + b"more")
    server.give("/f", BODY)
    client.download(f"{server.url}/f", path, sha256=SHA256)
    assert path.read_bytes() == BODY
    assert [one.status for one in server.asked] == [416, 200]


@pytest.mark.parametrize("cut", [0, 1, CHUNK, len(BODY) - 1])
def test_a_truncated_body_without_length_is_caught_by_the_checksum(server, client, path, cut):
    server.give("/f", BODY, cuts=[cut], hides_length=True)
    with pytest.raises(SourceError, match=f"must have the SHA-256 checksum {SHA256}, was "):
        client.download(f"{server.url}/f", path, sha256=SHA256)
    assert not path.exists()
    assert not beside(path)


def test_a_wrong_checksum_leaves_the_earlier_file_alone(server, client, path):
    path.parent.mkdir()
    path.write_bytes(b"earlier")
    server.give("/f", BODY)
    wrong = "0" * 64
    with pytest.raises(SourceError, match=f"checksum {wrong}, was {SHA256}; it was discarded"):
        client.download(f"{server.url}/f", path, sha256=wrong)
    assert path.read_bytes() == b"earlier"
    assert beside(path) == ["file.zip"]


def test_a_file_that_is_there_is_asked_for_only_if_its_checksum_is_another(server, client, path):
    server.give("/f", BODY)
    path.parent.mkdir()
    path.write_bytes(b"older")
    assert not client.download(f"{server.url}/f", path, sha256=SHA256).skipped
    again = client.download(f"{server.url}/f", path, sha256=SHA256)
    assert again.skipped
    assert again.transferred_bytes == 0
    assert len(server.asked) == 1
    client.download(f"{server.url}/f", path)
    assert len(server.asked) == 2


def test_a_missing_file_is_told_by_its_status(server, client, path):
    with pytest.raises(SourceError, match=re.escape(f"{server.url}/f: the server must")) as caught:
        client.download(f"{server.url}/f", path)
    assert caught.value.status == 404
    assert not path.exists()


def test_an_empty_file_is_a_file(server, client, path):
    server.give("/f", b"")
    assert client.download(f"{server.url}/f", path).size_bytes == 0
    assert path.read_bytes() == b""
