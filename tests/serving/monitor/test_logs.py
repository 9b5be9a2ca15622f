import io
import json

import structlog

from foremargin.serving.monitor import bound, make_logger


def redact(_, __, entry):
    """Stands for the processor of the security room: takes out what looks like a key, anywhere."""
    text = json.dumps(entry, default=repr)
    return json.loads(text.replace("s3cret", "***"))


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_entry_is_one_json_line_with_request_and_instrument():
    stream = io.StringIO()
    log = make_logger(redact, stream=stream)
    with bound(request_id="r1", instrument="BTC/USD", route="/v1/margins"):
        log.info("answered", status=200, note="two\nlines")
    log.info("after")
    first, second = lines(stream)
    assert first["event"] == "answered"
    assert (first["request_id"], first["instrument"]) == ("r1", "BTC/USD")
    assert (first["route"], first["status"], first["level"]) == ("/v1/margins", 200, "info")
    assert first["time"].endswith("Z")
    assert "request_id" not in second


def test_secret_is_taken_out_of_values_context_and_exceptions():
    stream = io.StringIO()
    log = make_logger(redact, stream=stream)
    with bound(request_id="s3cret"):
        try:
            raise ValueError("bad key s3cret")
        except ValueError:
            log.exception("failed", headers={"authorization": ["Bearer s3cret"]})
    assert "s3cret" not in stream.getvalue()
    (entry,) = lines(stream)
    assert entry["exception"][0]["exc_value"] == "bad key ***"


def test_entry_that_cannot_be_redacted_is_withheld():
    def broken(_, __, entry):
        raise KeyError("x")

    stream = io.StringIO()
    make_logger(broken, stream=stream).warning("s3cret", key="s3cret")
    (entry,) = lines(stream)
    assert entry["event"] == "entry withheld: it could not be redacted"
    assert (entry["error"], entry["level"]) == ("KeyError", "warning")
    assert "s3cret" not in stream.getvalue()


def test_processor_may_drop_an_entry_and_levels_are_kept():
    def drop(_, __, entry):
        raise structlog.DropEvent

    stream = io.StringIO()
    make_logger(drop, stream=stream).info("x")
    make_logger(redact, stream=stream, level=30).info("x")
    assert stream.getvalue() == ""


def test_what_is_no_json_is_written_as_text():
    stream = io.StringIO()
    make_logger(lambda _, __, entry: entry, stream=stream).info("x", thing=object)
    assert lines(stream)[0]["thing"] == "<class 'object'>"
