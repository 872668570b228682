"""The speed benchmark's page under docs/evidence, and its plots."""

from __future__ import annotations

import platform
from datetime import date
from pathlib import Path
from typing import Any

import matplotlib
from speed_summary import DTYPES, FEW_STEPS, LOSS_TOLERANCE, NO_LONGER

from rankwise.facts import read_machine

matplotlib.use("svg")
from matplotlib import pyplot as plt

COLOURS = {
    "peer float32": "#9a9a9a",
    "peer bfloat16": "#5f5f5f",
    "ours float32": "#6baed6",
    "ours bfloat16": "#2171b5",
}
GROWTH_HEADING = "## Growth"


def write_speed(out: Path, answer: dict[str, Any], command: str) -> None:
    """speed.md with its plots in the folder `out`; a section on growth that is there already stays."""
    out.mkdir(parents=True, exist_ok=True)
    page, cases = out / "speed.md", answer["cases"]
    _, heading, growth = _read(page).partition(GROWTH_HEADING)
    plot_speed(out / "speed.svg", cases)
    plot_losses(out / "speed-losses.svg", cases)
    parts = [opening(answer, command), summary_table(cases), "![rows a second](speed.svg)"]
    parts += [case_section(name, found) for name, found in cases.items()]
    parts += [f"`{name}` was skipped: {_in_repository(why)}." for name, why in answer["skipped"].items()]
    parts += ["## Losses", losses_text(cases), "![losses](speed-losses.svg)"]
    page.write_text("\n\n".join([*parts, *([heading + growth.rstrip()] if heading else [])]) + "\n", encoding="utf-8")


def write_growth(out: Path, answer: dict[str, Any], command: str) -> None:
    """The section on growth at the end of speed.md, and its plot."""
    out.mkdir(parents=True, exist_ok=True)
    page = out / "speed.md"
    before = _read(page).partition(GROWTH_HEADING)[0].rstrip() or "# Training speed"
    plot_growth(out / "speed-growth.svg", answer["growth"])
    lines = [
        GROWTH_HEADING,
        "",
        f"Made by `{command}`; {where()}. Our side alone, the bundled rows, alpha = 2r; one series over rows a step "
        "at r=16, one over ranks at 16 rows.",
        "",
        "| rows a step | r | dtype | rows/s (slowest to fastest step) | tokens/s | peak memory |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {g['rows']} | {g['r']} | {g['dtype']} | {rate(g)} | {g['tokens_per_second']:.0f} | {gigabytes(g)} |"
        for g in answer["growth"]
    ]
    page.write_text("\n".join([before, "", *lines, "", "![growth](speed-growth.svg)"]) + "\n", encoding="utf-8")


def opening(answer: dict[str, Any], command: str) -> str:
    versions = next((found["peer"]["versions"] for found in answer["cases"].values() if found["peer"]), None)
    peer = (
        "TRL's SFTTrainer with PEFT's LoRA (" + ", ".join(f"{name} {v}" for name, v in versions.items()) + ")"
        if versions
        else f"left out: {_in_repository(answer['peer'])}"
    )
    return f"""# Training speed

Made by `{command}` in {answer["seconds"] / 60:.0f} minutes; {where()}.

The peer: {peer}.

Both sides train on the same ids in file order, {answer["rows"]} rows a step, r=16, alpha=32, all linear layers, AdamW
at 2e-4 with linear decay, no warm-up, clipping at 1, no dropout, the same first A. They take turns, each in a process
of its own. Where {answer["rows"]} padded rows are too much for 24 GB the peer accumulates smaller batches; ours never
needs to. Rates are of the median step; the first step of a process is left out, unless the process had at most
{FEW_STEPS} steps and its first took no more than {NO_LONGER:g} times the median of the others ("first" below: the first
step over the median of the others). Memory is the peak of the process, all of it.

The bound is what the matrix products of one of our steps alone take in the same dtype, on the same threads and in the
same run: projections, adapter and head, forward and backward, over the tokens that our batch computes; without
attention, norms, activations and the optimizer. Ratios are against the faster of the peer's two dtypes."""


