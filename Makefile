# Every target does all its own set-up. Parameters: KEEP=1 (demo), REF=… and the like are named where they matter.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SYSTEM_PACKAGES := git haproxy iproute2 openssh-client packer procps python3 python3-venv slirp4netns util-linux
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
export PYTHONHASHSEED := 0

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## Install system packages, the virtual environment and shipit itself

demo: $(READY)  ## Watch a commit become an image, a fleet, and all the traffic; and back (KEEP=1 leaves the sandbox up)
	@$(BIN)/python examples/demo.py $(if $(KEEP),--keep)

test: $(READY) check  ## Check types and style, then run every test
	@$(BIN)/python -m pytest -n 2 --dist loadgroup

check: $(READY)  ## Lint and type-check
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

torture: $(READY)  ## Long sweeps: every crash point, every fault, chaos, 10,000 interleavings, a million requests
	@$(BIN)/python -m bench.torture

golden: $(READY)  ## Rewrite the golden files; review the diff as prose
	@UPDATE_GOLDEN=1 $(BIN)/python -m pytest -q -p no:randomly tests -m 'not sandbox' -k golden

bench: $(READY)  ## Measure, and print the figures
	@$(BIN)/python -m bench.run

sizes:  ## Print the longest files and functions
	@python3 bench/sizes.py

clean:  ## Remove what setup and the tests made here
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis dist build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt Makefile
	@missing=$$(dpkg-query -W -f '$${Package} $${Status}\n' $(SYSTEM_PACKAGES) 2>/dev/null | awk '/ok installed/{print $$1}' \
	  | sort | comm -13 - <(printf '%s\n' $(SYSTEM_PACKAGES) | sort)); \
	if [ -n "$$missing" ]; then \
	  echo "installing system packages:" $$missing; \
	  $(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and "shipit needs Python 3.11 or newer")'
	@test -x $(BIN)/python || python3 -m venv $(VENV)
	@echo "installing Python packages into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

.PHONY: help setup demo test check torture golden bench sizes clean
