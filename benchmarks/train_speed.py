"""How fast rankwise trains, beside TRL with PEFT and beside the bare matrix products: writes docs/evidence/speed.md.

    python benchmarks/train_speed.py [--case NAME ...] [--data DIR] [--rounds N] [--steps N] [--json]
    python benchmarks/train_speed.py --growth

Both sides train the same rows, as the same ids, in file order: 16 rows a step, r=16, alpha=32, all linear layers,
AdamW at 2e-4 with linear decay, the same first A. They take turns, each in a process of its own: peer float32, ours
float32, peer bfloat16, ours bfloat16, and again. All cases take at most 45 minutes on 2 cores; --growth about 5. What
is measured is kept under .cache/benchmarks: a run that was killed goes on, --fresh begins anew. The page is written
when all cases ran, or where --out says so.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from speed_cases import CASES, Case, conversations, missing
from speed_cells import HERE, Cell, Cells, find_peer, micro_batch
from speed_page import write_growth, write_speed
from speed_summary import DTYPES, summarize

from rankwise.data.read import read_table
from rankwise.data.render import Renderer
from rankwise.facts import fetch_base, locate_base

ROWS = 16
PEER_TOKENS = 4096
"""Most padded tokens of one forward pass of the peer: its logits and activations of these fit into 24 GB."""
GROWTH_ROWS, GROWTH_RANKS, GROWTH_STEPS = (4, 16, 64), (4, 16, 64, 256), 3
GROWTH_CASE = "a"
OUT = Path("docs/evidence")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=list(CASES), action="append")
    parser.add_argument("--growth", action="store_true", help="our side alone, over rows a step and over ranks")
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--rounds", type=int, help="default: as many as the case's time allows, 1 or 2")
    parser.add_argument("--steps", type=int, help="default: as many as the case's time allows, 2 or 3")
    parser.add_argument("--rows", type=int, default=ROWS, help="of one step")
    parser.add_argument("--ours-only", action="store_true")
    parser.add_argument("--peer", metavar="PYTHON", help="default: this one, else .cache/peer, whichever has trl")
    parser.add_argument("--work", type=Path, default=HERE.parent / ".cache" / "benchmarks")
    parser.add_argument("--out", type=Path, help="folder of the page and its plots")
    parser.add_argument("--fresh", action="store_true", help="measure again what was measured before")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    began = time.perf_counter()
    base = fetch_base(locate_base(options.model, Path.cwd()))
    peer, reason = (None, "--ours-only") if options.ours_only or options.growth else find_peer(options.peer)
    cells = Cells(options.work.absolute(), base, peer, options.fresh)
    answer: dict[str, Any] = {"rows": options.rows, "peer": reason or peer, "cases": {}, "skipped": {}}
    if options.growth:
        answer["growth"] = grow(options, base, cells)
    else:
        for name in options.case or CASES:
            why = missing(CASES[name], options.data)
            if why is not None:
                answer["skipped"][name] = why
                print(f"{name}: skipped: {why}", file=sys.stderr)
                continue
            answer["cases"][name] = run_case(name, options, base, cells, peer is not None)
            if not options.json:
                show(name, answer["cases"][name])
    answer["seconds"] = round(time.perf_counter() - began)
    if reason and not options.growth:
        print(f"the peer was left out: {reason}", file=sys.stderr)
    command = repeatable(options)
    out = options.out or (OUT if options.case is None else None)
    if out is not None:
        (write_growth if options.growth else write_speed)(out, answer, command)
    if options.json:
        print(json.dumps(answer, indent=1))


def repeatable(options: argparse.Namespace) -> str:
    """The command as another would give it: what decides the figures, and no folder of this machine."""
    words = ["python benchmarks/train_speed.py", *(["--growth"] if options.growth else [])]
    words += [f"--case {name}" for name in options.case or []]
    words += [f"--{name} {value}" for name in ("rounds", "steps") if (value := getattr(options, name)) is not None]
    words += [f"--rows {options.rows}"] if options.rows != ROWS else []
    return " ".join([*words, *(["--ours-only"] if options.ours_only else [])])


def run_case(name: str, options: argparse.Namespace, base: Path, cells: Cells, with_peer: bool) -> dict[str, Any]:
    """All cells of one case, in turn; the rows' ids are the peer's, held against our own rendering."""
    case, rows = CASES[name], options.rows
    rounds, steps = options.rounds or case.rounds, options.steps or case.steps
    asked, rendered, ids = lay_out(name, case, options, base, cells, rows * steps, with_peer)
    longest = max(len(row) for row, _ in json.loads(rendered.read_text(encoding="utf-8")))
    batch = micro_batch(rows, longest, PEER_TOKENS)
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for number in range(rounds):
        for dtype in DTYPES:
            for side in ("peer", "ours", "bound"):
                if side == "peer" and not with_peer:
                    continue
                cell = Cell(
                    *(name, side, dtype, number, steps, rows),
                    batch=batch if side == "peer" else 0,
                    quantization="none" if side == "bound" else case.quantization,
                )
                result = cells.run(cell, asked if side == "peer" else rendered)
                if result.get("digest", ids["digest"]) != ids["digest"]:
                    sys.exit(f"{name}: the peer trained on other ids than it had shown; nothing can be compared")
                found.setdefault((side, dtype), []).append(result)
    shape = {"title": case.title, "rounds": rounds, "steps": steps, "rows": rows, "longest_row": longest}
    peer = None
    if with_peer:
        versions = found[("peer", "float32")][0]["versions"]
        peer = {"batch": batch, "accumulate": rows // batch, "versions": versions}
    return {**shape, "ids": ids, "peer": peer, **summarize(found, rows)}


def lay_out(
    name: str, case: Case, options: argparse.Namespace, base: Path, cells: Cells, count: int, with_peer: bool
) -> tuple[Path, Path, dict[str, Any]]:
    """The case's rows as conversations and as ids with a loss mask, and how the two renderings compare."""
    asked = options.work.absolute() / f"{name}-{count}.jsonl"
    rows = conversations(case, options.data, count)
    asked.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    renderer = Renderer(base)
    own = [renderer.render(row) for row in read_table(asked).rows]
    mine = [[list(row.ids), [int(on) for on in row.supervised]] for row in own]
    told: dict[str, Any] = {"rows": count, "digest": None, "same": None, "added": 0}
    shown = mine
    if with_peer:
        made = cells.run(Cell(name, "render", "float32", 0, 0, count), asked)
        shown, told["digest"] = made["rows"], made["digest"]
        same = [a[: len(b)] == b and on[: len(b)] == o for (a, on), (b, o) in zip(shown, mine, strict=True)]
        told["same"] = sum(same)
        told["added"] = max(len(a) - len(b) for (a, _), (b, _) in zip(shown, mine, strict=True))
        if not all(same):
            print(f"{name}: {same.count(False)} rows are other ids to the peer than to us", file=sys.stderr)
    rendered = asked.with_suffix(".json")
    rendered.write_text(json.dumps(shown), encoding="utf-8")
    return asked, rendered, told


