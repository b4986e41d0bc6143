#!/usr/bin/env python3
"""Times whole training steps of PyTorch on ranks that are processes joined by gloo, and prints one JSON object.

    python train_ranks.py --program ddp --ranks 2              starts the ranks and waits for them
    python train_ranks.py --program fully-shard --set wrap=block --set reshard=no --set compile=no

A step is what `train_step.py` times: token ids to tensors, forward, loss, backward, clipping by the norm over
all ranks, fused AdamW, zeroing the gradients, reading the loss. All ranks begin a step together; its time is
the slowest rank's. `--set` chooses among a program's settings (see SETTINGS); `parallel.py` tries them.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time

WARM_UP_STEPS = 2

# What can be set for each program, the default first.
SETTINGS = {
    "ddp": dict(bucket_mib=["25", "100", "1000"], view=["yes", "no"], static=["yes", "no"],
                hook=["none", "bf16"], compile=["no", "yes"]),
    "fully-shard": dict(wrap=["block", "model"], reshard=["yes", "no"], reduce=["fp32", "bf16"],
                        compile=["no", "yes"]),
}


def settings_of(program, given):
    """All settings of a program, defaults filled in; unknown names or values end the process."""
    known = SETTINGS[program]
    chosen = {name: values[0] for name, values in known.items()}
    for pair in given:
        name, _, value = pair.partition("=")
        if value not in known.get(name, []):
            sys.exit(f"{program} has no setting {pair}; it has "
                     + "; ".join(f"{name}={'|'.join(values)}" for name, values in known.items()))
        chosen[name] = value
    return chosen


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start_ranks(arguments):
    """Runs this script once a rank and prints what the first one prints."""
    port = str(free_port())
    ranks = []
    for rank in range(arguments.ranks):
        ranks.append(subprocess.Popen(
            [sys.executable, *sys.argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "RANK": str(rank), "WORLD_SIZE": str(arguments.ranks),
                 "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "GLOO_SOCKET_IFNAME": "lo"}))
    outputs = [rank.communicate() for rank in ranks]
    for number, (rank, (_, errors)) in enumerate(zip(ranks, outputs)):
        if rank.returncode != 0:
            sys.exit(f"rank {number} ended with {rank.returncode}:\n{errors}")
    print(outputs[0][0], end="")


def distributed(model, arguments, settings):
    """The model as the program trains it, and the context in which its forward runs."""
    import contextlib

    import torch
    from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    bf16 = arguments.precision == "bf16"
    if arguments.program == "ddp":
        if settings["compile"] == "yes":
            model.compile()
        wrapped = torch.nn.parallel.DistributedDataParallel(
            model, bucket_cap_mb=int(settings["bucket_mib"]), broadcast_buffers=False,
            gradient_as_bucket_view=settings["view"] == "yes", static_graph=settings["static"] == "yes")
        if settings["hook"] == "bf16":
            wrapped.register_comm_hook(None, default_hooks.bf16_compress_hook)
        return wrapped, lambda: torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16)
    types = dict(fp32=torch.float32, bf16=torch.bfloat16)
    policy = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16, reduce_dtype=types[settings["reduce"]]) if bf16 else MixedPrecisionPolicy()
    reshard = settings["reshard"] == "yes"
    if settings["wrap"] == "block":
        for block in model.blocks:
            if settings["compile"] == "yes":
                block.compile()
            fully_shard(block, mp_policy=policy, reshard_after_forward=reshard)
    fully_shard(model, mp_policy=policy, reshard_after_forward=reshard)
    return model, contextlib.nullcontext


def measure(arguments, settings):
    import torch
    import torch.distributed as ranks

    import models
    import train_step

    torch.set_num_threads(1)
    ranks.init_process_group("gloo")
    rank, count = ranks.get_rank(), ranks.get_world_size()
    torch.manual_seed(1)
    configuration = models.CONFIGURATIONS[arguments.model]
    model, surroundings = distributed(models.LanguageModel(**configuration), arguments, settings)
    parameters = list(model.parameters())
    optimizer = train_step.optimizer_for(model)
    steps = WARM_UP_STEPS + arguments.steps
    data = train_step.batches(
        configuration["vocabulary"], arguments.micro_batch, arguments.sequence_length, steps * count)
    seconds, losses = [], []
    for _ in range(steps):
        ranks.barrier()
        start = time.perf_counter()
        inputs, targets = [next(data) for _ in range(count)][rank]
        with surroundings():
            loss = model(inputs, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        slowest = torch.tensor([time.perf_counter() - start])
        ranks.all_reduce(slowest, ranks.ReduceOp.MAX)
        seconds.append(slowest.item())
    median = statistics.median(seconds[WARM_UP_STEPS:])
    peak = torch.tensor([train_step.peak_resident_bytes()])
    ranks.all_reduce(peak, ranks.ReduceOp.MAX)
    ranks.destroy_process_group()
    if rank == 0:
        print(json.dumps(dict(
            tokens_per_second=count * arguments.micro_batch * arguments.sequence_length / median,
            step_seconds=median, all_step_seconds=seconds, peak_resident_bytes=peak.item(),
            first_loss=losses[0], last_loss=losses[-1], ranks=count, settings=settings,
            torch=torch.__version__)))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="gpt2-124m")
    parser.add_argument("--program", choices=SETTINGS, default="ddp")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--micro-batch", type=int, default=2, help="sequences a rank")
    parser.add_argument("--sequence-length", type=int, default=256)
    parser.add_argument("--steps", type=int, default=5, help="timed steps, after two to warm up")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    arguments = parser.parse_args()
    settings = settings_of(arguments.program, arguments.set)
    if "RANK" in os.environ:
        measure(arguments, settings)
    else:
        start_ranks(arguments)


if __name__ == "__main__":
    main()
