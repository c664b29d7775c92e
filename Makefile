# SPDX-License-Identifier: GPL-2.0-or-later

PREFIX  ?= /usr/local
DESTDIR ?=
GO      ?= go

TOOLS   := ezio-btfiles ezio-mktorrent ezio-seed ezio-recv ezio-verify
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
DATE    := $(shell git log -1 --format=%cs 2>/dev/null)
LDFLAGS := -s -w -X ezio/lib/cli.Version=$(VERSION) -X ezio/lib/cli.Date=$(DATE)

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
FAULTS_RACE  := TestTwentyDeployments
FAULTS_SHORT := TestHonestDisk|TestWriteFailures|TestDiskDies|TestFileSystemFull|TestVerifyAfter|TestMalicious|TestTooSmall
FUZZTIME    ?= 200000x

.PHONY: all build demo test unit bats page test-faults faults-short interop bench lint fuzz install install-pxe clean

all: build

# Static binaries: they run in an initramfs and on any distribution.
build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ $(addprefix ./cmd/,$(TOOLS))

# An ext4 image captured, seeded and received on three targets at once.
demo: build
	tests/needs demo
	tests/demo

# Everything that proves the tools right. Needs root: loop devices, mounts, namespaces.
test: build lint
	tests/needs test
	$(MAKE) unit bats page faults-short

unit:
	$(GO) test -race ./...

bats: build
	BATS_TEST_TIMEOUT=300 bats --timing $(filter-out tests/interop.bats,$(wildcard tests/*.bats))

# The seed's page in headless Chromium, beside a real swarm. EZIO_SHOTS=DIR keeps screenshots.
page: build
	tests/needs page
	cd tests/page && $(GO) vet -mod=mod . && $(GO) test -mod=mod -count=1 -timeout 5m .

# Faults injected into disks, peers, servers and networks: docs/reliability.md. Takes minutes.
test-faults: build
	tests/needs faults
	cd tests/faults && $(GO) vet -mod=mod ./... && \
	$(GO) test -mod=mod -race -count=1 -timeout 5m -run '$(FAULTS_RACE)' . && \
	$(GO) test -mod=mod -count=1 -parallel 6 -timeout 15m -skip '$(FAULTS_RACE)' ./...

# Those of them that take seconds.
faults-short: build
	tests/needs faults
	cd tests/faults && $(GO) test -mod=mod -count=1 -timeout 5m -run '$(FAULTS_SHORT)' .

# Other people's BitTorrent clients with ours in one swarm.
interop: build
	tests/needs interop
	bats --timing tests/interop.bats

# Swarms in network namespaces with limited links, ours beside others: see tests/bench.
bench: build
	tests/needs bench
	cd tests/bench && CGO_ENABLED=0 $(GO) build -trimpath -o ../../bin/bench/ ./...
	bin/bench/bench $(BENCH)

lint:
	@fmt=$$(gofmt -l cmd lib tests); test -z "$$fmt" || { echo "gofmt: $$fmt"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

# Every fuzz target for so many inputs (or FUZZTIME=1h), beyond its seed corpus that `make test` runs.
fuzz:
	tests/fuzz $(FUZZTIME)

install: build
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(addprefix bin/,$(TOOLS)) $(DESTDIR)$(PREFIX)/bin/

# What initramfs are made with that deploy when they are booted: docs/pxe.md. /usr/lib/dracut and
# /etc/initramfs-tools are the only places that those two look in.
PXE := $(DESTDIR)$(PREFIX)/share/ezio/pxe
install-pxe: install
	install -d $(PXE) $(DESTDIR)/usr/lib/dracut/modules.d/90ezio $(DESTDIR)/etc/initramfs-tools/hooks \
		$(DESTDIR)/etc/initramfs-tools/scripts/init-premount
	install -m 755 contrib/pxe/deploy contrib/pxe/udhcpc contrib/pxe/init contrib/pxe/ezio-initramfs $(PXE)/
	install -m 644 contrib/pxe/modules contrib/pxe/ezio.ipxe $(PXE)/
	install -m 755 contrib/pxe/dracut/90ezio/*.sh $(DESTDIR)/usr/lib/dracut/modules.d/90ezio/
	install -m 755 contrib/pxe/initramfs-tools/hooks/ezio $(DESTDIR)/etc/initramfs-tools/hooks/
	install -m 755 contrib/pxe/initramfs-tools/scripts/init-premount/ezio $(DESTDIR)/etc/initramfs-tools/scripts/init-premount/

clean:
	rm -rf bin
