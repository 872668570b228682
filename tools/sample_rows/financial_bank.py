# ruff: noqa: E501 - phrases stand side by side, a list to a line
"""Phrases for the financial rows. Held-out rows use only the `held_out` bank: other companies, words and layouts.

Slots: {co} company, {per} period, {rev} revenue, {prior} last year's, {g} growth, {m} operating margin, {bp} its change,
{lm} and {hm} a lower and a higher one before, {gm} gross margin, {lg} a lower one before, {ni} net income, {pni} last
year's, {x} another amount, {a} a higher and {b} a lower outlook, {d} dividend, {tr} tax rate, {unit} part of the group, {sg} its growth.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bank:
    companies: tuple[str, ...]
    periods: dict[str, int]
    """How many of each fit in a year."""
    units: tuple[str, ...]
    """Spellings of an amount in millions (`{n}`) or billions (`{bn}`)."""
    percent: tuple[str, ...]
    revenue: dict[str, tuple[str, ...]]
    """By direction of growth: up, down, flat, or unsaid."""
    segment: tuple[str, ...]
    margin: tuple[str, ...]
    no_margin: tuple[str, ...]
    profit: tuple[str, ...]
    loss: tuple[str, ...]
    no_profit: tuple[str, ...]
    guidance: dict[str, tuple[str, ...]]
    layouts: tuple[str, ...]
    """Orders of the sentences r(evenue), s(egment), m(argin), p(rofit), o(utlook)."""


TRAIN = Bank(
    companies=(
        "Norvale Foods", "Harrow Steel", "Brightwater", "Kestrel Boats", "Ostara Health", "Pinecrest Motors", "Ellin Paper",
        "Delmont Energy", "Quarry Lane", "Tavistock Air", "Redfern Labs", "Copperhill", "Marlow Toys", "Sandbar Hotels",
        "Westgate Rail", "Juniper Soft", "Alder Grid", "Fenwick Shoes", "Larkspur Media", "Stonebridge",
    ),
    periods={
        "the first quarter": 4, "the second quarter": 4, "the third quarter": 4, "the fourth quarter": 4, "fiscal 2022": 1,
        "fiscal 2023": 1, "the first half": 2, "the second half": 2, "2021": 1, "2024": 1,
    },
    units=("${n} million", "${n} million", "${bn} billion", "${n}m", "${bn}bn"),
    percent=("{g}%", "{g}%", "{g} percent"),
    revenue={
        "up": (
            "{co} reported revenue of {rev} for {per}, up {g} from {prior} a year earlier",
            "revenue at {co} rose {g} to {rev} in {per}",
            "{co} said sales for {per} grew {g} to {rev}, against {prior} last year",
            "for {per}, {co} posted revenue of {rev}, an increase of {g}",
            "{co} had revenue of {prior} a year ago; in {per} it rose {g} to {rev}",
            "sales of {rev} in {per} put {co} {g} ahead of last year",
            "higher prices helped {co} to revenue of {rev} in {per}, which is {g} more than a year earlier",
        ),
        "down": (
            "{co} reported revenue of {rev} for {per}, down {g} from {prior} a year earlier",
            "revenue at {co} fell {g} to {rev} in {per}",
            "{co} said sales for {per} dropped {g} to {rev}, against {prior} last year",
            "for {per}, {co} posted revenue of {rev}, a decrease of {g}",
            "{co} had revenue of {prior} a year ago; in {per} it fell {g} to {rev}",
            "sales of {rev} in {per} left {co} {g} behind last year",
            "weak demand held {co} to revenue of {rev} in {per}, which is {g} less than a year earlier",
        ),
        "flat": (
            "{co} reported revenue of {rev} for {per}, the same as a year earlier",
            "revenue at {co} was flat at {rev} in {per}",
            "sales at {co} did not change from last year and were {rev} in {per}",
        ),
        "unsaid": (
            "{co} reported revenue of {rev} for {per}; a year earlier it was {prior}",
            "revenue at {co} came to {rev} in {per}",
            "{co} said sales for {per} were {rev}, against {prior} last year",
            "for {per}, {co} posted revenue of {rev}",
        ),
    },
    segment=(
        "the {unit} division grew {sg} to {x}", "sales of the {unit} division fell {sg} to {x}", "the {unit} division brought in {x}, up {sg}",
        "{x} of the total came from the {unit} division, up {sg}",
    ),
    margin=(
        "operating margin was {m}", "the operating margin widened by {bp} basis points to {m}",
        "operating margin narrowed to {m} from {hm}", "gross margin was {gm} and operating margin {m}",
        "it earned an operating margin of {m}, after {lm} last year", "operating profit was {m} of revenue",
    ),
    no_margin=("gross margin was {gm}", "gross margin improved to {gm} from {lg}", "costs grew by {sg}", "the tax rate was {tr} of profit before tax"),
    profit=(
        "net income was {ni}", "net income rose to {ni} from {pni}", "net profit came to {ni}, after {pni} last year",
        "it made a net profit of {ni}", "net income of {ni} compares with a loss of {pni} a year ago",
    ),
    loss=(
        "it made a net loss of {ni}", "the net loss was {ni}, after a profit of {pni} last year",
        "net income turned to a loss of {ni} from a profit of {pni}", "net loss widened to {ni} from {pni}",
    ),
    no_profit=("operating cash flow was {x}", "debt fell to {x}", "it holds {x} in cash", "capital spending was {x}"),
    guidance={
        "raised": (
            "it raised its outlook for the year", "the company now expects annual revenue of {a}, up from {b} before",
            "full-year guidance was increased", "management lifted its revenue forecast to {a} from {b}",
            "the company expects a better year than it did three months ago",
        ),
        "lowered": (
            "it cut its outlook for the year", "the company now expects annual revenue of {b}, down from {a} before",
            "full-year guidance was reduced", "management lowered its revenue forecast to {b} from {a}",
            "the company expects a weaker year than it did three months ago",
        ),
        "kept": (
            "it confirmed its outlook for the year", "the company still expects annual revenue of {a}",
            "full-year guidance was left unchanged", "management repeated its revenue forecast of {a}",
            "the company expects the same for the year as three months ago",
        ),
        "withdrawn": (
            "it withdrew its outlook for the year", "the company no longer gives a forecast; it had expected {a}",
            "full-year guidance was suspended",
        ),
        "not stated": (
            "the dividend was raised to ${d} per share", "the board cut the dividend to ${d} per share",
            "the company will buy back shares for {x}", "the finance chief will leave in May", "",
        ),
    },
    layouts=("rsmpo", "rmpso", "rpmo", "rmpo", "rmpo", "rpmso"),
)  # fmt: skip

HELD_OUT = Bank(
    companies=(
        "Arkwell", "Belmarsh Group", "Ceder & Holm", "Dunmore Textiles", "Ivybridge", "Glasson Ports", "Vantor", "Oakhurst Pharma",
        "Palladine", "Ruston Ceramics", "Thessaly Wines", "Umberto Retail", "Wexcombe", "Zephyr Cables",
    ),
    periods={
        "Q1": 4, "Q2": 4, "Q3": 4, "Q4": 4, "the year to June": 1, "the year to March": 1, "the six months to September": 2,
        "financial year 2025": 1,
    },
    units=("USD {n} million", "USD {bn} billion", "{n} million dollars", "{bn} billion dollars", "${n} mln"),
    percent=("{g} per cent", "{g}%", "{w} per cent"),
    revenue={
        "up": (
            "turnover climbed by {g} at {co}, reaching {rev} over {per}",
            "{per} brought {co} net sales of {rev}, beating the {prior} of the previous year by {g}",
            "customers bought more: {co} booked {rev} of revenue during {per}, a gain of {g}",
            "at {co} the top line advanced {g} and stood at {rev} after {per}; twelve months before it had been {prior}",
            "{co}, {per}: turnover {rev} (+{g})",
        ),
        "down": (
            "turnover slipped by {g} at {co}, ending at {rev} over {per}",
            "{per} brought {co} net sales of {rev}, missing the {prior} of the previous year by {g}",
            "customers bought less: {co} booked {rev} of revenue during {per}, a decline of {g}",
            "at {co} the top line shrank {g} and stood at {rev} after {per}; twelve months before it had been {prior}",
            "{co}, {per}: turnover {rev} (-{g})",
        ),
        "flat": (
            "turnover held steady at {co}, with {rev} over {per} just like the year before",
            "{per} brought {co} net sales of {rev}, no more and no less than in the previous year",
        ),
        "unsaid": (
            "turnover reached {rev} over {per} at {co}",
            "{per} brought {co} net sales of {rev}; the previous year had {prior}",
            "{co}, {per}: turnover {rev} (prior year {prior})",
            "customers paid {co} a total of {rev} during {per}",
        ),
    },
    segment=(
        "within this, {unit} contributed {x}", "{unit} alone expanded by {sg}, adding {x}", "by contrast, {unit} lost {sg} and made only {x}",
    ),
    margin=(
        "at the operating level it kept {m} of turnover", "the margin from operations stood at {m}, {lm} having been seen before",
        "operating margin: {m} (gross: {gm})", "its operations earned a margin of {m}, better by {bp} basis points",
        "while the gross margin reached {gm}, the operating one was {m}",
    ),
    no_margin=("at the gross level it kept {gm} of turnover", "wages went up {sg}", "the tax rate was {tr}", "", ""),
    profit=(
        "after tax a profit of {ni} remained", "the bottom line showed {ni} of profit, where {pni} had been seen before",
        "shareholders were left with net earnings of {ni}", "net profit: {ni} (prior year {pni})",
    ),
    loss=(
        "after tax it lost {ni}", "the bottom line showed {ni} of losses, where a profit of {pni} had been seen before",
        "shareholders were left with a net deficit of {ni}", "net loss: {ni} (prior year: profit {pni})",
    ),
    no_profit=("EBITDA reached {x}", "borrowings stand at {x}", "the order book is worth {x}", "inventories grew to {x}", ""),
    guidance={
        "raised": (
            "executives moved their target for the full year upwards", "for the whole year they aim at {a} of sales instead of {b}",
            "forecast for the year: {a} (previously {b})", "they are now more hopeful about the year as a whole",
        ),
        "lowered": (
            "executives moved their target for the full year downwards", "for the whole year they aim at {b} of sales instead of {a}",
            "forecast for the year: {b} (previously {a})", "they are now less hopeful about the year as a whole",
        ),
        "kept": (
            "executives stand by their target for the full year", "for the whole year they go on aiming at {a} of sales",
            "forecast for the year: {a} (as before)", "their view of the year as a whole is what it was",
        ),
        "withdrawn": (
            "executives dropped their target for the full year and set no new one", "the earlier forecast of {a} no longer stands and nothing replaces it",
        ),
        "not stated": (
            "a payout of ${d} a share will be proposed", "two plants will be closed in autumn", "the chairman retires next spring",
            "shares worth {x} are to be repurchased", "", "",
        ),
    },
    layouts=("rpsmo", "rspmo", "orpm", "orsmp", "rpmo", "mrpo"),
)  # fmt: skip

UNITS = {
    "train": ("online", "export", "services", "retail", "Asian", "spare parts", "leasing"),
    "held_out": ("licensing", "the northern region", "wholesale", "consulting", "the flagship brand", "subscriptions"),
}
BANKS = {"train": TRAIN, "held_out": HELD_OUT}
