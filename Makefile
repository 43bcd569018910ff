# Every target does its own set-up: .venv in this checkout from the pinned requirements, and the Debian packages it needs.
# PYTHON=/path/to/python3.12 make ... chooses another interpreter for a new .venv.

BIN := .venv/bin
# Where ip, tc and sysctl are; the PATH of users and of some CI lacks it.
export PATH := $(PATH):/usr/sbin:/sbin
DEMO := prosody
TEST := $(DEMO) prosody-modules dbus-daemon openssh-client
ALL := $(TEST) ejabberd profanity tmux zsh fish iproute2 systemd tinyproxy-bin microsocks libnet-xmpp-perl procps tcpdump tshark
CLIENTS := poezio chromium-headless-shell npm
PEERS := iproute2 procps fping zmap masscan netsniff-ng scamper
MARKED := servers or clients or lab
# Each test has servers, ports and folders of its own. make test SIDE_BY_SIDE= runs them one after the other.
SIDE_BY_SIDE := -n auto --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo test test-all bench bench-probe soak histories fuzz defences setup lint format types contracts lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

demo: ## the main job on this machine: a private XMPP server, three agents, a broadcast; stays up until Ctrl-C
	@.ci/setup $(DEMO)
	@$(BIN)/amon demo

test: ## what every change must pass: lint, types, contracts, tests
	@.ci/setup $(TEST)
	@$(MAKE) --no-print-directory lint types contracts
	$(BIN)/pytest $(SIDE_BY_SIDE)

test-all: ## the marked tests too: other XMPP servers, real Jabber clients, the lab (root)
	@.ci/setup $(ALL) $(CLIENTS)
	@.ci/converse
	$(BIN)/pytest -m "$(MARKED)" $(SIDE_BY_SIDE)

bench: ## measure the budgets: figure, budget, ratio
	@.ci/setup $(ALL)
	$(BIN)/python tests/bench/run.py

bench-probe: ## the packet engine beside fping, zmap, masscan, trafgen and scamper, in namespaces: ratios (root)
	@.ci/setup $(PEERS)
	$(BIN)/python -m tests.bench.probe

HOURS = 0.33
SEED = 1
soak: ## HOURS=0.33 of faults (server down, no account, cable pulled, slow reader): memory has to stay flat (root)
	@.ci/setup $(TEST) iproute2 procps
	$(BIN)/python -m tests.soak.run --hours $(HOURS) --seed $(SEED)

HISTORIES = 10000
histories: ## 10,000 random histories of jobs: kills, restarts, lost and doubled messages (SEED=1: these, 5: others)
	@.ci/setup
	AMON_HISTORIES=$(HISTORIES) AMON_SEED=$(SEED) $(BIN)/pytest $(SIDE_BY_SIDE) tests/histories

RUNS = 200000
FUZZLIB = build/fuzz/lib
fuzz: ## throw RUNS=200000 made-up inputs at whatever strangers can reach
	@.ci/setup
	@mkdir -p $(FUZZLIB)
	@test -d $(FUZZLIB)/atheris || $(BIN)/pip install --quiet --no-deps --only-binary :all: --require-hashes \
		--target $(FUZZLIB) -r requirements/fuzz.txt || echo "no atheris for this machine: fuzzing without coverage"
	PYTHONPATH=$(FUZZLIB) $(BIN)/python -m tests.fuzz.run --runs $(RUNS) $(if $(ONLY),--only $(ONLY))

defences: ## take every defence out, one at a time, in a copy: its test must fail (ONLY="R18 S1" takes these)
	@.ci/setup $(TEST)
	@$(BIN)/python -m tests.security.remove $(ONLY)

setup: ## .venv and the Debian packages of `make test`
	@.ci/setup $(TEST)

lint: ## ruff: rules and format
	@.ci/setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: ## let ruff mend what it can
	@.ci/setup
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: ## mypy, strict
	@.ci/setup
	$(BIN)/mypy

contracts: ## which room may import which
	@.ci/setup
	$(BIN)/lint-imports --no-logo

# uv writes the locks: it resolves for every platform at once and takes the hashes of all their wheels.
# Pins stay where they are unless pyproject.toml asks otherwise; `make lock UV=--upgrade` moves them all.
COMPILE = build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --strip-extras \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(UV) pyproject.toml --extra all
lock: ## write requirements/*.txt anew from pyproject.toml
	@.ci/setup
	@test -x build/lock/bin/uv || { $(BIN)/python -m venv build/lock && build/lock/bin/pip install --quiet uv; }
	$(COMPILE) --output-file requirements/run.txt
	$(COMPILE) --group dev --constraint requirements/run.txt --output-file requirements/dev.txt

clean: ## remove what the targets made here
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
