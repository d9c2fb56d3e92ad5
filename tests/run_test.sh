#!/usr/bin/env bash
# What ./run does with its library, in a copy of the tree whose programs only note how they were called.
#   tests/run_test.sh SOURCE_FOLDER
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
tree=$folder/tree calls=$folder/calls own="$folder/a home/.local/share/palimpsest/demonstration.db"
mkdir -p "$tree/packaging" "$folder/bin"
cp "$1/run" "$tree"
printf '#!/bin/sh\n' >"$tree/packaging/install-debian.sh"
cat >"$folder/bin/cmake" <<'END'
#!/bin/sh
mkdir -p build/release/app
printf '#!/bin/sh\necho "$2" >>"$CALLS"\nmkdir -p "$(dirname "$2")"\necho "$@" >>"$2"\n' >build/release/app/palimpsest-cli
cp build/release/app/palimpsest-cli build/release/app/palimpsest
chmod +x build/release/app/*
END
chmod +x "$tree/packaging/install-debian.sh" "$folder/bin/cmake"

fail() { echo "FAILED: $*" >&2; exit 1; }
run() {
  rm -f "$calls"
  env -u XDG_DATA_HOME -u PALIMPSEST_LIBRARY -u DISPLAY -u WAYLAND_DISPLAY \
    PATH="$folder/bin:$PATH" HOME="$folder/a home" CALLS="$calls" "$@" </dev/null >"$folder/out"
}
uses() { [[ $(sort -u "$calls") == "$1" ]] || fail "used $(sort -u "$calls"), not $1"; }

run "$tree/run" --no-window
uses "$own"
grep -qF "demonstration.db" "$folder/out" || fail "the library is not named"
rm -rf "$tree/build"  # what a clean build does
run "$tree/run"
uses "$own"
[[ $(grep -c read "$own") == 2 ]] || fail "the books did not outlive the build folder"
run DISPLAY=:0 "$tree/run"
[[ $(wc -l <"$calls") == 4 ]] || fail "the window did not open on the same library"
uses "$own"

run XDG_DATA_HOME="$folder/data" "$tree/run"
uses "$folder/data/palimpsest/demonstration.db"
run PALIMPSEST_LIBRARY="$folder/mine.db" "$tree/run"
uses "$folder/mine.db"

# The library of an earlier ./run is taken along, unless there is a new one or it is open.
echo former >"$tree/build/library.db"
run "$tree/run"
[[ -e $tree/build/library.db && $(head -1 "$own") != former ]] || fail "a former library took the place of the new one"
rm "$own"
echo change >"$tree/build/library.db-wal"  # of a Palimpsest that was ended by force
run "$tree/run"
uses build/library.db
: >"$tree/build/library.db-wal"
exec {lock}>"$tree/build/library.db.lock"
flock "$lock"  # as an open window holds it
run "$tree/run"
uses build/library.db
exec {lock}>&-
run "$tree/run"
uses "$own"
[[ ! -e $tree/build/library.db-wal ]] || fail "what belongs to the former library was left behind"
[[ ! -e $tree/build/library.db && $(head -1 "$own") == former ]] || fail "the former library was left behind"
