#!/usr/bin/env python3
"""Measures every job of the comparison in one run: whole steps in fp32 and bf16, attention, peak memory.

Each line is measured as `compare.py` does it: Apus and PyTorch take turns, ratios are medians over rounds.
"""

import argparse
import json
import os
import statistics
import sys
import types

import compare
import search

# name, model, micro-batch, sequence length, precision, recomputation of Apus
STEPS = [
    ("gpt2-124m", 4, 256, "fp32", "none"),
    ("gpt2-124m", 1, 1024, "fp32", "none"),
    ("llama-110m", 4, 256, "fp32", "none"),
    ("gpt2-124m", 4, 256, "bf16", "none"),
    ("gpt2-124m", 1, 1024, "bf16", "none"),
    ("llama-110m", 4, 256, "bf16", "none"),
]
# Peak resident memory: what activations and logits take.
MEMORY = [
    ("gpt2-124m", 4, 256, "bf16", "selective"),
    ("gpt2-124m", 8, 1024, "bf16", "selective"),
]
ATTENTION = [(length, precision) for precision in ("fp32", "bf16") for length in (1024, 4096)]


def job(line, arguments, steps, rounds, programs):
    model, micro_batch, length, precision, recomputation = line
    return types.SimpleNamespace(
        model=model, micro_batch=micro_batch, sequence_length=length, precision=precision,
        recomputation=recomputation, gradient_precision="fp32", steps=steps, rounds=rounds,
        threads=arguments.threads, programs=programs)


def median_ratio(rounds, program, value):
    """Median over the rounds of Apus's value over the other program's."""
    return statistics.median(value(r["apus"]) / value(r[program]) for r in rounds)


def attention(arguments, threads):
    """PyTorch's fused attention and Apus's, forward and backward, taking turns."""
    lines = []
    for length, precision in ATTENTION:
        ratios, results = [], []
        for _ in range(arguments.rounds):
            torch = compare.run_json([
                sys.executable, compare.HERE / "attention.py", "--sequence-length", length, "--precision",
                precision, "--threads", threads])
            apus = compare.run_json([
                compare.APUS, "bench", "attention", "--sequence-length", length, "--precision", precision,
                "--threads", threads, "--json"])
            results.append(dict(apus=apus, torch=torch))
            ratios.append(torch["forward_backward_seconds"] / apus["forward_backward_seconds"])
        print(f"attention {precision}, {length:>5} tokens: "
              f"Apus {statistics.median(r['apus']['forward_backward_flops_per_second'] for r in results) / 1e9:.1f} "
              f"GFLOP/s, PyTorch "
              f"{statistics.median(r['torch']['forward_backward_flops_per_second'] for r in results) / 1e9:.1f}, "
              f"{statistics.median(ratios):.2f} x", flush=True)
        lines.append(dict(length=length, precision=precision, rounds=results))
    return lines


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=7, help="timed steps of a measurement, after warm-up")
    parser.add_argument("--rounds", type=int, default=3, help="how often the programs take turns")
    parser.add_argument("--threads", type=int, help="PyTorch's threads; without it, search the best setting")
    parser.add_argument("--parts", nargs="+", choices=["attention", "steps", "memory"],
                        default=["attention", "steps", "memory"])
    arguments = parser.parse_args()
    described = compare.machine()
    threads = arguments.threads or search.thread_counts(described["processors"])[0]
    report = dict(command=sys.argv, machine=described)
    if "attention" in arguments.parts:
        report["attention"] = attention(arguments, threads)
    summary = []
    if "steps" in arguments.parts:
        for line in STEPS:
            rounds = compare.compare(job(line, arguments, arguments.steps, arguments.rounds, compare.PROGRAMS))
            speed = {program: median_ratio(rounds, program, lambda r: r["tokens_per_second"])
                     for program in ("eager", "compiled")}
            memory = median_ratio(rounds, "eager", lambda r: r["peak_resident_bytes"])
            summary.append((line, f"{speed['eager']:.2f} x eager, {speed['compiled']:.2f} x compiled, "
                                  f"{memory:.2f} x its memory"))
    if "memory" in arguments.parts:
        for line in MEMORY:
            rounds = compare.compare(job(line, arguments, 2, 1, ["apus", "eager"]))
            memory = median_ratio(rounds, "eager", lambda r: r["peak_resident_bytes"])
            summary.append((line, f"{memory:.2f} x the memory of eager"))
    print()
    for (model, micro_batch, length, precision, recomputation), text in summary:
        print(f"{model} ({micro_batch}, {length}) {precision}, recomputation {recomputation}: {text}")
    report["summary"] = [dict(job=list(line), result=text) for line, text in summary]
    folder = compare.HERE / "results"
    folder.mkdir(exist_ok=True)
    path = folder / f"table-{described['date'].replace(':', '')}.json"
    path.write_text(json.dumps(report, indent=1) + "\n")
    print(f"\nwritten to {path.relative_to(compare.HERE.parent)}; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
