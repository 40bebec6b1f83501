#!/bin/bash
# A scan as a Slurm array: sbatch slurm_array.sh /data/train_lmdb /scratch/parts
# When all tasks are done: datascan merge /scratch/parts/* --output json=report.json
# (sbatch --dependency=afterok:JOB; a task ends with 0 when its share is done, whatever it found).
# A task that was killed is queued again, and goes on where it was.
#SBATCH --job-name=datascan
#SBATCH --array=1-16
#SBATCH --cpus-per-task=4
#SBATCH --mem=2G
#SBATCH --requeue
set -euo pipefail

source=$1 parts=$2
mkdir -p "$parts"
exec datascan check "$source" \
    --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" \
    --partial "$parts/$SLURM_ARRAY_TASK_ID" \
    --jobs "${SLURM_CPUS_PER_TASK:-1}"
