# Everything from nothing but Python 3.11 or 3.12, git and make.
PYTHON ?= python3
UV_VERSION = 0.13.9
UV = .tools/bin/uv
BIN = .venv/bin
PORT = 4200
SECONDS = 600

.PHONY: run ui test lint bench soak mutate clean
.DEFAULT_GOAL := run

run: .venv/.installed  ## the main job, against a sandbox of the three sites
	$(BIN)/python -m deployments.sandbox.demo

# It may run beside `make run`, which writes to the same database: this server writes nothing on its own.
ui: .venv/.installed  ## the Prefect UI, with the runs of `make run`; where port 4200 is in use: make ui PORT=4201
	PREFECT_HOME=$(CURDIR)/.adce/prefect PREFECT_SERVER_ANALYTICS_ENABLED=false PREFECT_API_BLOCKS_REGISTER_ON_START=false \
		PREFECT_API_SERVICES_FLOW_RUN_NOTIFICATIONS_ENABLED=false $(BIN)/prefect server start --port $(PORT)

test: .venv/.installed
	$(BIN)/python -m compileall -q config tasks blocks flows deployments  # the tests start hundreds of processes
	$(BIN)/pytest -n 4 --dist loadgroup --hypothesis-profile=thorough

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/cfn-lint deployments/aws/stack.yaml

bench: .venv/.installed  ## figures; some of them alone: make bench ONLY="plan mix"
	UV_PROJECT_ENVIRONMENT=.venv $(UV) sync --locked --quiet --compile-bytecode --group bench --python $(shell command -v $(PYTHON))
	mkdir -p .adce/bench
	PREFECT_LOGGING_LEVEL=WARNING PREFECT_LOGGING_SERVER_LEVEL=CRITICAL PREFECT_HOME=$(CURDIR)/.adce/bench \
		$(BIN)/python -W ignore -m tests.benchmarks $(ONLY)

soak: .venv/.installed  ## some ten minutes of a running system with faults on and off; shorter: make soak SECONDS=180
	SECONDS=$(SECONDS) $(BIN)/python -W ignore -m tests.soak

mutate: .venv/.installed  ## does a test of the core fail when a rule of the core is broken?
	UV_PROJECT_ENVIRONMENT=.venv $(UV) sync --locked --quiet --compile-bytecode --group mutate --python $(shell command -v $(PYTHON))
	rm -rf mutants
	$(BIN)/mutmut run
	$(BIN)/python -m tests.mutation

clean:
	rm -rf .venv .tools .adce mutants

$(UV):
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12) and "ADCE needs Python 3.11 or 3.12; say which: make PYTHON=python3.12")'
	$(PYTHON) -m venv .tools
	.tools/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/.installed: $(UV) pyproject.toml uv.lock
	UV_PROJECT_ENVIRONMENT=.venv $(UV) sync --locked --quiet --compile-bytecode --python $(shell command -v $(PYTHON))
	touch $@