def where() -> str:
    machine = read_machine()
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    size = f"{machine.usable_cores} cores, {machine.memory_bytes / 2**30:.0f} GiB"
    return f"{date.today()}; {machine.cpu}, {size}, {platform.system()}; {versions}"


def summary_table(cases: dict[str, Any]) -> str:
    lines = [
        "| case | rows/s of peer, faster dtype | ours, faster dtype | ratio | of the bound | memory, same dtype |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in cases.items():
        best = {
            side: max((s for key, s in found["sides"].items() if key.startswith(side)), key=_speed, default=None)
            for side in ("peer", "ours")
        }
        cells = [
            f"{name}: {found['title']}",
            rate(best["peer"]),
            rate(best["ours"]),
            "-" if found["ratio"] is None else f"{found['ratio']:.2f}",
            by_dtype(found["fraction_of_bound"], "{:.0%}"),
            by_dtype(found["memory_ratio"], "{:.2f}"),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def case_section(name: str, found: dict[str, Any]) -> str:
    ids, peer = found["ids"], found["peer"]
    told = [f"{found['rounds']} x {found['steps']} steps, longest row {found['longest_row']} tokens."]
    if peer:
        told.append(f"Peer: batches of {peer['batch']}, accumulated {peer['accumulate']} times.")
        told.append(
            f"Of {ids['rows']} rows our own rendering gives the peer's ids and mask for {ids['same']}, but for at most "
            f"{ids['added']} tokens after the stop token, which the peer trains on; here both do."
        )
    lines = [
        f"## {name}: {found['title']}",
        "",
        " ".join(told),
        "",
        "| side | rows/s (slowest to fastest step) | tokens/s | steps | first | peak memory | ratio | of the bound |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for side, s in found["sides"].items():
        fraction = found["fraction_of_bound"].get(side.partition(" ")[2]) if side.startswith("ours") else None
        cells = [
            side,
            rate(s),
            f"{s['tokens_per_second']:.0f}",
            str(s["steps_counted"]),
            "-" if s["first_step"] is None else f"{s['first_step']:.2f}",
            gigabytes(s),
            f"{s['ratio']:.2f}" if "ratio" in s else "",
            "" if fraction is None else f"{fraction:.0%}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    for dtype, bound in found["bound"].items():
        lines += [
            "",
            f"Bound in {dtype}: {bound['rows_per_second']:.2f} rows/s ({bound['seconds']:.2f} s for "
            f"{bound['products']} products over {bound['packed_tokens']} tokens, {bound['supervised']} supervised).",
        ]
    return "\n".join(lines)


def losses_text(cases: dict[str, Any]) -> str:
    lines = [
        f"Mean absolute difference of a step's loss between the two sides; in float32 it must stay under "
        f"{LOSS_TOLERANCE:g}.",
        "",
        "| case | dtype | mean difference | most | peer | ours |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in cases.items():
        for dtype, apart in found["loss"].items():
            curves = [
                " ".join(f"{loss:.4f}" for loss in found["sides"][f"{side} {dtype}"]["losses"])
                for side in ("peer", "ours")
            ]
            over = " (over)" if dtype == "float32" and not apart["mean"] < LOSS_TOLERANCE else ""
            cells = [name, dtype, f"{apart['mean']:.1e}{over}", f"{apart['most']:.1e}", *curves]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def plot_speed(file: Path, cases: dict[str, Any]) -> None:
    figure, axes = plt.subplots(1, max(1, len(cases)), figsize=(2.4 * max(1, len(cases)) + 0.6, 3.2), squeeze=False)
    for axis, (name, found) in zip(axes[0], cases.items(), strict=False):
        for place, (side, s) in enumerate(found["sides"].items()):
            speed = _speed(s)
            spread = [[speed - s["rows_per_second_low"]], [s["rows_per_second_high"] - speed]]
            axis.bar(place, speed, color=COLOURS[side], yerr=spread, capsize=2, label=side)
            bound = found["bound"].get(side.partition(" ")[2]) if side.startswith("ours") else None
            if bound:
                height = bound["rows_per_second"]
                axis.hlines(height, place - 0.4, place + 0.4, color="#cb181d", label="bare products")
        axis.set_title(name, fontsize=9)
        axis.set_xticks([])
        axis.set_ylim(bottom=0)
    axes[0][0].set_ylabel("rows/s")
    handles = {label: h for h, label in zip(*axes[0][0].get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="lower center", ncols=5, fontsize=7, frameon=False)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    _save(figure, file)


def plot_losses(file: Path, cases: dict[str, Any]) -> None:
    figure, axes = plt.subplots(1, max(1, len(cases)), figsize=(2.4 * max(1, len(cases)) + 0.6, 2.8), squeeze=False)
    for axis, (name, found) in zip(axes[0], cases.items(), strict=False):
        for side, s in found["sides"].items():
            steps = range(1, len(s["losses"]) + 1)
            style = "o-" if side.startswith("ours") else "x--"
            axis.plot(steps, s["losses"], style, color=COLOURS[side], label=side, markersize=4)
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("step")
        axis.set_xticks(range(1, found["steps"] + 1))
    axes[0][0].set_ylabel("loss, nats a token")
    axes[0][0].legend(fontsize=7)
    figure.tight_layout()
    _save(figure, file)


def plot_growth(file: Path, grown: list[dict[str, Any]]) -> None:
    figure, axes = plt.subplots(2, 2, figsize=(7, 5), sharex="col")
    for column, (series, key, title) in enumerate((("rows", "rows", "rows a step, r=16"), ("rank", "r", "r, 16 rows"))):
        for dtype in DTYPES:
            points = [g for g in grown if g["series"] == series and g["dtype"] == dtype]
            at, colour = [g[key] for g in points], COLOURS[f"ours {dtype}"]
            axes[0][column].plot(at, [_speed(g) for g in points], "o-", color=colour, label=dtype)
            axes[1][column].plot(at, [g["peak_memory_bytes"] / 1e9 for g in points], "o-", color=colour)
        axes[1][column].set_xlabel(title)
        axes[1][column].set_xscale("log", base=2)
        ticks = sorted({g[key] for g in grown if g["series"] == series})
        axes[1][column].set_xticks(ticks, map(str, ticks))
    for axis, label in ((axes[0][0], "rows/s"), (axes[1][0], "peak memory, GB")):
        axis.set_ylabel(label)
    for axis in axes.flat:
        axis.set_ylim(bottom=0)
    axes[0][0].legend(fontsize=8)
    figure.tight_layout()
    _save(figure, file)


def _save(figure: Any, file: Path) -> None:
    """Text stays text, and one measurement gives one file."""
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "rankwise"}):
        figure.savefig(file, metadata={"Date": None})
    plt.close(figure)


def _speed(side: dict[str, Any]) -> float:
    return float(side["rows_per_second"])


def rate(side: dict[str, Any] | None) -> str:
    if side is None:
        return "-"
    return f"{_speed(side):.2f} ({side['rows_per_second_low']:.2f} to {side['rows_per_second_high']:.2f})"


def gigabytes(side: dict[str, Any]) -> str:
    return f"{side['peak_memory_bytes'] / 1e9:.2f} GB"


def by_dtype(values: dict[str, float], shape: str) -> str:
    return ", ".join(f"{dtype} {shape.format(value)}" for dtype, value in values.items()) or "-"


def _in_repository(text: str) -> str:
    """Paths of this machine as they are seen from the repository."""
    return text.replace(f"{Path(__file__).resolve().parent.parent}/", "").replace(f"{Path.cwd()}/", "")


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""
