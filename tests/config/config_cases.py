"""What the configuration's tests stand on: the smallest file that loads, and the environment it needs."""

SECRET = "0123456789abcdef0123456789abcdef"
ENVIRON = {"GATEWAY_JWT_SECRET": SECRET}

# One line, so that what a case adds begins at line 2.
BASE = "providers: {local: {type: openai_compatible, default_model: m, base_url: http://127.0.0.1:1/v1}}\n"
