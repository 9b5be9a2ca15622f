"""Writes over HTTP: once, whatever breaks."""

import asyncio
import resource
from pathlib import Path

import pytest

from foremargin.errors import InputError
from foremargin.serving.http import HttpSettings
from foremargin.serving.http.idempotency import Entry, StoredAnswer
from foremargin.serving.http.once import EntryFile, read_key
from foremargin.serving.http.problems import ProblemError
from foremargin.serving.journal import JournalError

TICK = [{"type": "tick", "instrument": "BTC-PERP", "time": 5, "price": 4.0}]
OTHER = [{"type": "tick", "instrument": "BTC-PERP", "time": 6, "price": 4.0}]


def code_of(answer) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["type"].rsplit("/", 1)[1])


async def until(condition) -> None:
    """Let others run until something is so; steps of the loop, no time."""
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come to that")


@pytest.fixture
def post(call, tokens):
    def send(app, url, *, key="k", body=None, who="all"):
        headers = {"idempotency-key": key} if key else {}
        return call(app, "POST", url, token=tokens[who], headers=headers, json=body)

    return send


def test_observations_are_receipted_in_their_order(build, post):
    body = [*TICK, *TICK, {**TICK[0], "instrument": "NONE"}]
    answer = post(build(), "/v1/observations", body=body)
    found = [receipt["outcome"] for receipt in answer.json()["receipts"]]
    assert found == ["accepted", "duplicate", "unknown-instrument"]


def test_a_write_needs_a_key(build, post):
    app = build()
    for url, body in (("/v1/observations", TICK), ("/v1/commands/pause", {})):
        answer = post(app, url, key="", body=body)
        assert (answer.status_code, code_of(answer)) == (400, "idempotency-key-missing")


def test_the_same_request_is_done_once_and_answered_the_same(build, post, service):
    app = build()
    first = post(app, "/v1/commands/pause", body={})
    again = post(app, "/v1/commands/pause", key='"k"', body={})
    assert first.content == again.content
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert service.done == ["pause"]


def test_a_key_of_another_body_or_path_is_refused(build, post, service):
    app = build()
    assert post(app, "/v1/commands/pause", body={}).status_code == 200
    for url, body in (("/v1/commands/pause", {"x": 1}), ("/v1/commands/resume", {})):
        answer = post(app, url, body=body)
        assert (answer.status_code, code_of(answer)) == (422, "idempotency-key-reused")
    assert service.done == ["pause"]


def test_keys_of_two_callers_are_apart(build, post, service):
    app = build()
    assert post(app, "/v1/observations", body=TICK, who="all").status_code == 200
    answer = post(app, "/v1/observations", body=OTHER, who="publish")
    assert answer.json()["receipts"][0]["outcome"] == "accepted"


def test_a_key_can_be_used_anew_after_its_time(build, post, service, clock):
    app = build(settings=HttpSettings(idempotency_s=60.0))
    post(app, "/v1/commands/activate", body={})
    clock.step(59.0)
    post(app, "/v1/commands/activate", body={})
    assert service.done == ["activate"]
    clock.step(1.0)
    post(app, "/v1/commands/activate", body={})
    assert service.done == ["activate"] * 2


def test_what_was_refused_may_be_sent_again_with_the_same_key(build, post, service):
    app = build()
    service.paused = True
    answer = post(app, "/v1/commands/pause", body={})
    assert (answer.status_code, code_of(answer)) == (409, "command-refused")
    service.paused = False
    assert post(app, "/v1/commands/pause", body={}).status_code == 200
    assert code_of(post(app, "/v1/observations", key="n", body=[{"x": 1}])) == "invalid-body"
    assert post(app, "/v1/observations", key="n", body=TICK).status_code == 200


def test_while_a_request_runs_the_same_one_is_told_to_wait(build, call, tokens, service):
    app = build()
    sent = {"token": tokens["all"], "headers": {"idempotency-key": "k"}, "json": {}}

    async def play():
        service.hold = asyncio.Event()
        first = asyncio.create_task(call.send(app, "POST", "/v1/commands/pause", **sent))
        await until(lambda: service.waiting)
        second = await call.send(app, "POST", "/v1/commands/pause", **sent)
        service.hold.set()
        return await first, second

    first, second = call.runner.run(play())
    assert first.status_code == 200
    assert (second.status_code, code_of(second)) == (409, "idempotency-key-in-flight")
    assert second.headers["retry-after"] == "1"
    assert service.done == ["pause"]


def test_a_write_that_takes_too_long_goes_on_and_its_answer_waits(build, call, tokens, service):
    app = build(settings=HttpSettings(timeout_s=0.01))
    sent = {"token": tokens["all"], "headers": {"idempotency-key": "k"}, "json": {}}

    async def play():
        service.hold = asyncio.Event()
        late = await call.send(app, "POST", "/v1/commands/pause", **sent)
        service.hold.set()
        await until(lambda: service.done)
        return late, await call.send(app, "POST", "/v1/commands/pause", **sent)

    late, again = call.runner.run(play())
    assert (late.status_code, code_of(late)) == (504, "timeout")
    assert (again.status_code, again.json()["done"]) == (200, "pause")
    assert service.done == ["pause"]


