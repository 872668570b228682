"""Manufacturing rows: a shift's production records -> a report of seven fields and a summary (rules in README.md).

Knobs: how many machines a record lists, how often one stops, how far apart the numbers to compare lie.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from rankwise.recipe.domains import find_domain
from tools.sample_rows.manufacturing_bank import BANKS
from tools.sample_rows.phrases import Row, Split, fill

MACHINES = (3, 3, 3, 4)
STOPS = {0: 0.15, 1: 0.45, 2: 0.4}
MINUTES = (5, 10, 15, 20, 25, 30, 35, 40, 45)


@dataclass(frozen=True)
class Record:
    machine: str
    made: int
    scrap: int
    stop: int
    """Minutes; 0 if it ran through."""
    cause: str


def rows(split: Split, count: int, rng: random.Random) -> list[Row]:
    """`count` Alpaca rows, all different."""
    instruction = find_domain("manufacturing").instruction
    made: dict[str, str] = {}
    while len(made) < count:
        text, answer = _shift(rng, split)
        made.setdefault(text, answer)
    return [{"instruction": instruction, "input": text, "output": answer} for text, answer in made.items()]


def report(line: str, records: list[Record]) -> str:
    """The answer; of equal stops the first counts."""
    best = max(records, key=lambda record: record.made)
    worst = max(records, key=lambda record: record.scrap)
    longest = max(records, key=lambda record: record.stop)
    downtime = sum(record.stop for record in records)
    if worst.scrap >= 20 or downtime >= 60:
        status = "hold"
    elif worst.scrap >= 15 or downtime >= 30:
        status = "watch"
    else:
        status = "ok"
    pause = f"the longest stop was {longest.stop} min at {longest.machine}" if downtime else "no machine stopped"
    fields = {
        "Line": line.removeprefix("Line "),
        "Best machine": best.machine,
        "Most scrap": f"{worst.machine}, {worst.scrap}",
        "Machines stopped": str(sum(record.stop > 0 for record in records)),
        "Downtime": f"{downtime} min",
        "Main cause": longest.cause,
        "Status": status,
        "Summary": f"{best.machine} made most; {pause}.",
    }
    return "\n".join(f"{field}: {value}" for field, value in fields.items())


def _shift(rng: random.Random, split: Split) -> tuple[str, str]:
    bank = BANKS[split]
    layout, line = rng.choice(bank.layouts), rng.choice(bank.lines)
    machines = rng.sample(bank.machines, rng.choice(MACHINES))
    made = rng.sample(range(180, 960, 10), len(machines))
    scrap = rng.sample(range(2, 15 if rng.random() < 0.6 else 32), len(machines))
    stopped = rng.sample(range(len(machines)), rng.choices(list(STOPS), list(STOPS.values()))[0])
    minutes = dict(zip(stopped, rng.sample(MINUTES, len(stopped)), strict=True))
    records = [
        Record(name, made[i], scrap[i], minutes.get(i, 0), rng.choice(list(bank.causes)) if i in minutes else "none")
        for i, name in enumerate(machines)
    ]
    common = {
        "line": line,
        "shift": rng.choice(bank.shifts),
        "crew": rng.choice(bank.crews),
        "order": str(rng.randint(1001, 9899)),
    }
    parts = [fill(rng, layout.head, common)]
    for hour, record in enumerate(records):
        slots = {
            "machine": record.machine,
            "made": str(record.made),
            "scrap": str(record.scrap),
            "stop": str(record.stop),
            "why": bank.causes.get(record.cause, ("",)),
            "time": f"{6 + 2 * hour:02d}:{rng.randrange(0, 60, 5):02d}",
        }
        parts.append(fill(rng, layout.stopped if record.stop else layout.running, slots))
    if layout.foot:
        parts.append(fill(rng, layout.foot, common))
    return "\n".join(parts), report(line, records)
