# ruff: noqa: E501 - phrases stand side by side, a list to a line
"""Machines, causes and layouts for the manufacturing rows. Held-out rows use only `HELD_OUT`: other plants, words, layouts.

Slots of a layout: {line}, {shift}, {crew}, {order}; of a record: {machine}, {made}, {scrap}, {stop} minutes, {why}, {time}.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    head: str
    running: str
    """A record without a stop."""
    stopped: str
    foot: str = ""


@dataclass(frozen=True)
class Bank:
    lines: tuple[str, ...]
    shifts: tuple[str, ...]
    crews: tuple[str, ...]
    machines: tuple[str, ...]
    causes: dict[str, tuple[str, ...]]
    """Cause as the report names it -> what the record says."""
    layouts: tuple[Layout, ...]


TRAIN = Bank(
    lines=("Line 1", "Line 2", "Line 3", "Line 5", "Line 6", "Line 8"),
    shifts=("early shift", "late shift", "night shift"),
    crews=("crew A", "crew B", "crew C"),
    machines=("Press 1", "Press 2", "Press 4", "Mill 3", "Mill 5", "Lathe 2", "Lathe 6", "Saw 1", "Saw 3", "Drill 7"),
    causes={
        "jam": ("sheet jammed in the feeder", "jam at the outlet", "part stuck in the chute", "conveyor blocked"),
        "tool wear": ("worn tool changed", "drill bit blunt", "cutter replaced, edge worn", "tool broke and was changed"),
        "no material": ("waiting for steel", "ran out of blanks", "no bar stock delivered", "pallets missing"),
        "power": ("power cut", "main fuse blown", "voltage drop", "motor breaker tripped"),
        "sensor": ("light barrier dirty", "sensor gave no signal", "position sensor out of line", "false alarm from the door sensor"),
        "leak": ("oil leak at the pump", "coolant hose leaking", "hydraulic seal lost oil", "water dripping from a pipe"),
    },
    layouts=(
        Layout("{line}, {shift}, {crew}", "{time} {machine} made {made} scrap {scrap}",
               "{time} {machine} made {made} scrap {scrap}, stopped {stop} min: {why}"),
        Layout("{line} {shift}\nmachine | made | scrap | stop | note", "{machine} | {made} | {scrap} | 0 | -",
               "{machine} | {made} | {scrap} | {stop} | {why}", "order {order}"),
        Layout("line={line} order={order}", "machine={machine} made={made} scrap={scrap} stop=0",
               "machine={machine} made={made} scrap={scrap} stop={stop} note={why}", "signed {crew}"),
        Layout("Order {order} on {line}", "{machine}: {made} made, {scrap} scrap, no stop",
               "{machine}: {made} made, {scrap} scrap, {stop} min stop ({why})", "{crew}, {shift}"),
    ),
)  # fmt: skip

HELD_OUT = Bank(
    lines=("Line 4", "Line 7", "Line 9", "Line 12"),
    shifts=("first turn", "second turn", "weekend turn"),
    crews=("team north", "team south"),
    machines=("Robot 3", "Robot 8", "Furnace 1", "Furnace 6", "Welder 2", "Welder 9", "Grinder 4", "Bender 5"),
    causes={
        "jam": ("carton wedged between the rollers", "belt clogged by a loose panel", "workpiece caught in the gripper"),
        "tool wear": ("dull blade swapped", "grinding wheel used up", "electrode worn down, new one fitted"),
        "no material": ("wire had not arrived from the store", "empty hopper, refill came late", "supplier truck late, nothing to process"),
        "power": ("electricity failed", "outage in the whole hall", "circuit breaker out"),
        "sensor": ("camera did not see the parts", "probe reading nonsense", "detector had to be cleaned"),
        "leak": ("grease oozing from a joint", "puddle of hydraulic fluid", "cooling water escaped"),
    },
    layouts=(
        Layout("Report of {crew}, {line}.", "{machine} turned out {made} pieces, {scrap} of them rejected, with no pause.",
               "{machine} turned out {made} pieces, {scrap} of them rejected, and stood still for {stop} minutes because of this: {why}."),
        Layout("{crew};{line};{shift}\nunit;rejects;output;idle min;remark", "{machine};{scrap};{made};0;",
               "{machine};{scrap};{made};{stop};{why}"),
        Layout("## {line} ({shift})", "- {machine} - output {made}, rejects {scrap}, idle 0",
               "- {machine} - output {made}, rejects {scrap}, idle {stop} min / {why}", "job no. {order}"),
        Layout("From the log of {line}, job {order}:", "until {time}, {scrap} rejects among {made} from {machine}, all smooth",
               "until {time}, {scrap} rejects among {made} from {machine}, {stop} min lost, {why}"),
    ),
)  # fmt: skip

BANKS = {"train": TRAIN, "held_out": HELD_OUT}
