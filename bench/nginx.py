"""Nginx in two roles: the upstream stub that answers fixed JSON, and the reference that passes requests on."""

from __future__ import annotations

import os
from pathlib import Path

from bench.answers import JSON_ANSWERS

# One worker, as everything here is one process. No access log: the references get every advantage.
_AROUND = """
daemon off;
worker_processes 1;
{user}
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  client_body_buffer_size 4m;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  scgi_temp_path {folder}/scgi;
  uwsgi_temp_path {folder}/uwsgi;
  tcp_nodelay on;
  default_type application/json;
  {content}
}}
"""

_PROXY = """
  upstream stub {{ server 127.0.0.1:{upstream_port}; keepalive 1024; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://stub;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_read_timeout 600s;
      proxy_buffering {buffering};
    }}
  }}
"""


def stub(folder: Path, port: int) -> list[str]:
    """The command that answers every dialect's path with its fixed JSON."""
    return _command(
        folder,
        f"""
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location ~ /chat/completions$ {{ return 200 '{JSON_ANSWERS["openai"]}'; }}
    location ~ /messages$ {{ return 200 '{JSON_ANSWERS["anthropic"]}'; }}
    location /v1beta/ {{ return 200 '{JSON_ANSWERS["gemini"]}'; }}
  }}
""",
    )


def proxy(folder: Path, port: int, upstream_port: int, buffering: bool) -> list[str]:
    """The command of the reference: proxy_pass with kept connections; without buffering for streams."""
    return _command(
        folder, _PROXY.format(port=port, upstream_port=upstream_port, buffering="on" if buffering else "off")
    )


def _command(folder: Path, content: str) -> list[str]:
    folder.mkdir()
    path = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # else the worker becomes nobody, who may not read our folder
    path.write_text(_AROUND.format(folder=folder, user=user, content=content))
    return ["nginx", "-c", str(path), "-e", str(folder / "error.log")]
