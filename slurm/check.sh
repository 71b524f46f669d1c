#!/usr/bin/env bash
# Try the two sbatch files on a Slurm of this machine alone (see one-node.sh): an array, and a training that is stopped
# in the middle, requeued, and goes on: in one task, and in two that train together. Needs root, slurm-wlm, munge and the
# environment of `make setup`. Two minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
slurm/one-node.sh "$scratch/slurm" || exit 3 # Slurm does not start on this machine
export SLURM_CONF=$scratch/slurm/slurm.conf
trap 'kill $(cat "$scratch"/slurm/*.pid); rm -rf "$scratch"' EXIT
mkdir -p runs

fail() {
  echo "slurm/check.sh: $1" >&2
  tail -n 20 "$scratch"/*.log >&2
  exit 1
}

# an array of three tasks: three runs of dynamics/, each by one task
flags=(--preset smoke --only dynamics --out "$scratch/array")
sbatch --wait --array=1-3 --cpus-per-task=1 --output="$scratch/array-%a.log" slurm/array.sbatch "${flags[@]}" ||
  fail "a task of the array failed"
.venv/bin/python -m common.reproduce "${flags[@]}" --check || fail "the array left out a run"
echo "an array of three runs finished"

# a training that is told to stop as if its time were up, and goes on from there when it is requeued
wait_for() { # a line in the log of the training
  for _ in $(seq 600); do
    if grep -aqE "$1" "$scratch/train.log" 2>/dev/null; then return; fi
    sleep 0.2
  done
  fail "no line like '$1' in two minutes"
}
stop_and_requeue() { # steps, options of sbatch, --, flags of the training
  local options=() flags=(rsgan/train.py --dataset 8gaussians --preset smoke --steps "$1" --every 500 --out "$scratch/train")
  local steps=$1 && shift
  while [ "$1" != -- ]; do options+=("$1") && shift; done
  rm -rf "$scratch/train" "$scratch/train.log"
  job=$(sbatch --parsable --cpus-per-task=1 "${options[@]}" --output="$scratch/train.log" slurm/train.sbatch "${flags[@]}" "${@:2}")
  wait_for "step [0-9]{2,} of $steps"
  scancel --batch --signal=TERM "$job"
  wait_for "stopped at step"
  stopped=$(grep -aoE "stopped at step [0-9]+" "$scratch/train.log" | grep -oE "[0-9]+" | sort -u | paste -sd " ")
  for _ in $(seq 150); do # Slurm lets a requeued job wait for two minutes; we do not
    if grep -aq "going on from step $stopped" "$scratch/train.log"; then break; fi
    scontrol update JobId="$job" StartTime=now 2>/dev/null || true
    sleep 1
  done
  wait_for "step $steps of $steps"
  for _ in $(seq 600); do
    if [ -z "$(squeue -h -j "$job" 2>/dev/null)" ]; then break; fi
    sleep 0.2
  done
  [ -n "$(find "$scratch/train" -name results.json)" ] || fail "the training wrote no results"
  echo "a training (${options[*]:-one task}) stopped at step $stopped of $steps, was requeued and finished"
}
stop_and_requeue 8000 --
if [ "$(nproc)" -gt 1 ]; then stop_and_requeue 1200 --ntasks=2 -- --distribute; fi
