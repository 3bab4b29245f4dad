#!/usr/bin/env bash
# Train on several GPUs, or, on a machine without one, in several processes on the CPU.
#   tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
# Environment: NNODES, NODE_RANK, MASTER_ADDR and PORT, as for torchrun. PORT is needed for several
# nodes only; on one a free one is taken, so that several runs can share the machine.
set -eu

if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [options of tools/train.py]" >&2
    exit 2
fi
CONFIG=$1
GPUS=$2
shift 2
TOOLS=$(cd "$(dirname "$0")" && pwd)
NNODES=${NNODES:-1}
FREE_PORT='import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])'
if [ "$NNODES" -gt 1 ]; then
    PORT=${PORT:-29500}
else
    PORT=${PORT:-$(python -c "$FREE_PORT")}
fi

export PYTHONPATH="$TOOLS/..${PYTHONPATH:+:$PYTHONPATH}"
exec python -m torch.distributed.run \
    --nnodes="$NNODES" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="$PORT" \
    --nproc_per_node="$GPUS" \
    "$TOOLS/train.py" "$CONFIG" --launcher pytorch "$@"
