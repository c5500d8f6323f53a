# The front door for those who live here; meson does the work.
# Side by side with Dovecot, into docs/performance.md: make bench REPEAT=3 ONLY=login,deliver
.PHONY: micro bench scale floods all test san slow fuzz fuzz-coverage coverage faults sim tunnels install clean flips kill9 revive powercut backups
all: build/build.ninja
	ninja -C build posthouse
build/build.ninja:
	meson setup build --werror
test: all
	tests/all
san: ; tests/san
slow: all
	python3 tests/e2e/slow_clients.py $(or $(N),10000) $(KIND)
# Readers who hardly read, connections that come and go, the costliest commands: make floods N=200 RATE=2000.
floods: all
	python3 tests/e2e/floods.py $(or $(N),200) $(or $(RATE),2000)
# The whole server in the simulated world: make sim SEEDS=100000 FROM=1 OPTIONS="--troubles power,cut".
SEEDS = 1000
FROM = 1
sim: all
	ninja -C build whole_sim
	build/whole_sim --seeds $(SEEDS) --from $(FROM) $(OPTIONS)
backups: all # backups and restores in the simulated world: make backups SEEDS=1000
	ninja -C build backup_sim
	BACKUP_SEEDS=$(SEEDS) build/backup_sim
tunnels: all # front and house joined by rings, every interleaving: make tunnels SEEDS=100000
	ninja -C build net_test
	SEEDS=$(SEEDS) build/net_test tunnel_under_every_interleaving
fuzz: ; tests/fuzz
fuzz-coverage: ; tests/fuzz-coverage
coverage: ; tests/coverage $(PATHS) # of branches and lines, by all tests (PATHS: told only of these)
faults: all # the fault walk, every call (N=20: every twentieth; OP=name: of one operation)
	ninja -C build fault_test
	build/fault_test $(or $(N),1) $(OP)
flips: all # N flipped bits in a store at rest
	ninja -C build flip_test
	build/flip_test $(or $(N),1000)
revive: all # kills of each role among working clients, more of them
	python3 tests/e2e/revive.py --all --rounds 10 --kills 20

kill9: all # N kills of a real server
	python3 tests/e2e/kill9.py --kills $(or $(N),1000)
powercut: all # N cuts of FS (ext4, xfs, btrfs, all); as root
	python3 tests/e2e/powercut.py --fs $(or $(FS),all) --cuts $(or $(N),300)
bench: all
	bench/run --repeat $(or $(REPEAT),3) $(if $(ONLY),--only $(ONLY))
# Cost and memory as the store grows, into docs/performance.md: make scale PARTS="mailbox store"
scale: all
	bench/scale $(PARTS) --write
# The hot pieces, as ratios; fails when one is twice what bench/micro.txt says.
micro: all
	ninja -C build micro
	build/micro
install: all
	meson install -C build
clean: ; rm -rf build build-*
