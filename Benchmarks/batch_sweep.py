#!/usr/bin/env python3
"""Trains the default job with several batch sizes on the same number of tokens, and draws loss against tokens.

Step 1 of the batch recipe from measurement: every run shuffles the same text the same way; the learning rate grows
with the square root of the batch up to a limit, as Adam's noise suggests. Each run logs its gradient noise scale.

    Benchmarks/batch_sweep.py --corpus corpus/kjv.txt --svg docs/pictures/batch-size.svg
"""

import argparse
import json
import math
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
APUS = HERE.parent / ".build" / "release" / "apus"
SEQUENCE_LENGTH, MICRO_BATCH = 128, 8
BASE_BATCH, BASE_RATE, MOST_RATE = 1024, 2e-3, 8e-3
COLORS = ["#3568d4", "#e2763a", "#2c9c78", "#8b5bd1", "#d0a12a", "#d1506a", "#7b8794"]


def train(batch_tokens, arguments, folder, tokenizer):
    """One run; returns its metrics, a list of records."""
    rate = min(MOST_RATE, BASE_RATE * math.sqrt(batch_tokens / BASE_BATCH))
    steps = arguments.tokens // batch_tokens
    run = folder / f"batch-{batch_tokens}"
    settings = {
        "data.train": f"[{arguments.corpus}]", "training.steps": steps,
        "training.global_batch_tokens": batch_tokens,
        "training.micro_batch_size": min(MICRO_BATCH, batch_tokens // SEQUENCE_LENGTH),
        "training.learning_rate": rate, "training.warmup_steps": max(1, steps // 10),
        "training.validate_every": max(1, steps // 8), "training.validation_tokens": 32768,
        "checkpoint.every": 0, "checkpoint.at_end": "false", "output.folder": run, "output.report": "false",
        "output.sample_prompt": "null", "output.sample_tokens": "null",
    }
    if tokenizer:
        settings["data.tokenizer"] = tokenizer
        settings["data.tokenizer_vocabulary_size"] = "null"
    command = [APUS, "train", HERE.parent / "Configurations" / "llama-tiny.yaml", "--overwrite"]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    last = records[-1]
    noise = next((r["noise_scale_tokens"] for r in reversed(records) if "noise_scale_tokens" in r), None)
    print(f"{batch_tokens:>6} tokens a step: {steps:>4} steps, rate {rate:.1e}, validation loss "
          f"{last['validation_loss']:.3f}, noise scale {noise and round(noise)}, "
          f"{last['tokens_per_second']:.0f} tokens/s", flush=True)
    return records


def draw(runs, path, tokens):
    """Validation loss against tokens, a line a batch size, as an SVG picture."""
    width, height, left, right, top, bottom = 760, 440, 56, 130, 24, 46
    losses = [loss for _, points in runs for _, loss in points]
    low, high = math.floor(min(losses) * 2) / 2, math.ceil(max(losses) * 2) / 2
    x = lambda t: left + (width - left - right) * t / tokens
    y = lambda loss: top + (height - top - bottom) * (high - loss) / (high - low)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="12">', f'<rect width="{width}" height="{height}" fill="#ffffff"/>']
    loss = low
    while loss <= high + 1e-9:
        parts.append(f'<line x1="{left}" x2="{width - right}" y1="{y(loss):.1f}" y2="{y(loss):.1f}" '
                     f'stroke="#e3e6ec"/><text x="{left - 8}" y="{y(loss) + 4:.1f}" text-anchor="end" '
                     f'fill="#66717f">{loss:.1f}</text>')
        loss += 0.5
    for quarter in range(5):
        t = tokens * quarter / 4
        parts.append(f'<text x="{x(t):.1f}" y="{height - bottom + 18}" text-anchor="middle" '
                     f'fill="#66717f">{round(t / 1024)} Ki</text>')
    parts.append(f'<text x="{(left + width - right) / 2:.0f}" y="{height - 8}" text-anchor="middle" '
                 f'fill="#18212f">tokens trained on</text>')
    parts.append(f'<text x="{left}" y="14" fill="#18212f">validation loss, nats a token</text>')
    ends = []
    for (batch, points), color in zip(runs, COLORS):
        line = " ".join(f"{x(t):.1f},{y(loss):.1f}" for t, loss in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [f'<circle cx="{x(t):.1f}" cy="{y(loss):.1f}" r="2.5" fill="{color}"/>' for t, loss in points]
        ends.append([y(points[-1][1]), f"{batch:,} a step", color])
    # Names stand beside the ends, pushed apart where they would touch.
    ends.sort()
    for above, below in zip(ends, ends[1:]):
        below[0] = max(below[0], above[0] + 15)
    parts += [f'<text x="{width - right + 10}" y="{at + 4:.1f}" fill="{color}">{name}</text>'
              for at, name, color in ends]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(parts + ["</svg>"]) + "\n")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=pathlib.Path, required=True)
    parser.add_argument("--tokens", type=int, default=131072, help="of each run")
    parser.add_argument("--batches", type=int, nargs="+", default=[1024, 2048, 4096, 8192, 16384, 32768],
                        help="tokens of a step")
    parser.add_argument("--svg", type=pathlib.Path, required=True)
    parser.add_argument("--keep", type=pathlib.Path, help="folder for the runs; a temporary one by default")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or pathlib.Path(temporary)
        runs, tokenizer = [], None
        for batch in arguments.batches:
            present = folder / f"batch-{batch}" / "metrics.jsonl"
            if arguments.keep and present.exists():
                records = [json.loads(line) for line in present.read_text().splitlines()]
            else:
                records = train(batch, arguments, folder, tokenizer)
            tokenizer = tokenizer or folder / f"batch-{batch}" / "tokenizer.json"
            runs.append((batch, [(r["tokens_seen"], r["validation_loss"]) for r in records
                                 if "validation_loss" in r]))
        draw(runs, arguments.svg, arguments.tokens)
    print(f"drawn: {arguments.svg}")


if __name__ == "__main__":
    main()
