#!/usr/bin/env bash
# Measures on a GPU what only a GPU can show. README.md says what, and which variables there are.
#
#   tests/gpu/measure.sh check|profiles|all|table [--dry-run]
set -u -o pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
what=all
dry=
for argument in "$@"; do
    case $argument in
        check | profiles | all | table) what=$argument ;;
        --dry-run) dry=1 ;;
        *)
            echo "usage: measure.sh check|profiles|all|table [--dry-run]" >&2
            exit 2
            ;;
    esac
done

OUT=${OUT:-gpu-results}
mkdir -p "$OUT" || exit 1
OUT=$(cd "$OUT" && pwd)
COLDSTART=${COLDSTART:-$root/target/release/coldstart}
BENCHES=${BENCHES:-$root/target/release/deps}
DEVICE=${DEVICE:-cuda:0}
sizes=${SIZES:-1b 8b}
load_size=1b load_budget=90 load_more=() cases=48 sanitized_cases=2 slack=90
if [ -n "$dry" ]; then
    # However busy the machine is: no time means anything there.
    sizes=tiny load_size=tiny load_budget=30 load_more=(--trials 3) cases=1 sanitized_cases=1 slack=600
fi
failed=0

say() { echo "$*" | tee -a "$OUT/steps.txt"; }
skip() { say "skipped $1: $2"; }

# step NAME SECONDS COMMAND…: runs it with its output in NAME.log, and says in one line how it went.
step() {
    local name=$1 seconds=$2 begin=$SECONDS code
    shift 2
    timeout --kill-after=10 "$seconds" "$@" >"$OUT/$name.log" 2>&1
    code=$?
    if [ $code -eq 0 ]; then
        say "ok      $name ($((SECONDS - begin)) s)"
        return 0
    fi
    failed=1
    if [ $code -eq 124 ] || [ $code -eq 137 ]; then
        say "FAILED  $name: took longer than $seconds s; see $OUT/$name.log"
    else
        say "FAILED  $name: exit code $code after $((SECONDS - begin)) s: $(tail -n 1 "$OUT/$name.log" | cut -c1-200)"
    fi
    return 1
}

# A Python that can do what the given code does; nothing where there is none.
python_with() {
    local candidate
    for candidate in ${PYTHON:-} python3 python /opt/*/bin/python3 "$HOME"/*/bin/python3; do
        if command -v "$candidate" >/dev/null 2>&1 && "$candidate" -c "$1" >/dev/null 2>&1; then
            command -v "$candidate"
            return
        fi
    done
}

# The program where the caller says, else one that was built for tests.
find_program() {
    if [ ! -x "$COLDSTART" ] && [ -n "$dry" ] && [ -x "$root/target/debug/coldstart" ]; then
        COLDSTART=$root/target/debug/coldstart
    fi
    if [ ! -x "$COLDSTART" ]; then
        echo "measure.sh: there is no program at $COLDSTART: build it, or set COLDSTART" >&2
        exit 2
    fi
}

# Puts the stand-in driver on the library path of the program alone.
driver=()
find_stand_in() {
    [ -n "$dry" ] || return 0
    local directory
    if ! directory=$(cd "$root" && cargo run -q -p coldstart-stand-in 2>"$OUT/stand-in.log"); then
        echo "measure.sh: failed to make the stand-in driver: $(tail -n 1 "$OUT/stand-in.log")" >&2
        exit 2
    fi
    driver=(env "LD_LIBRARY_PATH=$directory" COLDSTART_STAND_IN_RACES=0)
}

# cuBLASLt, where PyTorch has brought one.
find_cublaslt() {
    local python packages
    [ -z "$dry" ] && [ -z "${COLDSTART_CUBLASLT:-}" ] || return 0
    python=$(python_with "import torch")
    [ -n "$python" ] || return 0
    packages=$("$python" -c "import os, torch; print(os.path.dirname(os.path.dirname(torch.__file__)))")
    if find "$packages/nvidia" -name 'libcublasLt.so*' 2>/dev/null | grep -q .; then
        export COLDSTART_CUBLASLT=$packages
        say "cuBLASLt: of PyTorch in $packages"
    fi
}

machine() {
    {
        date -u
        uname -a
        nproc
        free -g
        df -h "${COLDSTART_CACHE:-$HOME}"
        nvidia-smi
        nvidia-smi -q -d CLOCK,PERFORMANCE,POWER
        sha256sum "$COLDSTART"
        "$COLDSTART" --version
    } >"$OUT/machine.txt" 2>&1
    command -v nvidia-smi >/dev/null 2>&1 || skip nvidia-smi "it is not on the path"
}

