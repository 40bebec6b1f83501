#!/bin/bash
#SBATCH --job-name=datascan
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
# sbatch slurm.sh train_lmdb, and the training behind it: sbatch --dependency=afterok:JOBID train.sh
set -euo pipefail
source_path=${1:-train_lmdb}
datascan check "$source_path" --jobs "${SLURM_CPUS_PER_TASK:-2}" --quiet --no-progress \
    --resume "${source_path##*/}.ckpt" --output "json=datascan-${SLURM_JOB_ID:-local}.json"
