#!/usr/bin/env python3
"""Prints what layouts take on each rank, from `apus estimate`: the tables of docs/parallelism.md.

    Benchmarks/layout_table.py
    Benchmarks/layout_table.py --model llama-110m --micro-batch 4 --precision bf16 --degrees 1 16
"""

import argparse
import json
import pathlib
import subprocess
import sys

APUS = pathlib.Path(__file__).resolve().parent.parent / ".build" / "release" / "apus"
# A title and what is set at a degree.
LAYOUTS = [
    ("data", "data: {n}"),
    ("ZeRO-1", "data: {n}, zero_stage: 1"),
    ("ZeRO-2", "data: {n}, zero_stage: 2"),
    ("ZeRO-3", "data: {n}, zero_stage: 3"),
    ("ZeRO-3, groups of 2", "data: {n}, zero_stage: 3, shard_degree: 2"),
    ("tensor", "tensor: {n}"),
    ("tensor and sequence", "tensor: {n}, sequence_parallel: true"),
    ("the same, gathers again", "tensor: {n}, sequence_parallel: true, keep_gathered_inputs: false"),
]
ROLES = ["parameter", "gradient", "optimizer_state", "activation", "communication", "workspace"]


def estimate(arguments, layout):
    """What `apus estimate` says, or None where the model cannot be divided so."""
    words = [APUS, "estimate", arguments.model, "--set", f"training.micro_batch_size={arguments.micro_batch}",
             "--set", f"training.sequence_length={arguments.sequence_length}",
             "--set", f"training.gradient_accumulation={arguments.accumulation}",
             "--set", f"training.precision={arguments.precision}", "--set", "training.threads=1",
             *[word for pair in layout.split(", ") for word in ("--set", "layout." + pair.replace(": ", "="))],
             "--json"]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode != 0:
        print(f"{layout}: {done.stderr.strip()}", file=sys.stderr)
        return None
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="gpt2-124m")
    parser.add_argument("--micro-batch", type=int, default=2, help="sequences a replica")
    parser.add_argument("--sequence-length", type=int, default=256)
    parser.add_argument("--accumulation", type=int, default=1)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--degrees", nargs="+", type=int, default=[1, 2, 4, 8])
    arguments = parser.parse_args()
    print("| layout | degree | " + " | ".join(role.replace("_", " ") for role in ROLES)
          + " | planned | calls | sent a step |\n| --- " + "| ---: " * (len(ROLES) + 4) + "|")
    for title, pattern in LAYOUTS:
        for degree in arguments.degrees:
            # One rank shards nothing, and groups of 2 begin with 4.
            if degree == 1 and title != "data" or "shard_degree" in pattern and degree < 4:
                continue
            result = estimate(arguments, pattern.format(n=degree))
            if result is None:
                continue
            sizes = [result["bytes"][role] for role in ROLES] + [result["planned_bytes"]]
            sent = sum(exchange["sent_bytes"] for exchange in result["communication"])
            calls = sum(exchange["calls"] for exchange in result["communication"])
            print(f"| {title if degree > 1 else 'one rank'} | {degree} | "
                  + " | ".join(f"{size / 2**20:.1f}" for size in sizes)
                  + f" | {calls} | {sent / 2**20:.1f} |")


if __name__ == "__main__":
    main()
