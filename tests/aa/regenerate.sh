#!/usr/bin/env bash
# Makes everything that rests on recorded A/A runs anew:
#
#     tests/aa/regenerate.sh IDLE_DIRECTORY [LOAD_DIRECTORY]
#
# from the profiles that `tests/aa/record.sh` wrote: the recordings (tests/fixtures/aa/recordings.json), the policy of CI and
# its baseline (tests/aa/policy.json, tests/aa/baseline.json), both of the runs in IDLE_DIRECTORY. Prints what the gate is
# then worth.
set -euo pipefail
if [ $# -lt 1 ]; then
  sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
idle="$(realpath "$1")"
states=("idle=$idle")
if [ $# -ge 2 ]; then states+=("load=$(realpath "$2")"); fi
cd "$(dirname "$0")/../.."
new="$(mktemp -d)"
trap 'rm -rf "$new"' EXIT

cargo build --release --locked -p coldstart-decisions --examples
cargo build --release --locked --bin coldstart
target/release/examples/aa_recordings "${states[@]}" >"$new/recordings.json"
target/release/coldstart calibrate "$idle"/run-*.json --out "$new/policy.json" >/dev/null
cp "$(target/release/examples/typical_run "$idle"/run-*.json)" "$new/baseline.json"
mkdir -p tests/fixtures/aa
mv "$new/recordings.json" tests/fixtures/aa/recordings.json
mv "$new/policy.json" "$new/baseline.json" tests/aa/
target/release/examples/gate_power
