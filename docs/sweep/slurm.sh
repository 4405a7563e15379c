#!/bin/bash
#SBATCH --job-name=windtunnel
#SBATCH --cpus-per-task=2
#SBATCH --time=01:00:00
# An array job: each task runs its part, into night-JOB/part-N of the folder that it was submitted from.
#   sbatch --array=1-8 docs/sweep/slurm.sh --seeds 1..200
#   windtunnel merge night-JOB/part-* --out night
# WINDTUNNEL: the program, at the same path on each node.
set -u
: "${SLURM_ARRAY_TASK_ID:?submit with --array=1-N}" "${SLURM_ARRAY_TASK_COUNT:?submit with --array=1-N}"
out="night-${SLURM_ARRAY_JOB_ID:-0}/part-$SLURM_ARRAY_TASK_ID"
"${WINDTUNNEL:-./windtunnel}" run --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" --out "$out" --jobs "${SLURM_CPUS_PER_TASK:-2}" --quiet "$@"
code=$?
# Whether runs passed stands in the folder, and merge says so; a task fails only where its part was not run.
case $code in 0 | 1 | 2) exit 0 ;; *) exit "$code" ;; esac
