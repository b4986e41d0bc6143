#!/usr/bin/env python3
"""Measures training on two ranks of one thread: Apus against PyTorch on gloo, and against itself on one rank.

PyTorch is DistributedDataParallel and FSDP2's `fully_shard`, each at the best of the settings that are tried
first. Apus is data parallelism (overlapped sums of buckets) and ZeRO-3, its ranks threads of one process or
processes under mpirun, and one rank on both cores with the same global batch. All take turns for some rounds,
each in processes of its own; ratios are taken within a round. `Benchmarks/parallel` makes the environment,
builds Apus and calls this.
"""

import argparse
import json
import os
import statistics
import sys

import compare
import models
import search
import train_ranks

RANKS = 2
MPIRUN = ["mpirun", "-n", RANKS, "--bind-to", "none", "--oversubscribe", "--mca", "mpi_yield_when_idle", "1",
          "-x", "OMP_WAIT_POLICY=passive"] + (["--allow-run-as-root"] if os.getuid() == 0 else [])
APUS = {
    "data, threads": ("{data: 2}", []),
    "data, mpi": ("{data: 2}", MPIRUN),
    "zero-3, threads": ("{data: 2, zero_stage: 3}", []),
    "zero-3, mpi": ("{data: 2, zero_stage: 3}", MPIRUN),
    "one rank": (None, []),
}
# What each program of Apus is compared with.
RIVALS = {"data, threads": "ddp", "data, mpi": "ddp",
          "zero-3, threads": "fully-shard", "zero-3, mpi": "fully-shard"}
PYTORCH = list(train_ranks.SETTINGS)


def shape(arguments, micro_batch):
    return ["--model", arguments.model, "--micro-batch", micro_batch, "--sequence-length",
            arguments.sequence_length, "--precision", arguments.precision]


def measure_apus(arguments, name):
    layout, launcher = APUS[name]
    micro_batch = arguments.micro_batch * (1 if layout else RANKS)
    return compare.run_json([
        *launcher, compare.APUS, "bench", "train", *shape(arguments, micro_batch), "--steps", arguments.steps,
        "--threads", 1 if layout else RANKS, *(["--layout", layout] if layout else []), "--json"])


def measure_pytorch(arguments, program, setting, steps):
    return compare.run_json([
        sys.executable, compare.HERE / "train_ranks.py", "--program", program, "--ranks", RANKS,
        *shape(arguments, arguments.micro_batch), "--steps", steps,
        *[word for pair in setting["choices"].items() for word in ("--set", "=".join(pair))]],
        search.SURROUNDINGS[setting["surroundings"]])


def best_setting(arguments, program):
    """The fastest of the program's settings: each is changed in turn and kept where it helps."""
    trials = []

    def seconds(setting):
        result = measure_pytorch(arguments, program, setting, arguments.trial_steps)
        trials.append(dict(setting, step_seconds=result["step_seconds"]))
        chosen = ", ".join("=".join(pair) for pair in setting["choices"].items()) or "defaults"
        print(f"  trial {program}: {result['step_seconds']:.3f} s a step: {chosen}, {setting['surroundings']}",
              flush=True)
        return result["step_seconds"]

    best = dict(choices={}, surroundings="default")
    shortest = seconds(best)
    changes = [dict(choices={name: value}) for name, values in train_ranks.SETTINGS[program].items()
               for value in values[1:] if value != "bf16" or arguments.precision == "bf16"]
    changes += [dict(surroundings=name) for name in search.SURROUNDINGS if name != "default"]
    for change in changes:
        setting = dict(best, **change)
        setting["choices"] = {**best["choices"], **change.get("choices", {})}
        needed = seconds(setting)
        if needed < shortest:
            best, shortest = setting, needed
    return dict(best, trials=trials)


def settings_for(arguments):
    """From the file of an earlier run, or tried now."""
    settings = json.loads(open(arguments.settings).read())["settings"] if arguments.settings else {}
    return {program: settings.get(program) or best_setting(arguments, program)
            for program in arguments.programs if program in PYTORCH}


def median_ratio(rounds, program, rival):
    """Median over the rounds of one program's speed over another's; None where one was not measured."""
    if any(program not in r or rival not in r for r in rounds):
        return None
    return statistics.median(r[program]["tokens_per_second"] / r[rival]["tokens_per_second"] for r in rounds)


