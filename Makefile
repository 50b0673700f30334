# `make demo` to try it, `make test` to check it. `make help` lists the rest.

SHELL := /bin/sh
# Where rustup puts cargo, for shells that have not read its profile yet.
export PATH := $(PATH):$(HOME)/.cargo/bin

CARGO_TARGET_DIR ?= target
DEMO_ARGS ?=
BENCH_ARGS ?=
SOAK_ARGS ?=
TEST_ARGS ?=
FUZZ_ARGS ?=

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

.PHONY: setup
setup: ## install what building and testing need
	@scripts/install-missing build test

# Only the facts go to stdout, so that `make -s demo DEMO_ARGS=--json | jq` works.
.PHONY: demo
demo: ## run the gateway before a sample API (DEMO_ARGS="--upstream URL" for your own)
	@scripts/install-missing build
	@if [ -x "$(CARGO_TARGET_DIR)/demo/portcullis" ]; then echo "building what has changed ..." >&2; \
	else echo "building, about 3 minutes the first time ..." >&2; fi
	@cargo build --quiet --locked --profile demo --bin portcullis
	@exec "$(CARGO_TARGET_DIR)/demo/portcullis" demo $(DEMO_ARGS)

# CI (set by every CI system) runs all tests to the end; at a desk the first failure stops.
.PHONY: test
test: ## run every test (TEST_ARGS=name for some)
	@scripts/install-missing build test
	@scripts/install-test-tools axe oauth-node oauth-python schemathesis || [ $$? -eq 3 ]
	@if cargo nextest --version >/dev/null 2>&1; then \
		set -x; cargo nextest run --locked --lib --bins --test it $${CI:+--profile ci} $(TEST_ARGS); \
	else \
		echo "cargo-nextest is not there: running cargo test instead" >&2; \
		set -x; cargo test --locked --lib --bins --test it $${CI:+--no-fail-fast} $(TEST_ARGS) -- --test-threads=2; \
	fi
	@if grep -rqE '^[[:space:]]*//[/!] ```' src; then set -x; cargo test --locked --doc; fi

.PHONY: pictures
pictures: ## write docs/screenshots anew, from the workbench itself
	@scripts/install-missing build test
	PORTCULLIS_PICTURES=docs/screenshots cargo test --quiet --locked --test it pictures_for_the_papers

.PHONY: bench
bench: ## compare with peers on this machine (BENCH_ARGS="--help" for its options)
	@scripts/install-missing build bench
	@PATH="$$PATH:/usr/sbin:/sbin" python3 benches/peers/run.py $(BENCH_ARGS)

.PHONY: soak
soak: ## keys, environments, reloads, mutations, slow clients, upgrades, certificates (SOAK_ARGS are for the first)
	@scripts/install-missing build soak bench
	@python3 benches/soak/million_keys.py $(SOAK_ARGS)
	@python3 benches/soak/environments.py
	@python3 benches/soak/reloads.py
	@PORTCULLIS_MUTATIONS=1000000 PORTCULLIS_TOKENS=1000000 cargo test --locked --test it mutations:: -- --nocapture --test-threads=1
	@python3 benches/soak/slow.py
	@python3 benches/soak/upgrades.py
	@python3 benches/soak/certificates.py

.PHONY: fuzz
fuzz: ## fuzz what reads strangers' bytes (FUZZ_ARGS="SECONDS TARGET ...")
	@scripts/install-missing build fuzz
	@scripts/fuzz $(FUZZ_ARGS)

.PHONY: lint
lint: ## formatting, lints, licences and advisories
	@scripts/install-missing build
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	@if cargo deny --version >/dev/null 2>&1; then set -x; cargo deny check; \
	else echo "cargo-deny is not there: licences and advisories not checked (cargo install cargo-deny --locked)" >&2; fi

.PHONY: fmt
fmt: ## format the sources
	cargo fmt