def test_a_command_that_breaks_off_is_not_repeated_and_an_observation_is(build, post, service):
    app = build()
    service.broken = RuntimeError("in the middle")
    answer = post(app, "/v1/commands/rollback", body={})
    assert (answer.status_code, code_of(answer)) == (500, "internal")
    assert "middle" not in answer.text
    assert post(app, "/v1/observations", key="o", body=TICK).status_code == 500
    service.broken = None
    answer = post(app, "/v1/commands/rollback", body={})
    assert (answer.status_code, code_of(answer)) == (409, "outcome-unknown")
    assert post(app, "/v1/observations", key="o", body=TICK).status_code == 200


@pytest.mark.parametrize(
    "fault",
    [OSError(28, "No space left on device"), JournalError("records cannot be written")],
    ids=["file", "journal"],
)
def test_a_full_disk_is_unavailable_and_not_an_error(build, post, service, fault):
    app = build()
    service.broken = fault
    answer = post(app, "/v1/observations", body=TICK)
    assert (answer.status_code, code_of(answer)) == (503, "unavailable")
    assert answer.headers["retry-after"] == "5"
    service.broken = InputError("there must be room, found none")
    assert code_of(post(app, "/v1/observations", body=TICK)) == "invalid-body"


def test_keys_survive_a_restart(build, post, service, clock):
    first = post(build(state=True), "/v1/commands/pause", body={})
    post(build(state=True), "/v1/observations", body=TICK)
    app = build(state=True)
    again = post(app, "/v1/commands/pause", body={})
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    assert post(app, "/v1/observations", body=TICK).headers["idempotent-replayed"] == "true"
    assert service.done == ["pause"]
    assert code_of(post(app, "/v1/commands/pause", body={"x": 1})) == "idempotency-key-reused"


def test_a_command_that_a_crash_cut_off_is_not_repeated_after_the_restart(
    build, call, tokens, service, tmp_path
):
    app = build(state=True)
    sent = {"token": tokens["all"], "headers": {"idempotency-key": "k"}, "json": {}}

    async def crash():
        service.hold = asyncio.Event()
        task = asyncio.create_task(call.send(app, "POST", "/v1/commands/rollback", **sent))
        await until((tmp_path / "state/idempotency-commands.jsonl").read_bytes)
        written = (tmp_path / "state/idempotency-commands.jsonl").read_bytes()
        task.cancel()
        service.hold.set()
        return written

    written = call.runner.run(crash())
    # The file as the crash left it, whatever the first process did afterwards.
    (tmp_path / "state/idempotency-commands.jsonl").write_bytes(written)
    service.done.clear()
    answer = call(build(state=True), "POST", "/v1/commands/rollback", **sent)
    assert (answer.status_code, code_of(answer)) == (409, "outcome-unknown")
    assert service.done == []


def test_a_torn_last_line_is_dropped_and_other_damage_is_refused(build, post, tmp_path):
    for key in ("a", "b"):
        assert post(build(state=True), "/v1/commands/activate", key=key, body={}).status_code == 200
    path = tmp_path / "state/idempotency-commands.jsonl"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for cut in range(1, len(lines[-1])):
        path.write_bytes(whole[:-cut])
        # Without its newline the last line may be whole or torn; nothing before it is lost.
        assert len(EntryFile(path, durable=True).found) >= len(lines) - 1
    path.write_bytes(b"x" + whole)
    with pytest.raises(InputError, match="is damaged in line 1"):
        build(state=True)


def test_a_disk_that_takes_half_a_line_leaves_whole_lines(tmp_path):
    path = Path(tmp_path) / "x.jsonl"
    file = EntryFile(path, durable=True)
    one, two, three = (Entry(key=key * 50, fingerprint="f", expires=1) for key in "abc")
    file.append(one, all_entries=list)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            file.append(two, all_entries=list)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    file.append(three, all_entries=list)
    assert EntryFile(path, durable=True).found == [one, three]


def test_the_file_does_not_grow_without_end(tmp_path, clock):
    path = Path(tmp_path) / "x.jsonl"
    file = EntryFile(path, durable=False, rewrite_after=10)
    entry = Entry(key="k", fingerprint="f", expires=1, answer=StoredAnswer(200, b"{}"))
    for _ in range(100):
        file.append(entry, all_entries=lambda: [entry])
    assert len(path.read_bytes().splitlines()) <= 11


@pytest.mark.parametrize("header", [b"", b'"', b'""', b"a b", b'"a"b"', b"\xc3\xa9", b"x" * 129])
def test_what_is_no_key_is_none(header):
    with pytest.raises(ProblemError, match="1 to 128 visible"):
        read_key(header)


def test_commands_are_named_and_their_arguments_an_object(build, post, service):
    app = build()
    assert code_of(post(app, "/v1/commands/fly", body={})) == "unknown-command"
    assert code_of(post(app, "/v1/commands/pause", key="l", body=[1])) == "invalid-body"
    answer = post(app, "/v1/commands/shadow", key="s", body={"folder": "b"})
    assert answer.json() == {"done": "shadow", "times": 1}
    assert service.entries[-1].what["arguments"] == {"folder": "b"}
    assert service.entries[-1].by != ""
