# goosefs: build it, try it, prove it. `make` lists the verbs.

export PATH := $(PATH):$(HOME)/.cargo/bin
CARGO ?= cargo
PREFIX ?= /usr/local
# The build names its target, so the binary lies below the host's triple.
BINARY = $(or $(CARGO_TARGET_DIR),target)/$$(rustc -vV | sed -n 's/^host: //p')/release/goosefs

.PHONY: help demo test e2e build check fix generate image install setup

help: ## Show this list
	@sed -n 's/^\([a-z0-9]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t12

setup:
	@.ci/setup

demo: setup ## Build the binary and show it: a slow data set copied cold, loaded, copied warm
	$(CARGO) run --locked --release -- bench cp --size 160MiB

test: setup ## Run the tests
	$(CARGO) test --locked

e2e: setup ## Slow proof, by hand: others' tests of clients and file systems, real work, faults; a table
	$(CARGO) build --locked
	CARGO="$(CARGO)" tests/external/all

build: ## Build target/<host>/release/goosefs, one static binary
	$(CARGO) build --locked --release

check: ## Check format, lints, documents, licences and advisories; writes nothing
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps
	.ci/deny

fix: ## Format, and apply what the lints suggest
	$(CARGO) clippy --fix --allow-dirty --all-targets
	$(CARGO) fmt

generate: ## Write man pages and completions
	$(CARGO) run --locked -- generate .

image: build ## Build a container image
	mkdir -p target/image && install -m755 $(BINARY) target/image/goosefs
	docker build -t goosefs -f examples/docker/Dockerfile target/image

install: build ## Install binary, man pages and completions below PREFIX
	install -Dm755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/goosefs
	ln -sf goosefs $(DESTDIR)$(PREFIX)/bin/mount.goosefs
	install -Dm644 -t $(DESTDIR)$(PREFIX)/share/man/man1 man/*.1
	install -Dm644 -t $(DESTDIR)$(PREFIX)/share/man/man5 man/*.5
	install -Dm644 completions/goosefs.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/goosefs
