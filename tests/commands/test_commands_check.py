"""What `gateway check` tells of a configuration that has no problem."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.__main__ import main

OPEN = """
auth: {{jwt: [{{algorithm: RS256, jwks_url: "{url}"}}]}}
providers: {{local: {{type: openai_compatible, base_url: "http://127.0.0.1:1/v1", default_model: llama}}}}
"""


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://sso.example/certs", True),
        ("https://sso.example/certs", False),
        ("http://127.0.0.1:8080/certs", False),
        ("http://[::1]:8080/certs", False),
        ("http://localhost/certs", False),
    ],
)
def test_an_issuer_without_tls_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], url: str, warned: bool
) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(OPEN.format(url=url))
    assert main(["check", "--config", str(path)]) == 0
    assert ("auth.jwt[0].jwks_url has no TLS" in capsys.readouterr().err) is warned
