#!/bin/bash
# older scripts keep arguments in texts
DISTRIBUTED_ARGS="
    --nproc_per_node 8 \
    --nnodes ${NNODES:-2}
"
GPT_ARGS="
    --tensor-model-parallel-size 2 \
    --pipeline-model-parallel-size 4 \
    --num-layers-per-virtual-pipeline-stage 3 \
    --num-layers 24 \
    --hidden-size 1024 \
    --num-attention-heads 16 \
    --seq-length 1024 \
    --max-position-embeddings 1024 \
    --micro-batch-size 4 \
    --global-batch-size 32 \
    --train-iters 500000 \
    --recompute-activations \
    --fp16
"
torchrun $DISTRIBUTED_ARGS pretrain_gpt.py $GPT_ARGS --tokenizer-type GPT2BPETokenizer
