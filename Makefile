# The first two targets each work from a clean clone.

SHELL := /bin/bash
.DELETE_ON_ERROR:

CARGO_BIN := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin
setup := eval "$$(scripts/setup.sh)"

.PHONY: quickstart test build install lint bench benches fmt

## Installs what is missing, builds, puts `weir` beside cargo, and runs a windowed query on real flights.
quickstart: install
	"$(CARGO_BIN)/weir" run queries/flights.sql

## Installs what is missing and runs every test.
test:
	$(setup) && cargo test --release --workspace --bins --lib --tests

# Naming a test beside the binary brings the tests' features along, so that `make test` compiles no dependency again.
build:
	$(setup) && cargo build --release --bin weir --test tidy

install: build
	@mkdir -p "$(CARGO_BIN)"
	install -m 755 "$${CARGO_TARGET_DIR:-target}/release/weir" "$(CARGO_BIN)/weir"

## What a change must pass before it is sent.
lint:
	cargo fmt --all --check
	$(setup) && cargo clippy --release --workspace --all-targets -- -D warnings
	$(setup) && RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps

fmt:
	cargo fmt --all

benches:
	$(setup) && cargo build --release --workspace --bench '*'

## Nexmark against the clock: rows a second and core. `make bench ARGS="q0 q5"`
bench:
	$(setup) && cargo bench --bench nexmark -- $(ARGS)
