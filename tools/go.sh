# What kubernetes.sh and helm.sh share; sourced by them. Binaries are compiled from the Go modules pinned in folders
# here, and kept outside the work tree in $TORPOR_CACHE (default ~/.cache/torpor), in one folder for each set of
# versions, so that a second run costs nothing.

say() { printf 'torpor: %s\n' "$*" >&2; }

# Makes $out, the folder for the versions pinned in the given go.mod files, and waits until nobody else builds there.
# The name of the folder begins with the first argument.
open_cache() {
  local name=$1
  shift
  command -v go >/dev/null || { say "go is missing: install Go 1.25 or newer"; exit 1; }
  out=${TORPOR_CACHE:-$HOME/.cache/torpor}/$name-$(cat "$@" | sha256sum | cut -c1-12)
  mkdir -p "$out"
  exec 9>"$out/.lock"
  flock 9
}

# Compiles one binary into $out unless it is there: its name, folder of the module, package, linker flags.
build() {
  [ -x "$out/$1" ] && return
  local began=$SECONDS
  say "compiling $1 (once; kept in $out)"
  (cd "$2" && CGO_ENABLED=0 GOFLAGS=-mod=readonly go build -trimpath -ldflags "-s -w ${4:-}" -o "$out/.$1.new" "$3") >&2
  mv "$out/.$1.new" "$out/$1"
  say "compiled $1 in $((SECONDS - began)) s"
}
