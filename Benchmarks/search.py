"""Finds PyTorch's best setting on this machine: the number of threads, then what surrounds the process."""

# Environments to try with the best number of threads. Large tensors are freed and mapped anew in every step;
# keeping the memory, or mapping huge pages, saves page faults.
SURROUNDINGS = {
    "default": {},
    "pinned threads": {"OMP_PROC_BIND": "close", "OMP_PLACES": "cores"},
    "kept memory": {"MALLOC_MMAP_THRESHOLD_": str(1 << 36), "MALLOC_TRIM_THRESHOLD_": str(1 << 36)},
    "huge pages": {"THP_MEM_ALLOC_ENABLE": "1"},
}


def thread_counts(available):
    """All counts of a small machine; halves of a large one."""
    if available <= 4:
        return list(range(available, 0, -1))
    return [count for count in (available >> shift for shift in range(available.bit_length())) if count > 0]


def best_setting(program, available, measure):
    """Returns (threads, name of the surroundings, all trials) of the fastest trial.

    `measure(program, threads, surroundings)` runs one process and returns its JSON object.
    """
    trials = []

    def attempt(threads, name):
        result = measure(program, threads, SURROUNDINGS[name])
        trials.append(dict(
            threads=threads, surroundings=name, step_seconds=result["step_seconds"],
            peak_resident_bytes=result["peak_resident_bytes"]))
        print(f"  trial {program}, {threads} threads, {name}: {result['step_seconds']:.3f} s a step",
              flush=True)

    for threads in thread_counts(available):
        attempt(threads, "default")
    threads = min(trials, key=lambda trial: trial["step_seconds"])["threads"]
    for name in SURROUNDINGS:
        if name != "default":
            attempt(threads, name)
    best = min(trials, key=lambda trial: trial["step_seconds"])
    return best["threads"], best["surroundings"], trials
