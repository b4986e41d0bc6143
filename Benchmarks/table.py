#!/usr/bin/env python3
"""Measures every job of the comparison in one run: whole steps in fp32 and bf16, attention, peak memory.

Each line is measured as `compare.py` does it: Apus and PyTorch take turns, ratios are medians over rounds.
PyTorch's best setting is searched once, on the first job, and used for all.
"""

import argparse
import json
import os
import statistics
import sys
import types

import compare
import search

# model, micro-batch, sequence length, precision, recomputation of Apus
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
    ("gpt2-124m", 4, 256, "fp32", "none"),
    ("gpt2-124m", 4, 256, "fp32", "selective"),
    ("gpt2-124m", 4, 256, "bf16", "selective"),
    ("gpt2-124m", 8, 1024, "bf16", "selective"),
]
ATTENTION = [(length, precision) for precision in ("fp32", "bf16") for length in (1024, 4096)]


def job(line, arguments, **changes):
    model, micro_batch, length, precision, recomputation = line
    return types.SimpleNamespace(**dict(
        model=model, micro_batch=micro_batch, sequence_length=length, precision=precision,
        recomputation=recomputation, gradient_precision="fp32", steps=arguments.steps,
        rounds=arguments.rounds, threads=arguments.threads, surroundings=arguments.surroundings,
        products="own", programs=arguments.programs) | changes)


def name(line):
    model, micro_batch, length, precision, recomputation = line
    return f"{model} ({micro_batch}, {length}) {precision}" + (
        f", recomputation {recomputation}" if recomputation != "none" else "")


def is_wanted(name, arguments):
    return any(text in name for text in arguments.only)


def median_ratio(rounds, program, value):
    """Median over the rounds of Apus's value over the other program's."""
    return statistics.median(value(r["apus"]) / value(r[program]) for r in rounds)


def attention(arguments, threads):
    """PyTorch's fused attention and Apus's, forward and backward, taking turns."""
    lines = []
    for length, precision in ATTENTION:
        if not is_wanted(f"attention {precision}, {length}", arguments):
            continue
        results = []
        for _ in range(arguments.rounds):
            shape = ["--sequence-length", length, "--precision", precision, "--threads", threads]
            torch = compare.run_json([sys.executable, compare.HERE / "attention.py", *shape])
            apus = compare.run_json([compare.APUS, "bench", "attention", *shape, "--json"])
            results.append(dict(apus=apus, torch=torch))

        def ratio(key):
            return statistics.median(r["torch"][key] / r["apus"][key] for r in results)

        def rates(program):
            return [statistics.median(r[program][key] for r in results) / 1e9
                    for key in ("forward_flops_per_second", "forward_backward_flops_per_second")]

        (apus, apus_both), (torch, torch_both) = rates("apus"), rates("torch")
        forward, both = ratio("forward_seconds"), ratio("forward_backward_seconds")
        print(f"attention {precision}, {length:>5} tokens: forward {apus:.1f} and {torch:.1f} GFLOP/s, "
              f"{forward:.2f} x; forward and backward {apus_both:.1f} and {torch_both:.1f}, {both:.2f} x",
              flush=True)
        lines.append(dict(
            length=length, precision=precision, forward_ratio=forward, forward_backward_ratio=both,
            rounds=results))
    return lines


def steps(arguments, settings):
    """Whole steps; returns each line with its words and numbers."""
    summary = []
    for line in STEPS:
        if not is_wanted(name(line), arguments):
            continue
        rounds = compare.compare(job(line, arguments), settings)
        apus = [r["apus"] for r in rounds]
        speed = statistics.median(a["tokens_per_second"] for a in apus)
        share = statistics.median(a["share_of_peak"] for a in apus)
        text = f"{speed:.0f} tokens/s, {100 * share:.1f} % of {apus[0]['measured_peak_of']}"
        for program in arguments.programs:
            if program != "apus":
                ratio = median_ratio(rounds, program, lambda r: r["tokens_per_second"])
                text += f"; {ratio:.2f} x {program}"
        if "eager" in arguments.programs:
            memory = median_ratio(rounds, "eager", lambda r: r["peak_resident_bytes"])
            text += f", {memory:.2f} x its memory"
        summary.append(dict(job=list(line), name=name(line), result=text, rounds=rounds))
    return summary


def memory(arguments, settings):
    """Peak resident memory of Apus and of eager, whose bf16 products are made in blocks.

    Surroundings that make PyTorch faster by keeping memory are left out.
    """
    settings = {program: dict(setting, surroundings="default") for program, setting in settings.items()}
    summary = []
    for line in MEMORY:
        if not is_wanted(name(line), arguments):
            continue
        rounds = compare.compare(
            job(line, arguments, steps=1, rounds=1, programs=["apus", "eager"],
                products="blocks" if line[3] == "bf16" else "own"), settings)
        ratio = median_ratio(rounds, "eager", lambda r: r["peak_resident_bytes"])
        sizes = [rounds[0][program]["peak_resident_bytes"] / 2**20 for program in ("apus", "eager")]
        summary.append(dict(
            job=list(line), name=name(line), rounds=rounds,
            result=f"{sizes[0]:.0f} MiB, {ratio:.2f} x eager's {sizes[1]:.0f} MiB"))
    return summary


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=7, help="timed steps of a measurement, after warm-up")
    parser.add_argument("--rounds", type=int, default=3, help="how often the programs take turns")
    parser.add_argument("--threads", type=int, help="PyTorch's threads; without it, search the best setting")
    parser.add_argument("--surroundings", choices=search.SURROUNDINGS, default="default",
                        help="of PyTorch's processes, with --threads")
    parser.add_argument("--parts", nargs="+", choices=["attention", "steps", "memory"],
                        default=["attention", "steps", "memory"])
    parser.add_argument("--only", nargs="+", metavar="TEXT", default=[""],
                        help="lines whose name holds one of these, as in 'llama-110m (4, 256) bf16'")
    parser.add_argument("--programs", nargs="+", choices=compare.PROGRAMS, default=compare.PROGRAMS,
                        help="of the steps; Apus is always one")
    arguments = parser.parse_args()
    arguments.programs = [p for p in compare.PROGRAMS if p == "apus" or p in arguments.programs]
    return arguments


def main():
    arguments = parse_arguments()
    described = compare.machine()
    threads = arguments.threads or search.thread_counts(described["processors"])[0]
    report = dict(command=sys.argv, machine=described)
    # Of all programs, because the memory of eager is measured whichever steps are.
    settings = compare.settings_for(
        job(STEPS[0], arguments, programs=sorted({*arguments.programs, "eager"})), described["processors"])
    report["settings"] = settings
    if "attention" in arguments.parts:
        report["attention"] = attention(arguments, threads)
    if "steps" in arguments.parts:
        report["steps"] = steps(arguments, settings)
    if "memory" in arguments.parts:
        report["memory"] = memory(arguments, settings)
    print()
    for line in report.get("steps", []) + report.get("memory", []):
        print(f"{line['name']}: {line['result']}")
    folder = compare.HERE / "results"
    folder.mkdir(exist_ok=True)
    path = folder / f"table-{described['date'].replace(':', '')}.json"
    path.write_text(json.dumps(report, indent=1) + "\n")
    print(f"\nwritten to {path.relative_to(compare.HERE.parent)}; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
