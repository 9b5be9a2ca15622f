"""`foremargin keys` and what `foremargin serve` refuses."""

import pytest
from typer.testing import CliRunner

from foremargin.cli import app


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
