#!/usr/bin/env python3
"""Draws traces of `apus bench train --output` as small pictures, all on one scale of time.

    Benchmarks/timeline.py naive.json overlapped.json --output docs/pictures

Each trace becomes an SVG of its name: the step's segments, what the rank computed and where it waited, and the
transfers under way beneath, those that overlap each other in lines of their own.
"""

import argparse
import html
import json
import pathlib

WIDTH, LEFT, TOP, ROW, GAP = 960, 110, 46, 26, 6
COLOURS = {"forward": "#4e79a7", "backward": "#f28e2b", "synchronise": "#b07aa1", "optimizer": "#59a14f",
           "waiting": "#d62728", "transfer": "#76b7b2"}
# Instructions in which a rank exchanges or waits.
WAITS = ("move", "start of move", "wait for move")


def read(path):
    """(segments, instructions, transfers) as lists of (name, kind, start, end), in microseconds."""
    events = json.loads(path.read_text())["traceEvents"]
    rows = {e["tid"]: e["args"]["name"] for e in events if e.get("name") == "thread_name"}
    whole = {"segments": [], "instructions": []}
    for e in events:
        row = rows.get(e.get("tid"))
        if e["ph"] == "X" and row in whole:
            kind = e["name"] if row == "segments" else e["cat"]
            whole[row].append((e["name"], kind, e["ts"], e["ts"] + e["dur"]))
    opened, transfers = {}, []
    for e in events:
        if e["ph"] == "b":
            opened[e["id"]] = e
        elif e["ph"] == "e":
            begin = opened.pop(e["id"])
            transfers.append((f"{e['name']}, {begin['args']['bytes'] / 2**20:.1f} MiB", "transfer",
                              begin["ts"], e["ts"]))
    return whole["segments"], whole["instructions"], sorted(transfers, key=lambda t: t[2])


def is_waiting(name):
    return name in WAITS


def joined(instructions, least):
    """Neighbours of one kind as one stretch; waits shorter than `least` count as work."""
    stretches = []
    for name, segment, start, end in instructions:
        kind = "waiting" if is_waiting(name) and end - start >= least else segment
        if stretches and stretches[-1][1] == kind and start - stretches[-1][3] < least:
            stretches[-1] = (*stretches[-1][:3], end)
        else:
            stretches.append((kind, kind, start, end))
    return stretches


def lanes(transfers):
    """Transfers in as few lines as keep those apart that overlap."""
    lines = []
    for transfer in transfers:
        line = next((line for line in lines if line[-1][3] <= transfer[2]), None)
        if line is None:
            lines.append([transfer])
        else:
            line.append(transfer)
    return lines


def draw(title, trace, longest):
    segments, instructions, transfers = trace
    scale = (WIDTH - LEFT - 10) / longest
    shapes = []

    def bar(row, height, item):
        name, kind, start, end = item
        shapes.append(
            f'<rect x="{LEFT + start * scale:.1f}" y="{row:.0f}" width="{max(0.6, (end - start) * scale):.1f}" '
            f'height="{height}" fill="{COLOURS.get(kind, "#999")}"><title>{html.escape(name)}: '
            f'{(end - start) / 1e3:.1f} ms</title></rect>')

    def label(row, text):
        shapes.append(f'<text x="{LEFT - 8}" y="{row + 16:.0f}" text-anchor="end">{html.escape(text)}</text>')

    y = TOP
    label(y, "step")
    for item in segments:
        bar(y, ROW - 8, item)
        if (item[3] - item[2]) * scale > 60:
            shapes.append(f'<text x="{LEFT + (item[2] + item[3]) / 2 * scale:.1f}" y="{y + 13}" '
                          f'text-anchor="middle" fill="white">{item[0]}</text>')
    y += ROW + GAP
    label(y, "rank")
    for item in joined(instructions, longest / 2000):
        bar(y, ROW - 2, item)
    y += ROW + GAP
    label(y, "transfers")
    lines = lanes(transfers)
    height = max(3, min(10, 90 // max(1, len(lines))))
    for line in lines:
        for item in line:
            bar(y, height - 1, item)
        y += height
    y += GAP
    end = max(item[3] for item in segments)
    ticks = next(t for t in (1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7)
                 if longest / t <= 12)
    tick = 0
    while tick <= longest:
        x = LEFT + tick * scale
        shapes.append(f'<path d="M{x:.1f} {TOP - 4}V{y}" stroke="#ddd" stroke-width="0.5"/>'
                      f'<text x="{x:.1f}" y="{y + 14}" text-anchor="middle" fill="#666">{tick / 1e6:g} s</text>')
        tick += ticks
    legend = "".join(
        f'<rect x="{LEFT + 92 * i}" y="{y + 22}" width="11" height="11" fill="{colour}"/>'
        f'<text x="{LEFT + 92 * i + 16}" y="{y + 32}">{name}</text>'
        for i, (name, colour) in enumerate(COLOURS.items()))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 42}" '
            f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
            f'<text x="{LEFT}" y="20" font-size="14">{html.escape(title)}: {end / 1e6:.3f} s</text>'
            + "".join(shapes) + legend + "</svg>\n")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traces", nargs="+", type=pathlib.Path)
    parser.add_argument("--titles", nargs="+", help="one for each trace, instead of its name")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("."), metavar="DIR")
    arguments = parser.parse_args()
    traces = [read(path) for path in arguments.traces]
    longest = max(item[3] for segments, _, transfers in traces for item in segments + transfers)
    arguments.output.mkdir(parents=True, exist_ok=True)
    titles = arguments.titles or [path.stem for path in arguments.traces]
    for path, title, trace in zip(arguments.traces, titles, traces):
        picture = arguments.output / f"{path.stem}.svg"
        picture.write_text(draw(title, trace, longest))
        print(f"{picture}: {picture.stat().st_size} bytes")


if __name__ == "__main__":
    main()
