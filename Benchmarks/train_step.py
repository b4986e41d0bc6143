#!/usr/bin/env python3
"""Times whole training steps of PyTorch in this process and prints one JSON object.

A step is everything: token ids to tensors, forward, loss, backward, gradient clipping, fused AdamW, zeroing
the gradients, reading the loss. `Benchmarks/run` starts this once per measurement, so that the peak memory is
its own.

    python train_step.py --model gpt2-124m --program compiled --threads 2
"""

import argparse
import contextlib
import json
import statistics
import time

import numpy
import torch

import block_products
import models

WARM_UP_STEPS = 3
# Where steps are so slow that those asked for would take longer than this, warm-up and timing each end once
# they have taken as long, after one step at least.
MOST_SECONDS = 20


def peak_resident_bytes():
    with open("/proc/self/status") as status:
        kilobytes = next(line.split()[1] for line in status if line.startswith("VmHWM"))
    return int(kilobytes) * 1024


def batches(vocabulary, micro_batch, sequence_length, count):
    """Random token ids, cut from one array of 16-bit ids as a token file would be."""
    stream = numpy.random.default_rng(1).integers(
        vocabulary, size=count * micro_batch * (sequence_length + 1), dtype=numpy.uint16)
    for rows in stream.reshape(count, micro_batch, sequence_length + 1):
        ids = torch.from_numpy(rows.astype(numpy.int64))
        yield ids[:, :-1].contiguous(), ids[:, 1:].contiguous()


def optimizer_for(model):
    """Fused AdamW; weight decay on parameters of two dimensions only."""
    parameters = list(model.parameters())
    return torch.optim.AdamW([
        dict(params=[p for p in parameters if p.ndim >= 2], weight_decay=0.1),
        dict(params=[p for p in parameters if p.ndim < 2], weight_decay=0.0),
    ], lr=6e-4, betas=(0.9, 0.95), eps=1e-8, fused=True)


def measure(arguments):
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    configuration = models.CONFIGURATIONS[arguments.model]
    model = models.LanguageModel(**configuration)
    parameters = list(model.parameters())
    optimizer = optimizer_for(model)
    program = torch.compile(model) if arguments.program == "compiled" else model
    bf16 = arguments.precision == "bf16"

    warm_up, seconds, losses = [], [], []
    data = batches(configuration["vocabulary"], arguments.micro_batch, arguments.sequence_length,
                   WARM_UP_STEPS + arguments.steps)

    def step():
        start = time.perf_counter()
        inputs, targets = next(data)
        with block_products.BlockProducts() if arguments.products == "blocks" else contextlib.nullcontext():
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
                loss = program(inputs, targets)
            loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        return time.perf_counter() - start

    for phase, count in (warm_up, WARM_UP_STEPS), (seconds, arguments.steps):
        while len(phase) < count and (not phase or sum(phase) < MOST_SECONDS):
            phase.append(step())
    median = statistics.median(seconds)
    return dict(
        tokens_per_second=arguments.micro_batch * arguments.sequence_length / median, step_seconds=median,
        timed_steps=len(seconds), all_step_seconds=warm_up + seconds,
        peak_resident_bytes=peak_resident_bytes(), first_loss=losses[0], last_loss=losses[-1],
        parameters=sum(p.numel() for p in parameters), threads=torch.get_num_threads(),
        torch=torch.__version__)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=models.CONFIGURATIONS, default="gpt2-124m")
    parser.add_argument("--program", choices=["eager", "compiled"], default="eager")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--micro-batch", type=int, default=4)
    parser.add_argument("--sequence-length", type=int, default=256)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--products", choices=["own", "blocks"], default="own",
                        help="blocks: bf16 products block by block in float32, to measure memory alone")
    parser.add_argument("--threads", type=int, required=True)
    print(json.dumps(measure(parser.parse_args())))


if __name__ == "__main__":
    main()
