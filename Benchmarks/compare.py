#!/usr/bin/env python3
"""Measures Apus, PyTorch eager and PyTorch compiled in turn, several rounds, each in a process of its own.

A machine's speed drifts, so the programs alternate and ratios are taken within a round. `Benchmarks/run`
makes the environment, builds Apus and calls this.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

import models
import search

HERE = pathlib.Path(__file__).resolve().parent
APUS = HERE.parent / ".build" / "release" / "apus"
TRIAL_STEPS = 3
PROGRAMS = ["apus", "eager", "compiled"]


def run_json(command, surroundings=None):
    """Runs a process and returns the JSON object that it prints. Fails with the process's own words."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, cwd=HERE,
        env={**os.environ, **(surroundings or {})})
    start = done.stdout.find("{")
    if done.returncode != 0 or start < 0:
        sys.exit(f"{' '.join(map(str, command))} failed ({done.returncode}):\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout[start:])


def shape(arguments):
    return ["--model", arguments.model, "--micro-batch", arguments.micro_batch,
            "--sequence-length", arguments.sequence_length, "--precision", arguments.precision]


def measure_apus(arguments):
    return run_json([
        APUS, "bench", "train", *shape(arguments), "--recomputation", arguments.recomputation,
        "--gradient-precision", arguments.gradient_precision, "--steps", arguments.steps, "--json"])


def measure_pytorch(arguments, program, threads, surroundings, steps=None):
    return run_json(
        [sys.executable, HERE / "train_step.py", "--program", program, *shape(arguments), "--products",
         arguments.products, "--threads", threads, "--steps", steps or arguments.steps], surroundings)


def settings_for(arguments, available):
    """The number of threads and the surroundings of each PyTorch program."""
    settings = {}
    for program in arguments.programs:
        if program == "apus":
            continue
        if arguments.threads is not None:
            settings[program] = dict(
                threads=arguments.threads, surroundings=arguments.surroundings, trials=[])
            continue
        threads, name, trials = search.best_setting(
            program, available, lambda program, threads, surroundings: measure_pytorch(
                arguments, program, threads, surroundings, TRIAL_STEPS))
        settings[program] = dict(threads=threads, surroundings=name, trials=trials)
    return settings


def machine():
    with open("/proc/cpuinfo") as info:
        names = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=HERE)
    return dict(
        processor=names[0] if names else platform.machine(), processors=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), system=platform.platform(),
        commit=commit.stdout.strip(), python=platform.python_version(),
        date=datetime.datetime.now().isoformat("T", "seconds"))


def print_table(arguments, rounds, settings):
    """One line a program: medians over the rounds, and Apus's speed relative to it within each round."""
    apus = [r["apus"] for r in rounds] if "apus" in arguments.programs else None
    if apus:
        peak = statistics.median(a["measured_peak_flops_per_second"] for a in apus)
        print(f"\npeak: {peak / 1e9:.1f} GFLOP/s, {apus[0]['measured_peak_of']}")
    print(f"{'program':<10} {'tokens/s':>9} {'lowest':>8} {'highest':>8} {'s/step':>8} {'peak MiB':>9} "
          f"{'of peak':>8} {'Apus is':>8}  setting")
    for program in arguments.programs:
        results = [r[program] for r in rounds]
        speeds = [result["tokens_per_second"] for result in results]
        share, ratio = "", ""
        if apus:
            # FLOPs of the model per token, and the machine's peak, both as Apus states them in that round.
            share = statistics.median(
                speed / a["tokens_per_second"]
                * a["model_flops_per_second"] / a["measured_peak_flops_per_second"]
                for speed, a in zip(speeds, apus))
            share = f"{100 * share:.1f} %"
            ratio = statistics.median(a["tokens_per_second"] / speed for speed, a in zip(speeds, apus))
            ratio = f"{ratio:.2f} x"
        setting = settings.get(program)
        setting = f"{setting['threads']} threads, {setting['surroundings']}" if setting else ""
        if program != "apus" and arguments.products == "blocks":
            setting += "; products by block_products.py: its time is not PyTorch's"
        print(f"{program:<10} {statistics.median(speeds):>9.1f} {min(speeds):>8.1f} {max(speeds):>8.1f} "
              f"{statistics.median(r['step_seconds'] for r in results):>8.3f} "
              f"{max(r['peak_resident_bytes'] for r in results) / 2**20:>9.0f} "
              f"{share:>8} {ratio:>8}  {setting}".rstrip())


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=models.CONFIGURATIONS, default="gpt2-124m")
    parser.add_argument("--micro-batch", type=int, default=4)
    parser.add_argument("--sequence-length", type=int, default=256)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--recomputation", choices=["none", "selective", "full"], default="none",
                        help="of Apus; PyTorch keeps what autograd saves")
    parser.add_argument("--gradient-precision", choices=["fp32", "bf16"], default="fp32",
                        help="of Apus's sums of gradients")
    parser.add_argument("--steps", type=int, default=10, help="timed steps of a measurement, after warm-up")
    parser.add_argument("--rounds", type=int, default=3, help="how often the programs take turns")
    parser.add_argument("--threads", type=int, help="PyTorch's threads; without it, search the best setting")
    parser.add_argument("--surroundings", choices=search.SURROUNDINGS, default="default",
                        help="of PyTorch's processes, with --threads")
    parser.add_argument("--products", choices=["own", "blocks"], default="own",
                        help="how PyTorch multiplies bf16: blocks is for memory alone (block_products.py)")
    parser.add_argument(
        "--programs", nargs="+", choices=PROGRAMS, default=PROGRAMS, help="which to measure, in this order")
    return parser.parse_args()


def main():
    compare(parse_arguments())


def compare(arguments, settings=None):
    """Measures one job, writes the results and returns the rounds. `settings`: PyTorch's, where known."""
    described = machine()
    print(f"{arguments.model}, micro-batch {arguments.micro_batch} x {arguments.sequence_length} tokens, "
          f"{arguments.precision}\n{described['processor']}, {described['processors']} processors, "
          f"load {os.getloadavg()[0]:.1f}, {described['date']}, commit {described['commit'][:12]}",
          flush=True)
    settings = settings or settings_for(arguments, described["processors"])
    rounds = []
    for number in range(1, arguments.rounds + 1):
        results = {}
        for program in arguments.programs:
            load = os.getloadavg()[0]
            if program == "apus":
                result = measure_apus(arguments)
            else:
                setting = settings[program]
                surroundings = search.SURROUNDINGS[setting["surroundings"]]
                result = measure_pytorch(arguments, program, setting["threads"], surroundings)
            results[program] = dict(result, load_before=load)
            print(f"  round {number}, {program}: {result['tokens_per_second']:.1f} tokens/s", flush=True)
        rounds.append(results)
    print_table(arguments, rounds, settings)
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    stamp = described["date"].replace(":", "")
    path = folder / f"{arguments.model}-{arguments.precision}-{stamp}.json"
    path.write_text(json.dumps(dict(
        command=sys.argv, machine=described, settings=settings, rounds=rounds), indent=1) + "\n")
    print(f"\nwritten to {path.relative_to(HERE.parent)}", flush=True)
    return rounds


if __name__ == "__main__":
    main()
