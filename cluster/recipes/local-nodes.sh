#!/bin/bash
# Several Ray nodes on this machine, to try a cluster without having one:
#     cluster/recipes/local-nodes.sh 2 demo -s adamw -o runs/tried
# starts a head and so many more nodes of one core each, races, and ends the nodes.
set -euo pipefail

more=$1
shift
port=${PORT:-6399}
export RAY_AUTH_MODE=disabled RAY_USAGE_STATS_ENABLED=0
scratch=$(mktemp -d /tmp/nodes-XXXXXX)
pids=()

finish() {
    kill -TERM "${pids[@]}" 2> /dev/null || true
    wait "${pids[@]}" 2> /dev/null || true
    rm -rf "$scratch"
}
trap finish EXIT

ray start --head --node-ip-address=127.0.0.1 --port="$port" --num-cpus=1 \
    --include-dashboard=false --temp-dir="$scratch/head" --block > "$scratch/head.log" 2>&1 &
pids+=($!)
for _ in $(seq 60); do
    ray health-check --address "127.0.0.1:$port" > /dev/null 2>&1 && break
    sleep 1
done
for node in $(seq "$more"); do
    # Each has a folder of its own for runs, as on machines that share no storage, and for Ray: in
    # one that two nodes share, either removes the other's copy of the code that travels.
    GRADATHLON_NODE_RUNS="$scratch/runs-$node" \
        ray start --address="127.0.0.1:$port" --num-cpus=1 --temp-dir="$scratch/node-$node" \
        --block > "$scratch/node-$node.log" 2>&1 &
    pids+=($!)
done
code=0
gradathlon run "$@" --address "127.0.0.1:$port" || code=$?
exit "$code"
