# The front door. `make` alone lists what there is.

PYTHON ?= python3
UV_VERSION := 0.13.8
BIN := .venv/bin
READY := .venv/.ready
PINS := tests/clients/pins
CLIENTS := python-2 python-0 node claude litellm shipping
export UV_PROJECT_ENVIRONMENT := $(CURDIR)/.venv
export UV_PYTHON_DOWNLOADS := never
# An environment that is switched on in the shell is not ours.
unexport VIRTUAL_ENV

.DEFAULT_GOAL := help
.PHONY: help run test clients sidecar install check fix coverage laws mutants chaos soak fuzz bench profile gate failover docs release stop clean
.DELETE_ON_ERROR:

help: ## list the targets
	@echo "dragoman: an interpreter between Anthropic's Messages API and every model there is."
	@echo
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1@\2/' | while IFS=@ read -r name what; do printf '%-16s %s\n' "$$name" "$$what"; done

run: $(READY) ## set everything up and start the gateway (make run ARGS="--port 9000")
	@$(BIN)/dragoman serve $(ARGS) || { code=$$?; test $$code -eq 4 || exit $$code; }

test: $(READY) ## set everything up and run the tests (make test ARGS="tests/messages")
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

install: $(READY) ## set everything up in .venv, and start nothing

clients: $(CLIENTS:%=.clients/%/.ready) ## install what tests drive, each in an environment of its own: real clients, LiteLLM, Helm and the like

sidecar: $(READY) ## write the lock of LiteLLM's environment again
	@cd src/dragoman/sidecar && { echo "# LiteLLM's proxy and all that it needs, with hashes. Made by: make sidecar"; \
		$(CURDIR)/$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 litellm.in; } > litellm.new
	@mv src/dragoman/sidecar/litellm.new src/dragoman/sidecar/litellm.txt

# Without a cache: it forgets that a new file makes an import our own.
check: $(READY) ## ruff, strict typing, the house rules
	@$(BIN)/ruff check --no-cache .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest tests/test_house.py

fix: $(READY) ## let ruff mend what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

coverage: $(READY) ## the tests with line and branch coverage, and the limits per floor
	@$(MAKE) --no-print-directory test ARGS="--cov --cov-branch --cov-report= $(ARGS)"
	@$(BIN)/python tests/coverage_limits.py

laws: $(READY) ## the laws with 10,000 examples each (slow; make laws PROFILE=ci for 1,000)
	@HYPOTHESIS_PROFILE=$(or $(PROFILE),laws) $(BIN)/python -m pytest -n 2 tests/test_laws.py

mutants: $(READY) ## put known bugs back in and show that the tests notice
	@$(BIN)/python tests/mutants.py

chaos: $(READY) ## everything that an upstream and a network can do, with a table of what callers saw
	@CHAOS_TABLE=1 $(BIN)/python -m pytest -n 2 --dist worksteal tests/chaos $(ARGS)

soak: $(READY) ## many streams for many minutes, with callers that leave and an upstream that fails (make soak ARGS="--minutes 1")
	@$(BIN)/python bench/soak.py $(ARGS)

fuzz: $(READY) ## odd requests, odd upstreams, odd bytes, for some minutes (make fuzz MINUTES=10)
	@FUZZ_MINUTES=$(or $(MINUTES),10) $(BIN)/python -m pytest -n 2 tests/fuzz $(ARGS)

bench: $(READY) ## CPU per request and per event, beside nginx and LiteLLM (make bench ARGS=--quick; docs/speed.md)
	@$(BIN)/python bench/run.py $(ARGS)

profile: .build/profile-tools/.ready ## where the time goes, by room (make profile ARGS="saturated responses")
	@$(BIN)/python bench/profiling.py $(ARGS)

gate: $(READY) ## fail when a request costs over 10 % more instructions than before (make gate ARGS=--save sets anew)
	@$(BIN)/python bench/gate.py $(ARGS)

# Offline, and strict: a link or an anchor that leads nowhere fails. With --quiet it would not: then no warning is counted.
docs: .build/docs/.ready ## the documentation as a site, in .build/site (make docs ARGS=serve shows it while you write)
	@NO_MKDOCS_2_WARNING=1 .build/docs/bin/mkdocs $(or $(ARGS),build --strict --site-dir .build/site)

failover: $(READY) ## kill one of two upstreams under load and show what callers notice
	@$(BIN)/python bench/failover.py $(ARGS)

# hatchling, which builds, is in uv's cache since `make install`. No package is fetched for any of this.
release: $(READY) ## wheel and sdist in dist/, with checksums and a list of all parts (CycloneDX)
	@rm -rf dist
	@$(BIN)/uv build --quiet --offline --no-create-gitignore --out-dir dist
	@$(BIN)/uv export --quiet --offline --locked --no-dev --all-extras --format cyclonedx1.5 -o dist/dragoman.cdx.json >/dev/null
	@cd dist && sha256sum * > SHA256SUMS
	@ls dist

stop: $(READY) ## stop the gateway that `make run` started
	@$(BIN)/dragoman stop

clean: ## remove everything that was installed or built here
	rm -rf .venv .clients .build .mypy_cache .ruff_cache .hypothesis .coverage* dist

# uv is in the locked development group, so that a sync does not remove it.
$(READY): pyproject.toml uv.lock
	@command -v $(PYTHON) >/dev/null || { echo "dragoman needs Python 3.11 or newer: install the package python3 (with python3-venv)."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "dragoman needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Install one, then: make PYTHON=python3.12 run"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv module is missing: install the package python3-venv (Debian, Ubuntu: apt install python3-venv)."; exit 1; }
	@test -x $(BIN)/uv && $(BIN)/python -c '' 2>/dev/null || { echo "Setting up .venv"; $(PYTHON) -m venv --clear .venv && $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION); }
	@$(BIN)/uv sync --locked --quiet
	@touch $@

.clients/python-%/.ready: $(PINS)/python-%/requirements.txt | $(READY)
	@echo "Installing $(@D)"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(@D)
	@$(BIN)/uv pip install --quiet --require-hashes --python $(@D)/bin/python -r $<
	@touch $@

.clients/litellm/.ready: src/dragoman/sidecar/litellm.txt | $(READY)
	@PATH="$(CURDIR)/$(BIN):$$PATH" XDG_DATA_HOME=$(CURDIR)/$(@D) $(BIN)/dragoman install litellm
	@touch $@

.clients/shipping/.ready .build/docs/.ready: uv.lock | $(READY)
	@echo "Installing $(@D)"
	@UV_PROJECT_ENVIRONMENT=$(CURDIR)/$(@D) $(BIN)/uv sync --quiet --locked --only-group $(notdir $(@D))
	@touch $@

.build/profile-tools/.ready: uv.lock | $(READY)
	@UV_PROJECT_ENVIRONMENT=$(CURDIR)/$(@D) $(BIN)/uv sync --quiet --locked --only-group profile
	@touch $@

.clients/%/.ready: $(PINS)/%/package-lock.json $(PINS)/%/package.json
	@command -v npm >/dev/null || { echo "The $* client needs npm: install Node.js 20 or newer (Debian, Ubuntu: apt install nodejs npm)."; exit 1; }
	@echo "Installing $(@D)"
	@mkdir -p $(@D)
	@cp $(PINS)/$*/package.json $(PINS)/$*/package-lock.json $(@D)/
	@cd $(@D) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@
