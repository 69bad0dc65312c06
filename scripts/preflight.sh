#!/bin/sh
# Is there what a build from a checkout needs? Says what is missing and what to do.
# Usage: preflight.sh PYTHON
set -u
python=$1

fail() {
    echo "neurocensus: $1" >&2
    exit 1
}

command -v "$python" >/dev/null 2>&1 ||
    fail "no '$python' found; install Python 3.10 or newer, or name one: make PYTHON=/path/to/python3"
found=$("$python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null) ||
    fail "'$python' does not run; name a Python of 3.10 or newer: make PYTHON=/path/to/python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    fail "expected Python 3.10 or newer, got $found ('$python'); name another: make PYTHON=/path/to/python3"
"$python" -c 'import ensurepip, venv' >/dev/null 2>&1 ||
    fail "'$python' ($found) has no venv module; install it (Debian, Ubuntu: apt-get install python3-venv)"

scratch=$(mktemp -d) || fail "no temporary folder to write to"
trap 'rm -rf "$scratch"' EXIT
cat >"$scratch/probe.cpp" <<'CPP'
#include <optional>
int main() { return std::optional<int>(0).value(); }
CPP
for compiler in "${CXX:-}" c++ g++ clang++; do
    [ -n "$compiler" ] || continue
    # Unquoted: CXX may hold arguments, as in "ccache g++".
    $compiler -std=c++17 "$scratch/probe.cpp" -o "$scratch/probe" >/dev/null 2>&1 && exit 0
    [ "$compiler" = "${CXX:-}" ] && fail "CXX='$CXX' does not compile C++17; set CXX to GCC or Clang"
done
fail "no C++17 compiler found; install GCC or Clang (Debian, Ubuntu: apt-get install g++), or set CXX"
