# make demo: the product in private namespaces, narrated; nothing stays behind
# make test: everything that must hold, as CI runs it
# make test-lab: only the service on a whole machine
# make test-ovs: the same with Open vSwitch through NetworkManager, which has to be built for it once (root, 10 minutes)
# make test-compatibility: the same beside nmstatectl, which has to be built for it once
# Each works alone on a fresh Debian machine with a Rust toolchain, as root or not; but root must have built the lab.

CARGO ?= cargo
DENY_VERSION := 0.19.0
TOOLS := target/tools
DENY := $(TOOLS)/cargo-deny-$(DENY_VERSION)/bin/cargo-deny
DESTDIR ?=
PREFIX ?= /usr
NMSTATECTL ?= no

# Random inputs are the same ones each time, so that a failure comes of the change that is tested; another seed
# looks at others, and PROPTEST_CASES at more of them.
export PROPTEST_RNG_SEED ?= 1

# Tests make network namespaces. Who is not root becomes root of a user namespace.
AS_ROOT := $(if $(filter 0,$(shell id -u)),,unshare --map-root-user --)

# Each part of the tests takes a few minutes on two cores; a test that hangs must not hang CI.
LIMIT := timeout --foreground 30m

.PHONY: build bench demo test test-lab test-ovs test-compatibility lab lint format install uninstall clean setup

build: setup
	$(CARGO) build --release --locked

demo: setup
	$(CARGO) build --locked
	tests/demo/run target/debug

# The tests build the programs that the demo runs.
test: lint lab
	$(LIMIT) $(AS_ROOT) $(CARGO) test --locked --no-fail-fast
	tests/demo/run target/debug
	$(LIMIT) $(AS_ROOT) tests/lab/test
	$(LIMIT) $(AS_ROOT) tests/lab/power

# What takes least time comes first.
lint: setup
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	@$(MAKE) --no-print-directory $(DENY)
	$(DENY) --log-level error --locked check licenses bans sources

format:
	$(CARGO) fmt

# What the host must have; installs it where it may.
setup:
	@tests/setup

# There is no binary package of it; without optimisation it takes the least time to build.
$(DENY): | setup
	$(CARGO) install cargo-deny --version $(DENY_VERSION) --locked --no-default-features --debug \
		--root $(TOOLS)/cargo-deny-$(DENY_VERSION) --target-dir $(TOOLS)/build
	rm -rf $(TOOLS)/build

# The system tests, on whole machines (tests/lab).
test-lab: lab
	$(LIMIT) $(AS_ROOT) tests/lab/test
	$(LIMIT) $(AS_ROOT) tests/lab/power

# Debian's NetworkManager cannot drive Open vSwitch. Once its packages are built, `make test` runs these cases too.
test-ovs: lab
	@tests/lab/build-nm-ovs
	$(LIMIT) $(AS_ROOT) tests/lab/test cases-ovs

# Beside nmstatectl, which is built once (some minutes); then `make test` compares with it too.
test-compatibility: lab
	@tests/bench/peer >/dev/null
	$(LIMIT) $(AS_ROOT) tests/lab/test cases-peer

# The machine, once: about 90 s, 1 GB. Before the tests, so that what hinders it is seen at once.
lab: setup
	@tests/lab/build

# What docs/benchmarks.md holds, measured again: beside the peer in the lab, and alone on this host.
bench: setup
	$(CARGO) build --release --locked --bins --example bench-plan --example bench-direct
	$(AS_ROOT) tests/bench/run

# packaging/files says what goes where. NMSTATECTL=yes: nmctl goes by that name as well.
install: build
	DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) NMSTATECTL=$(NMSTATECTL) packaging/install install

uninstall:
	DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) packaging/install uninstall

clean:
	$(CARGO) clean
