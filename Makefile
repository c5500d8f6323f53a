# The front door for those who live here; meson does the work.
.PHONY: all test san fuzz install clean
all: build/build.ninja
	ninja -C build posthouse
build/build.ninja:
	meson setup build --werror
test: all
	tests/all
san: ; tests/san
fuzz: ; tests/fuzz
install: all
	meson install -C build
clean: ; rm -rf build build-*
