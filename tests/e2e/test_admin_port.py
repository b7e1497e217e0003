"""admin.port: the operator's listener, apart from the tenants'."""

from __future__ import annotations

import socket

from e2e_stack import Stack, Start


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def get(stack: Stack, url: str) -> tuple[int, str]:
    async with stack.session.get(url) as answer:
        return answer.status, await answer.text()


async def test_metrics_move_to_the_admin_port_and_need_no_credential_there(start_stack: Start) -> None:
    port = free_port()
    stack = await start_stack({"admin": {"port": port}})
    await stack.chat()
    status, text = await get(stack, f"http://127.0.0.1:{port}/metrics")
    assert status == 200
    assert "gateway_requests_total{" in text
    status, text = await get(stack, f"{stack.origin}/metrics")
    assert status == 404
    assert "not_found" in text


async def test_the_admin_port_answers_probes_and_nothing_else(start_stack: Start) -> None:
    port = free_port()
    stack = await start_stack({"admin": {"port": port}})
    assert (await get(stack, f"http://127.0.0.1:{port}/livez"))[0] == 200
    assert (await get(stack, f"http://127.0.0.1:{port}/readyz"))[0] == 200
    assert (await get(stack, f"http://127.0.0.1:{port}/api/v1/acme/ai/models"))[0] == 404


async def test_the_time_spent_is_told_in_server_timing(stack: Stack) -> None:
    answer = await stack.chat()
    timing = answer.headers["server-timing"]
    parts = dict(part.strip().split(";dur=") for part in timing.split(","))
    assert set(parts) == {"gateway", "upstream"}
    assert all(float(value) >= 0 for value in parts.values())
