# make run     a running gateway with simulated providers, two minutes after cloning
# make test    every test, with all that they need (JOBS=: how many files at once)
# make clients  every client there is, against all providers; writes docs/compatibility.md
# make bench   what the gateway costs, against nginx and a bare aiohttp proxy (BENCH=--quick, PEERS=1: bench/README.md)
# make prove-quotas   that limits are never passed and nothing is forgotten, with processes killed on the way (ROUNDS=, SECONDS=, STORE=)
# make check   formatting, lint, types and the fast tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP_RUN := $(VENV)/.run-installed
STAMP_TEST := $(VENV)/.test-installed
JOBS ?= 2

.PHONY: run test check clients bench prove-quotas lock generate clean

run: $(STAMP_RUN)
	$(BIN)/gateway demo

test: $(STAMP_TEST)
	scripts/test-system-packages
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -p no:cacheprovider --ignore tests/bench --numprocesses $(JOBS) --dist loadfile
	$(BIN)/python -m pytest -p no:cacheprovider tests/bench

check: $(STAMP_TEST)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -p no:cacheprovider tests/core tests/dialects tests/config tests/test_house.py tests/test_docs.py tests/test_packaging.py

clients: $(STAMP_TEST)
	scripts/test-system-packages
	$(BIN)/python tests/clients/rig_run.py

bench: $(STAMP_RUN)
	bench/system-packages
	$(BIN)/python -m bench.run $(BENCH)

prove-quotas: $(STAMP_RUN)
	$(BIN)/python -m bench.proving $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(STORE),--store $(STORE) --nodes 3) $(PROVE)

$(BIN)/python:
	scripts/make-venv $(PYTHON) $(VENV)

# The lock files name every package: with --no-deps pip looks for no newer ones, which would lack a hash.
$(STAMP_RUN): requirements.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip check
	touch $@

$(STAMP_TEST): requirements-test.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-test.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip check
	touch $@ $(STAMP_RUN)

# Lock files carry hashes and no addresses.
lock: $(STAMP_TEST)
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --no-strip-extras --generate-hashes --allow-unsafe --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-header --extra build --output-file requirements.txt pyproject.toml
	$(BIN)/pip-compile --quiet --no-strip-extras --generate-hashes --allow-unsafe --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-header --extra build --extra test --output-file requirements-test.txt pyproject.toml
	for name in frameworks openai1 openai2 node; do \
	  (cd tests/clients && ../../$(BIN)/pip-compile --quiet --upgrade --no-strip-extras --generate-hashes --allow-unsafe --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-header --output-file requirements-$$name.txt requirements-$$name.in) || exit 1; done
	for name in npm agents; do \
	  (cd tests/clients/$$name && npm update --package-lock-only --omit-lockfile-registry-resolved --silent --no-audit --no-fund) || exit 1; done

# The files that are made of the code: the schema and the reference of the configuration.
generate: $(STAMP_TEST)
	$(BIN)/gateway schema > config/gateway.schema.json
	$(BIN)/python -m gateway.config.reference > docs/configuration.md
	$(BIN)/python scripts/generate-docs

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis node_modules
