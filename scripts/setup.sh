#!/usr/bin/env bash
# Sees to what a build needs and prints, for `eval`, the environment that it found:
#
#   eval "$(scripts/setup.sh)"
#
# Needed: a Rust toolchain, a C++ compiler with make, and libclang (bindings to RocksDB are generated at build time).
# What is missing is installed from Debian's packages when this runs as root or sudo needs no password; libclang comes
# from PyPI otherwise. Messages go to standard error.
set -euo pipefail

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo -n "$@"
  else return 1; fi
}

apt_install() {
  command -v apt-get >/dev/null || return 1
  say "installing $*"
  # Package lists may be missing or old: try without, then with an update.
  as_root apt-get install -y --no-install-recommends "$@" >&2 2>/dev/null ||
    { as_root apt-get update >&2 && as_root apt-get install -y --no-install-recommends "$@" >&2; }
}

find_libclang() {
  local dir
  for dir in ${LIBCLANG_PATH:-} /usr/lib/llvm-*/lib /usr/lib/x86_64-linux-gnu /usr/lib/aarch64-linux-gnu \
    /usr/lib64 /usr/lib /usr/local/lib "$pip_libclang/clang/native"; do
    if compgen -G "$dir/libclang.so*" >/dev/null || compgen -G "$dir/libclang-[0-9]*.so*" >/dev/null; then
      printf '%s' "$dir"
      return 0
    fi
  done
  return 1
}

pip_libclang=${XDG_CACHE_HOME:-$HOME/.cache}/weir/libclang

command -v cargo >/dev/null || fail "no cargo on the PATH: install Rust first (https://rustup.rs), then run this again"
if ! command -v c++ >/dev/null || ! command -v make >/dev/null; then
  apt_install g++ make || fail "no C++ compiler or make: install g++ and make, then run this again"
fi

libclang=$(find_libclang) || {
  apt_install libclang1-14 || apt_install libclang1 || {
    command -v python3 >/dev/null || fail "no libclang: install it (Debian: libclang1), then run this again"
    say "installing libclang from PyPI into $pip_libclang"
    python3 -m pip install --quiet --target "$pip_libclang" libclang >&2
  }
  libclang=$(find_libclang) || fail "no libclang found after installing it: set LIBCLANG_PATH to its folder"
}

printf 'export LIBCLANG_PATH=%q\n' "$libclang"
# libclang without clang's own headers takes stddef.h and the like from the compiler's.
include=$(c++ -print-file-name=include)
[ -f "$include/stddef.h" ] && printf 'export BINDGEN_EXTRA_CLANG_ARGS=%q\n' "-I$include"
# RocksDB in a third of the time. The copy has the same path for every clone: cargo compiles anew when it changes.
if [ -z "${CXX:-}" ]; then
  compiler=${XDG_CACHE_HOME:-$HOME/.cache}/weir/c++
  mkdir -p "$(dirname "$compiler")"
  cmp -s "$(dirname "$0")/c++" "$compiler" || install -m 755 "$(dirname "$0")/c++" "$compiler"
  printf 'export CXX=%q\n' "$compiler"
fi
exit 0
