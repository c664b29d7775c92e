# SPDX-License-Identifier: GPL-2.0-or-later

PREFIX  ?= /usr/local
DESTDIR ?=
GO      ?= go

TOOLS   := ezio-btfiles ezio-mktorrent ezio-seed ezio-recv ezio-verify
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
DATE    := $(shell git log -1 --format=%cs 2>/dev/null)
LDFLAGS := -s -w -X ezio/lib/cli.Version=$(VERSION) -X ezio/lib/cli.Date=$(DATE)

# Where things go; each can be set on its own.
D       = $(DESTDIR)$(PREFIX)
BASHDIR ?= $(D)/share/bash-completion/completions
ZSHDIR  ?= $(D)/share/zsh/site-functions
FISHDIR ?= $(D)/share/fish/vendor_completions.d
UNITDIR ?= $(D)/lib/systemd/system
DOCDIR  ?= $(D)/share/doc/ezio

# A package's version begins with a digit: that of a tag, or the commit's date.
PKGVERSION := $(patsubst v%,%,$(shell git describe --tags --match 'v[0-9]*' 2>/dev/null || \
	git log -1 --date=format:%Y%m%d --format=0~%cd.%h 2>/dev/null || echo 0))
EPOCH      := $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
MAINTAINER := $(shell git log -1 --format='%an <%ae>' 2>/dev/null)
ARCH       := $(shell $(GO) env GOARCH)

NFPM        := github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
FAULTS_RACE  := TestTwentyDeployments
FAULTS_SHORT := TestHonestDisk|TestWriteFailures|TestDiskDies|TestFileSystemFull|TestVerifyAfter|TestMalicious|TestTooSmall
FUZZTIME    ?= 20s