sanitizer() {
    local found candidate
    found=$(command -v compute-sanitizer)
    for candidate in /usr/local/cuda*/bin/compute-sanitizer; do
        [ -n "$found" ] || [ ! -x "$candidate" ] || found=$candidate
    done
    if [ -n "$dry" ]; then
        skip sanitizer "the stand-in is no GPU"
    elif [ -z "$found" ]; then
        skip sanitizer "there is no compute-sanitizer on the path or in /usr/local/cuda*"
    else
        local tool
        for tool in memcheck racecheck synccheck; do
            step "sanitizer-$tool" 150 "$found" --tool "$tool" --target-processes all --error-exitcode 86 \
                --print-limit 20 "$COLDSTART" doctor --self-test --device "$DEVICE" --cases "$sanitized_cases"
        done
    fi
}

# run_profile NAME BUDGET ARGUMENT…: a profile in NAME.json and its tables in NAME.log. Where the plan says that it takes more
# than the budget, it gets what it takes. Making a model the first time takes time that no budget counts.
run_profile() {
    local name=$1 budget=$2 least
    shift 2
    local run=("${driver[@]}" "$COLDSTART" run --device "$DEVICE" --out "$OUT/$name.json" "$@")
    rm -f "$OUT/$name.json"
    least=$("${run[@]}" --dry-run --budget "$budget" 2>&1 | sed -n 's/.*takes about \([0-9]*\).*/\1/p' | head -n 1)
    if [ -n "$least" ]; then
        budget=$((least * 12 / 10 + 1))
        say "note    $name: a budget of $budget s, since the least that a result needs takes $least s"
    fi
    step "$name" $((budget + slack)) "${run[@]}" --budget "$budget"
}

torch_step() {
    local name=$1 seconds=$2 needs=$3 python
    shift 3
    if [ -n "$dry" ]; then
        skip "$name" "the stand-in is no GPU for PyTorch"
        return
    fi
    python=$(python_with "$needs; import torch; assert torch.cuda.is_available()")
    if [ -z "$python" ]; then
        skip "$name" "no Python here can do \`$needs\` and sees the GPU: set PYTHON"
        return
    fi
    step "$name" "$seconds" "$python" "$@"
}

check() {
    step self-test $((30 + slack)) "${driver[@]}" "$COLDSTART" doctor --self-test --device "$DEVICE" --cases "$cases"
    sanitizer
    run_profile loads "$load_budget" --synthetic "$load_size" --phases weights_load "${load_more[@]}"
    if [ -s "$OUT/loads.json" ]; then
        torch_step torch-upload 60 "import torch" "$here/torch_upload.py" --device "${DEVICE%%,*}" \
            --profile "$OUT/loads.json" --out "$OUT/torch-upload.json"
    else
        skip torch-upload "there is no profile with the size of the copies"
    fi
}

profiles() {
    local size budget more
    for size in $sizes; do
        more=()
        case $size in
            # One strategy: `loads` has the others, and reading 16 GB takes its time.
            8b) budget=200 more=(--strategies direct) ;;
            1b) budget=90 ;;
            *) budget=60 more=(--quick) ;;
        esac
        run_profile "run-$size" "$budget" --synthetic "$size" "${more[@]}" \
            --phases driver_init,context_create,module_load,alloc,weights_load,first_batch,warm_up,throughput
        if [ -s "$OUT/run-$size.json" ]; then
            torch_step "torch-forward-$size" 100 "import transformers" "$here/torch_forward.py" --device "${DEVICE%%,*}" \
                --seconds 40 --profile "$OUT/run-$size.json" --out "$OUT/torch-forward-$size.json"
        else
            skip "torch-forward-$size" "there is no profile with the points of the sweep"
        fi
    done
    benches
}

# The benches of the device: the newest executable that `cargo bench` made of them.
benches() {
    local candidate found=
    for candidate in "$BENCHES/device" "$BENCHES"/device-*; do
        if [ -x "$candidate" ] && { [ -z "$found" ] || [ "$candidate" -nt "$found" ]; }; then
            found=$candidate
        fi
    done
    if [ -n "$dry" ]; then
        skip bench-device "a dry run takes no times"
    elif [ -z "$found" ]; then
        skip bench-device "there is no executable device in $BENCHES: cargo bench --no-run"
    else
        CRITERION_HOME=$OUT/criterion COLDSTART_DEVICE=$DEVICE COLDSTART_EXE=$COLDSTART \
            step bench-device 90 "$found" --bench --warm-up-time 0.3 --measurement-time 0.5
    fi
}

table() {
    local python
    python=$(python_with "import json")
    if [ -z "$python" ]; then
        skip table "there is no Python here: read the profiles in $OUT with coldstart report"
        return
    fi
    "$python" "$here/table.py" "$OUT" | tee "$OUT/table.txt"
}

if [ "$what" != table ]; then
    : >>"$OUT/steps.txt"
    find_program
    find_stand_in
    find_cublaslt
    machine
fi
case $what in
    check) check ;;
    profiles) profiles ;;
    all)
        check
        profiles
        ;;
esac
table
exit $failed
