#!/bin/bash
# A run on several nodes of a Slurm cluster: sbatch cluster/recipes/slurm.sh toy -s ./my_opt.py
# The words behind the script are those of `gradathlon run`. Name the run's folder with OUTPUT; the
# same command submitted again goes on where the job was cut off.
#SBATCH --job-name=gradathlon
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --exclusive
#SBATCH --hint=nomultithread
#SBATCH --time=04:00:00
#SBATCH --signal=B:TERM@120
set -euo pipefail

output=${OUTPUT:-runs/slurm}
port=${PORT:-6379}
export RAY_AUTH_MODE=disabled RAY_USAGE_STATS_ENABLED=0
# A job's own TMPDIR is too long a name for Ray's sockets.
export TMPDIR=/tmp

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
address=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{print $1}')

srun --nodes=1 --ntasks=1 --nodelist="$head" --overlap \
    ray start --head --node-ip-address="$address" --port="$port" \
    --num-cpus="$SLURM_CPUS_PER_TASK" --include-dashboard=false --block &
sleep 15
for node in "${nodes[@]:1}"; do
    srun --nodes=1 --ntasks=1 --nodelist="$node" --overlap \
        ray start --address="$address:$port" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
done
sleep 15

if [ -e "$output/run.yaml" ]; then
    race=(gradathlon run --resume -o "$output" --address "$address:$port")
else
    race=(gradathlon run "$@" -o "$output" --address "$address:$port")
fi
# On the head's node. Slurm's TERM, two minutes before the time is up, ends the run as Ctrl-C does.
srun --nodes=1 --ntasks=1 --nodelist="$head" --overlap "${race[@]}" &
driver=$!
trap 'kill -TERM "$driver"' TERM
code=0
while kill -0 "$driver" 2> /dev/null; do   # a trapped signal ends a wait before the driver ends
    code=0
    wait "$driver" || code=$?
done
exit "$code"
