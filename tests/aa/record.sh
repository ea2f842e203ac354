#!/usr/bin/env bash
# Records A/A runs: the same program, plan and seed again and again, on a machine that nothing is changed on.
#
#     tests/aa/record.sh PROGRAM DIRECTORY [RUNS]
#
# writes DIRECTORY/run-001.json and so on (40 unless told), one profile a run, and goes on where it was stopped. Stop it with Ctrl-C.
# What the machine was doing meanwhile is the directory's name: one for runs on an idle machine, one for runs under load.
# `tests/aa/regenerate.sh` then makes one small file of both, and what CI compares with.
#
# Each run has one processor to itself, the last one. What two virtual processors share on their host, caches and the
# bandwidth of memory, depends on where it puts them, which changes every few seconds: with both, one machine has two speeds.
set -euo pipefail
if [ $# -lt 2 ]; then
  sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
program="$(realpath "$1")"
directory="$2"
runs="${3:-40}"
cpu="$(awk '/^Cpus_allowed_list/ { n = split($2, cpus, /[-,]/); print cpus[n] }' /proc/self/status)"
mkdir -p "$directory"
for run in $(seq -f '%03g' 1 "$runs"); do
  profile="$directory/run-$run.json"
  if [ -e "$profile" ]; then continue; fi
  # Under another name until it is whole: what is there under its own was not interrupted.
  part="$directory/part.json"
  rm -f "$part"
  code=0
  taskset -c "$cpu" "$program" run --quick --trials 5 --seed 1 --device host --out "$part" >"$directory/last.txt" 2>&1 || code=$?
  if [ "$code" -ne 0 ]; then
    echo "run $run ended with exit code $code: see $directory/last.txt" >&2
    exit "$code"
  fi
  mv "$part" "$profile"
  echo "$(date -u +%FT%TZ) $profile"
done
