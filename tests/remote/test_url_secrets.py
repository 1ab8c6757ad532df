"""No secret of a URL reaches what others may read, and what tells files apart stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.remote.url_secrets import HIDDEN, without_secrets
from perception_tools.cli import run
from tests.range_server import serving
from tests.short_logs import write_beginning

WORDS = st.text("abcXYZ019-._~%", min_size=1, max_size=12)
NAMES = ("X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token", "X-Goog-Signature", "sig", "Policy")
NAMES += ("Key-Pair-Id", "AWSAccessKeyId", "access_token", "api_key", "password")
QUERY = "part=7&X-Amz-Credential=l3aked0&X-Amz-Signature=l3aked1"


@given(
    st.lists(st.tuples(st.sampled_from(NAMES), WORDS.map("S3CRET{}".format)), max_size=4),
    st.dictionaries(st.sampled_from(["id", "part", "se", "version"]), WORDS, max_size=3),
    st.booleans(),
)
def test_secrets_are_hidden_and_the_rest_stays(
    secret: list[tuple[str, str]], plain: dict[str, str], password: bool
) -> None:
    pairs = [f"{name}={value}" for name, value in [*plain.items(), *secret]]
    host = "joe:S3CRET@host" if password else "host"
    shown = without_secrets(f"error: https://{host}/a/b.mcap{'?' * bool(pairs)}{'&'.join(pairs)}")
    assert "S3CRET" not in shown
    assert shown.count(HIDDEN) == len(secret) + password
    assert all(f"{name}={value}" in shown for name, value in plain.items())
    assert without_secrets(shown) == shown


@pytest.mark.parametrize(
    "text", ["s3://bucket/key/a.mcap", "run_key=3.mcap", "C:\\a;b@c", "https://h/a?id=7#t=3"]
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert without_secrets(text) == text


def test_no_file_that_a_command_writes_and_no_error_holds_a_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_beginning(tmp_path / "drive.mcap", 2.0)
    out = tmp_path / "out"
    out.mkdir()
    with serving(tmp_path) as server:
        server.secret = "l3aked1"  # as a signed link: what is hidden opens nothing
        url = server.url(f"drive.mcap?{QUERY}").replace("://", "://joe:l3aked2@")
        gone = server.url(f"nothing.mcap?{QUERY}")
        run(["evaluate", url, "--draws", "0", "--report", str(out / "a.html"), "--json"])
        evaluated = capsys.readouterr().out
        run(["replay", url, "--output", str(out / "o.mcap"), "--tables", str(out / "tables"), "--json"])
        run(["replay", url, "--output-dir", str(out / "many"), "--json"])
        run(["convert", url, str(out / "c.mcap"), "--json"])
        run(["info", url, "--json"])
        run(["replay", gone])
        run(["replay", gone, "--json"])
        written = capsys.readouterr()
    named = f"/drive.mcap?part=7&X-Amz-Credential={HIDDEN}&X-Amz-Signature={HIDDEN}"
    assert json.loads(evaluated)["logs"][0]["log"].endswith(named)
    assert "data:image/jpeg" in (out / "a.html").read_text(encoding="utf-8")
    files = [path for path in out.rglob("*") if path.is_file()]
    assert {".html", ".mcap", ".parquet", ".json"} <= {path.suffix for path in files}
    for path in files:
        assert b"l3aked" not in path.read_bytes(), path
        assert "l3aked" not in str(path)
    for text in (evaluated, written.out, written.err):
        assert "l3aked" not in text