def grow(options: argparse.Namespace, base: Path, cells: Cells) -> list[dict[str, Any]]:
    """Speed and memory of our side over rows a step at r=16, and over ranks at 16 rows."""
    steps = options.steps or GROWTH_STEPS
    most = max(GROWTH_ROWS) * steps
    _, rendered, _ = lay_out(GROWTH_CASE, CASES[GROWTH_CASE], options, base, cells, most, with_peer=False)
    points = [("rows", rows, ROWS) for rows in GROWTH_ROWS] + [("rank", ROWS, r) for r in GROWTH_RANKS]
    grown = []
    for series, rows, r in points:
        for dtype in DTYPES:
            results = [
                cells.run(Cell(GROWTH_CASE, "ours", dtype, number, steps, rows, r), rendered)
                for number in range(options.rounds or 1)
            ]
            summary = summarize({("ours", dtype): results}, rows)["sides"][f"ours {dtype}"]
            grown.append({"series": series, "dtype": dtype, "rows": rows, "r": r, **summary})
            if not options.json:
                size = summary["peak_memory_bytes"] / 1e9
                print(
                    f"{rows} rows, r={r}, {dtype}: {summary['rows_per_second']:.2f} rows/s, {size:.2f} GB", flush=True
                )
    return grown


def show(name: str, found: dict[str, Any]) -> None:
    print(f"\n{name}: {found['title']}; {found['rounds']} x {found['steps']} steps of {found['rows']} rows")
    for side, s in found["sides"].items():
        spread = f"{s['rows_per_second_low']:.2f} to {s['rows_per_second_high']:.2f}"
        print(
            f"  {side:14} {s['rows_per_second']:7.2f} rows/s ({spread}) {s['tokens_per_second']:7.0f} tokens/s "
            f"{s['peak_memory_bytes'] / 1e9:6.2f} GB  losses {', '.join(f'{loss:.4f}' for loss in s['losses'])}"
        )
    for dtype, fraction in found["fraction_of_bound"].items():
        bound = found["bound"][dtype]
        print(f"  {dtype}: {fraction:.0%} of the bare products' {bound['rows_per_second']:.2f} rows/s")
    for dtype, apart in found["loss"].items():
        ratio = found["memory_ratio"][dtype]
        print(f"  {dtype}: losses {apart['mean']:.1e} apart on the mean; memory {ratio:.2f} of the peer's")
    if found["ratio"] is not None:
        print(f"  ours / the faster peer: {found['ratio']:.2f}", flush=True)


if __name__ == "__main__":
    main()
