#!/bin/sh
# Runs the commands of the documentation's ```sh blocks as a reader would, in order, in a folder that looks like
# a built clone; MODEL is a tiny fixture and the data a few rows of the example data.
#
#   run_commands.sh SOURCE BINARY MODEL WORK
#
# Commands that build, install or take minutes (scripts/, bench/, the formatter) are only checked to exist: they
# have tests or CI runs of their own. A command that this script does not know fails it.
set -eu
source=$1 binary=$2 model=$3 work=$4
fail() { printf '%s\n' "$*" >&2; exit 1; }

rm -rf "$work"
mkdir -p "$work/build/release"
ln -s "$binary" "$work/build/release/lorikeet"
ln -s "$source/examples" "$source/scripts" "$source/tools" "$source/bench" "$work"
head -n 16 "$source/examples/tool_calls/train.jsonl" >"$work/train.jsonl"
head -n 4 "$source/examples/tool_calls/test.jsonl" >"$work/test.jsonl"
cd "$work"

# commands FILE: the lines of its sh blocks without comments, continued lines joined.
commands() {
  awk '/^```sh$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$1" |
    sed -e ':more' -e '/\\$/ { N; s/\\\n//; b more' -e '}' -e 's/[[:space:]]#.*$//' -e '/^[[:space:]]*$/d'
}

ran=0
for document in README.md CONTRIBUTING.md docs examples; do
  for file in $(find "$source/$document" -name '*.md' | sort); do
    commands "$file" >commands
    while IFS= read -r line; do
      case $line in
        build/release/lorikeet*)
          echo "$line" | sed "s|MODEL|$model|" >command
          sh -eu command </dev/null >output 2>&1 || fail "$file: $line
$(cat output)"
          ran=$((ran + 1)) ;;
        python3*)
          # The generator works beside its own files; what it writes must be what is committed.
          command -v python3 >/dev/null || continue
          [ -d copy ] || cp -rL examples copy
          echo "$line" | sed 's|examples/|copy/|' >command
          sh -eu command >output 2>&1 || fail "$file: $line
$(cat output)"
          diff -r examples/tool_calls copy/tool_calls >output || fail "$file: $line changes committed files
$(cat output)" ;;
        scripts/* | tools/* | bench/*)
          [ -x "${line%% *}" ] || fail "$file: ${line%% *} does not exist or cannot be run" ;;
        *) fail "$file: no rule to run \"$line\"" ;;
      esac
    done <commands
  done
done
[ "$ran" -ge 6 ] || fail "only $ran commands were found: the README's blocks have changed their form"
echo "ran $ran commands of the documentation"
