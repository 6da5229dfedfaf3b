# Shared by the scripts beside it; read with ".", never run.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
jobs=${LORIKEET_JOBS:-$(nproc)}

say() { printf '%s\n' "$*" >&2; }

# fail STATUS WHAT WHERE FIX: the three lines of every error, with the exit codes of the lorikeet command.
fail() {
  printf 'error: %s\n  where: %s\n  fix:   %s\n' "$2" "$3" "$4" >&2
  exit "$1"
}

# Set-up that lacks nothing prints nothing.
need() { "$root/scripts/deps" "$@"; }

# build_lorikeet: the release binary at build/release/lorikeet.
build_lorikeet() {
  (cd "$root" && cmake --preset release "$@" >/dev/null && cmake --build --preset release -j "$jobs" -t lorikeet)
}
