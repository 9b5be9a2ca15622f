"""`foremargin keys` and what `foremargin serve` refuses."""

import time

import pytest
from typer.testing import CliRunner

from foremargin.cli import app
from foremargin.serving.security import KeyStore


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def test_key_is_made_listed_and_revoked(tmp_path):
    file = str(tmp_path / "keys.json")
    made = run("keys", "create", file, "--scope", "read", "--scope", "simulate", "--label", "desk")
    assert made.exit_code == 0, made.output
    token = made.stdout.strip().splitlines()[-1]
    name = token.split("_")[1]
    listed = run("keys", "list", file).stdout
    assert listed.split() == [name, "valid", "read,simulate", "desk"]
    assert token.split("_", 2)[2] not in (tmp_path / "keys.json").read_text()
    assert run("keys", "revoke", file, name).exit_code == 0
    assert run("keys", "list", file).stdout.split()[1] == "revoked"


def test_key_that_expires_or_signs_says_so(tmp_path, monkeypatch):
    file, now = tmp_path / "keys.json", 1_700_000_000 * 10**9  # 2023-11-14
    monkeypatch.setattr(time, "time_ns", lambda: now)
    create = ("keys", "create", str(file), "--scope", "publish")
    made = [run(*create, "--days", "2", "--signs"), run(*create)]
    names = [one.stdout.strip().split("_")[1] for one in made]
    keys = KeyStore(file).keys
    assert [bool(keys[name].signing_key) for name in names] == [True, False]

    def listed():
        lines = run("keys", "list", str(file)).stdout.splitlines()
        return {line.split()[0]: line.split()[1:4] for line in lines}

    assert listed() == {
        names[0]: ["valid", "until", "2023-11-16"],
        names[1]: ["valid", "publish"],
    }
    now += 2 * 86_400 * 10**9
    assert [listed()[name][0] for name in names] == ["expired", "valid"]
    run("keys", "revoke", str(file), names[0])
    assert listed()[names[0]][0] == "revoked"


def test_unknown_scope_is_an_input_error(tmp_path):
    refused = run("keys", "create", str(tmp_path / "keys.json"), "--scope", "everything")
    assert refused.exit_code == 2
    assert "a scope must be one of" in refused.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--state-dir", "STATE"), "a service must have a bundle"),
        (("--state-dir", "STATE", "--bundle", "nowhere", "--accept-unsigned"), "nowhere"),
        (("--demo", "--bundle", "x", "--state-dir", "STATE"), "--demo has settings"),
    ],
)
def test_serve_says_what_is_missing(tmp_path, monkeypatch, arguments, message):
    monkeypatch.delenv("FOREMARGIN_TRUSTED_KEY", raising=False)
    given = [str(tmp_path) if one == "STATE" else one for one in arguments]
    refused = run("serve", *given)
    assert refused.exit_code == 2, refused.output
    assert message in refused.output