def bound(rounds, program):
    """Median of the speed of a rank that computed at the machine's measured peak throughout, over `program`'s."""
    if any("one rank" not in r or program not in r for r in rounds):
        return None
    return statistics.median(
        r["one rank"]["tokens_per_second"] / r["one rank"]["share_of_peak"] / r[program]["tokens_per_second"]
        for r in rounds)


def print_table(arguments, rounds, settings):
    def text(ratio, unit="x"):
        return "" if ratio is None else f"{100 * ratio:.1f} %" if unit == "%" else f"{ratio:.2f} x"

    print(f"\n{'program':<16} {'tokens/s':>9} {'lowest':>8} {'highest':>8} {'s/step':>8} {'/ rival':>8} "
          f"{'/ one rank':>10} {'exposed':>8}")
    for program in arguments.programs:
        results = [r[program] for r in rounds]
        speeds = [result["tokens_per_second"] for result in results]
        exposed = [sum(axis["exposed_seconds"] for axis in r.get("communication") or []) for r in results]
        print(f"{program:<16} {statistics.median(speeds):>9.1f} {min(speeds):>8.1f} {max(speeds):>8.1f} "
              f"{statistics.median(r['step_seconds'] for r in results):>8.3f} "
              f"{text(program in RIVALS and median_ratio(rounds, program, RIVALS[program]) or None):>8} "
              f"{text(median_ratio(rounds, program, 'one rank'), '%'):>10} "
              f"{f'{statistics.median(exposed):.3f} s' if program in RIVALS else '':>8}")
    for program, setting in settings.items():
        chosen = ", ".join("=".join(pair) for pair in setting["choices"].items()) or "defaults"
        print(f"{program}: {chosen}; {setting['surroundings']}")
        limit = bound(rounds, program)
        if limit:
            print(f"  computing at the measured float32 peak throughout would be {limit:.2f} x {program}")


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=models.CONFIGURATIONS, default="gpt2-124m")
    parser.add_argument("--micro-batch", type=int, default=2, help="sequences a rank")
    parser.add_argument("--sequence-length", type=int, default=256)
    parser.add_argument("--precisions", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    parser.add_argument("--steps", type=int, default=5, help="timed steps of a measurement, after two")
    parser.add_argument("--trial-steps", type=int, default=1, help="timed steps of a trial of a setting")
    parser.add_argument("--rounds", type=int, default=3, help="how often the programs take turns")
    parser.add_argument("--settings", metavar="FILE",
                        help="results of an earlier run, whose settings of PyTorch are used again")
    parser.add_argument("--programs", nargs="+", choices=[*PYTORCH, *APUS], default=[*PYTORCH, *APUS])
    return parser.parse_args()


def measure(arguments, described):
    """All rounds of one precision; prints the table and writes the results."""
    print(f"\n{arguments.model}, {arguments.precision}, {RANKS} ranks of 1 thread, micro-batch "
          f"{arguments.micro_batch} x {arguments.sequence_length} tokens a rank", flush=True)
    settings = settings_for(arguments)
    rounds = []
    for number in range(1, arguments.rounds + 1):
        results = {}
        for program in arguments.programs:
            load = os.getloadavg()[0]
            result = (measure_pytorch(arguments, program, settings[program], arguments.steps)
                      if program in PYTORCH else measure_apus(arguments, program))
            results[program] = dict(result, load_before=load)
            print(f"  round {number}, {program}: {result['tokens_per_second']:.1f} tokens/s", flush=True)
        rounds.append(results)
    if rounds:
        print_table(arguments, rounds, settings)
    folder = compare.HERE / "results"
    folder.mkdir(exist_ok=True)
    path = folder / f"parallel-{arguments.precision}-{described['date'].replace(':', '')}.json"
    path.write_text(json.dumps(dict(
        command=sys.argv, machine=described, settings=settings, rounds=rounds), indent=1) + "\n")
    print(f"written to {path.relative_to(compare.HERE.parent)}", flush=True)


def main():
    arguments = parse_arguments()
    described = compare.machine()
    print(f"{described['processor']}, {described['processors']} processors, load {os.getloadavg()[0]:.1f}, "
          f"{described['date']}, commit {described['commit'][:12]}", flush=True)
    for precision in arguments.precisions:
        arguments.precision = precision
        measure(arguments, described)


if __name__ == "__main__":
    main()
