#!/usr/bin/env python3
"""Times PyTorch's fused causal attention, forward and backward, and prints one JSON object.

12 heads of 64 numbers: `apus bench attention --json` times the same shapes.

    python attention.py --sequence-length 1024 --precision bf16 --threads 2
"""

import argparse
import json
import statistics
import time

import torch
from torch.nn import functional as F

HEADS, HEAD_SIZE = 12, 64


# No further repeats once those so far have taken as long.
MOST_SECONDS = 8


def median(function, repeats):
    """Median seconds of at most `repeats` calls after a first one."""
    function()
    seconds = []
    while len(seconds) < repeats and sum(seconds) < MOST_SECONDS:
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def measure(arguments):
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    dtype = torch.bfloat16 if arguments.precision == "bf16" else torch.float32
    shape = (arguments.micro_batch, HEADS, arguments.sequence_length, HEAD_SIZE)
    query, key, value = (torch.randn(shape).to(dtype).requires_grad_() for _ in range(3))
    gradient = torch.randn(shape).to(dtype)

    def forward():
        with torch.no_grad():
            F.scaled_dot_product_attention(query, key, value, is_causal=True)

    def both():
        for operand in (query, key, value):
            operand.grad = None
        F.scaled_dot_product_attention(query, key, value, is_causal=True).backward(gradient)

    forward_seconds, both_seconds = median(forward, arguments.repeats), median(both, arguments.repeats)
    s = arguments.sequence_length
    pairs = arguments.micro_batch * HEADS * s * (s + 1) / 2
    return dict(
        forward_seconds=forward_seconds, forward_backward_seconds=both_seconds,
        forward_flops_per_second=4 * HEAD_SIZE * pairs / forward_seconds,
        forward_backward_flops_per_second=14 * HEAD_SIZE * pairs / both_seconds,
        threads=torch.get_num_threads(), torch=torch.__version__)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--micro-batch", type=int, default=1)
    parser.add_argument("--sequence-length", type=int, default=1024)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, required=True)
    print(json.dumps(measure(parser.parse_args())))


if __name__ == "__main__":
    main()