.PHONY: all build demo test unit bats page test-faults faults-short interop test-pxe bench sim lint fuzz doc install install-pxe uninstall package test-package clean

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
	BATS_TEST_TIMEOUT=600 bats --timing $(filter-out tests/interop.bats tests/pxemore.bats,$(wildcard tests/*.bats))

# The seed's page in headless Chromium, beside a real swarm. EZIO_SHOTS=DIR keeps screenshots.
page: build
	tests/needs page
	cd tests/page && $(GO) vet -mod=mod . && $(GO) test -mod=mod -count=1 -timeout 10m .

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

# More machines that netboot in qemu: by dnsmasq, ISC DHCP, dracut and initramfs-tools. Takes minutes.
test-pxe: build
	tests/needs test
	BATS_TEST_TIMEOUT=600 bats --timing tests/pxemore.bats

# Swarms in network namespaces with limited links, ours beside others: see tests/bench.
bench: build
	tests/needs bench
	cd tests/bench && CGO_ENABLED=0 $(GO) build -trimpath -o ../../bin/bench/ ./...
	bin/bench/bench $(BENCH)

# The real scheduler for 1 to 10,000 machines in virtual time: docs/simulation.md. Takes an hour, and 5 GB.
sim:
	$(GO) run ./tests/sim/simulate -svg docs/simulation.svg $(SIM)

lint:
	@fmt=$$(gofmt -l cmd lib tests); test -z "$$fmt" || { echo "gofmt: $$fmt"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

# Every fuzz target for so long (FUZZTIME=1h), beyond its seed corpus that `make test` runs.
fuzz:
	tests/fuzz $(FUZZTIME)

# Manual pages and completions are printed by the tools themselves.
doc: build
	@mkdir -p bin/share/man bin/share/bash bin/share/zsh bin/share/fish
	@for t in $(TOOLS); do \
		bin/$$t --man >bin/share/man/$$t.8 && \
		bin/$$t --completion bash >bin/share/bash/$$t && \
		bin/$$t --completion zsh >bin/share/zsh/_$$t && \
		bin/$$t --completion fish >bin/share/fish/$$t.fish || exit 1; \
	done

install: doc
	install -d $(D)/bin $(D)/share/man/man8 $(BASHDIR) $(ZSHDIR) $(FISHDIR) $(UNITDIR) $(DOCDIR) $(D)/share/ezio
	install -m 755 $(addprefix bin/,$(TOOLS)) $(D)/bin/
	install -m 644 bin/share/man/*.8 $(D)/share/man/man8/
	install -m 644 bin/share/bash/* $(BASHDIR)/
	install -m 644 bin/share/zsh/* $(ZSHDIR)/
	install -m 644 bin/share/fish/* $(FISHDIR)/
	sed 's|@BINDIR@|$(PREFIX)/bin|' contrib/systemd/ezio-seed@.service >bin/share/ezio-seed@.service
	install -m 644 bin/share/ezio-seed@.service $(UNITDIR)/
	install -m 644 README.md CHANGELOG.md LICENSE docs/*.md contrib/systemd/example.conf $(DOCDIR)/
	rm -rf $(D)/share/ezio/contrib
	cp -R --no-preserve=ownership contrib $(D)/share/ezio/

uninstall:
	rm -f $(addprefix $(D)/bin/,$(TOOLS)) $(addprefix $(D)/share/man/man8/,$(addsuffix .8,$(TOOLS)))
	rm -f $(addprefix $(BASHDIR)/,$(TOOLS)) $(addprefix $(ZSHDIR)/_,$(TOOLS)) $(addprefix $(FISHDIR)/,$(addsuffix .fish,$(TOOLS)))
	rm -f $(UNITDIR)/ezio-seed@.service
	rm -rf $(DOCDIR) $(D)/share/ezio $(DESTDIR)/usr/lib/dracut/modules.d/90ezio
	rm -f $(DESTDIR)/etc/initramfs-tools/hooks/ezio $(DESTDIR)/etc/initramfs-tools/scripts/init-premount/ezio

# A .deb and an .rpm of the tools, and of what Clonezilla wants, in bin/packages. Each is what make
# install installs, where that kind of system looks for it.
package: doc
	rm -rf bin/stage bin/packages
	$(MAKE) --no-print-directory install DESTDIR=bin/stage/deb PREFIX=/usr DOCDIR=bin/stage/deb/usr/share/doc/ezio-tools \
		ZSHDIR=bin/stage/deb/usr/share/zsh/vendor-completions >/dev/null
	$(MAKE) --no-print-directory install DESTDIR=bin/stage/rpm PREFIX=/usr DOCDIR=bin/stage/rpm/usr/share/doc/ezio-tools >/dev/null
	gzip -9n bin/stage/*/usr/share/man/man8/*.8
	mkdir -p bin/packages
	for packager in deb rpm; do for name in ezio-tools ezio-clonezilla; do \
		SOURCE_DATE_EPOCH=$(EPOCH) ARCH=$(ARCH) PKGVERSION='$(PKGVERSION)' MAINTAINER='$(MAINTAINER)' PACKAGER=$$packager \
		$(GO) run $(NFPM) package -f contrib/package/$$name.yaml -p $$packager -t bin/packages/ || exit 1; \
	done; done

# The .deb installed in a bare Debian, and a deployment there.
test-package: package
	tests/needs package
	tests/package bin/packages

# The parts of dracut and initramfs-tools for an initramfs that deploys: docs/pxe.md. They look in no
# other places than these.
install-pxe: install
	install -d $(DESTDIR)/usr/lib/dracut/modules.d/90ezio $(DESTDIR)/etc/initramfs-tools/hooks \
		$(DESTDIR)/etc/initramfs-tools/scripts/init-premount
	install -m 755 contrib/pxe/dracut/90ezio/*.sh $(DESTDIR)/usr/lib/dracut/modules.d/90ezio/
	install -m 755 contrib/pxe/initramfs-tools/hooks/ezio $(DESTDIR)/etc/initramfs-tools/hooks/
	install -m 755 contrib/pxe/initramfs-tools/scripts/init-premount/ezio $(DESTDIR)/etc/initramfs-tools/scripts/init-premount/

clean:
	rm -rf bin
