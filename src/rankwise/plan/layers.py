"""Which layers are adapted, and which of them with a rank or an alpha of its own: names, numbers and patterns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rankwise.facts import Anatomy, ExpertParameter, Module
from rankwise.plan.adapted import ALPHAS, EXPERTS, LAYERS, RANKS, TARGETS, expert_names, layer_numbers, target_names
from rankwise.plan.ledger import Ledger
from rankwise.recipe.keys import nearest
from rankwise.recipe.patterns import first_match, matches

Layer = Module | ExpertParameter

SHOWN = 3
"""Most layers named for the same fault."""
_UNSAID: Mapping[str, str] = {
    LAYERS: "every layer that the names above are in",
    RANKS: "r in every layer",
    ALPHAS: "lora_alpha in every layer",
}
PEFTS_OWN = tuple(_UNSAID)
"""Keys that no doctrine decides."""


def resolve_targets(ledger: Ledger, anatomy: Anatomy, linear_layers: Sequence[str]) -> tuple[ExpertParameter, ...]:
    """The settled names as PEFT must be given them, containers written out; what reaches nothing is reported.

    Gives the fused experts that the names speak of, which are no modules.
    """
    names = target_names(ledger.settled[TARGETS])
    targets, experts = anatomy.resolve_targets(names), anatomy.experts_meant(names)
    fused = {name: anatomy.experts_meant([name]) for name in (*targets.absent, *targets.unreachable)}
    absent, unreachable = (
        [name for name in found if not fused[name]] for found in (targets.absent, targets.unreachable)
    )
    where = ledger.asked.where(TARGETS)
    here = f"it has {', '.join(linear_layers)}"
    if names and not targets.modules and not experts:
        ledger.report(
            "error", "no-target-matches", where, f"none of {', '.join(names)} is a linear layer of this base; {here}"
        )
    elif absent:
        message = f"{', '.join(absent)}: no linear layer of this base, left out; {here}"
        ledger.report("warning", "absent-target", where, message)
    if unreachable:
        # Asked for by the user it is an error; a doctrine's "all layers" means what can be reached.
        ledger.report(
            "error" if ledger.is_given(TARGETS) else "warning",
            "unreachable-target",
            where,
            f"{', '.join(unreachable)}: router weights, or a head that is trained whole; no target name reaches them",
        )
    taken = dict.fromkeys(m.leaf for m in anatomy.modules if m.taken and any(m.matches(name) for name in names))
    if taken:
        message = f"{', '.join(taken)} outside the experts stay frozen: PEFT 0.21 takes these names for the experts'"
        ledger.report("warning", "taken-for-experts", where, message)
    notes = [f"{name} = {', '.join(parts)}" for name, parts in targets.expanded.items()]
    notes += [f"{name} = {_named(found)}" for name, found in fused.items() if found]
    notes += [f"without {name}, which this base has not" for name in absent]
    ledger.amend(TARGETS, list(targets.modules), *notes)
    return experts


def _named(experts: Sequence[ExpertParameter]) -> str:
    return ", ".join(dict.fromkeys(parameter.name for parameter in experts))


def decide_layers(ledger: Ledger, key: str) -> None:
    """One of PEFTS_OWN: the user's own value, or none."""
    asked = ledger.asked_value(key)
    if isinstance(asked, list):
        asked = sorted({int(number) for number in asked})
    ledger.given(key, asked, _UNSAID[key])


def check_layers(ledger: Ledger, anatomy: Anatomy) -> None:
    """An error for every number and pattern of the user's that reaches nothing of what is adapted."""
    names, experts = target_names(ledger.settled[TARGETS]), anatomy.targeted_experts(expert_names(ledger.settled))
    if _is_yours(ledger, LAYERS):
        every = anatomy.expert_parameters if ledger.settled[EXPERTS] is not None else ()
        _check_numbers(ledger, [*anatomy.targeted(names), *every])
        outside = [name for name in names if not anatomy.targeted([name], layer_numbers(ledger.settled))]
        if outside:
            message = f"{', '.join(outside)} of {TARGETS}: in none of these layers; leave out one or the other"
            ledger.report("error", "target-outside-layers", ledger.asked.where(LAYERS), message)
    layers: list[Layer] = [*anatomy.targeted(names, layer_numbers(ledger.settled)), *experts]
    for key in (RANKS, ALPHAS):
        patterns = ledger.settled[key]
        if _is_yours(ledger, key) and isinstance(patterns, dict) and layers:
            _check_patterns(ledger, key, list(patterns), layers, anatomy)


def check_bias(ledger: Ledger, anatomy: Anatomy) -> None:
    bias, names = str(ledger.settled["lora.bias"]), target_names(ledger.settled[TARGETS])
    layers = layer_numbers(ledger.settled)
    without = anatomy.trainable_parameters(names, 1, layers=layers)
    if bias != "none" and anatomy.trainable_parameters(names, 1, bias, layers=layers) == without:
        message = f"this base has no biases there, so bias: {bias} changes nothing"
        ledger.report("warning", "bias-without-biases", ledger.asked.where("lora.bias"), message)


def _is_yours(ledger: Ledger, key: str) -> bool:
    return ledger.decisions[key].kind == "yours"


def _check_numbers(ledger: Ledger, layers: Sequence[Layer]) -> None:
    there = {layer.layer for layer in layers if layer.layer is not None}
    absent = [number for number in layer_numbers(ledger.settled) or () if number not in there]
    if absent and there:
        told = ", ".join(map(str, absent))
        count = "numbers" if len(absent) > 1 else "a number"
        message = f"{told}: {count} of no adapted layer of this base, whose last is {max(there)}; the first is 0"
        ledger.report("error", "no-such-layer", ledger.asked.where(LAYERS), message)


def _check_patterns(
    ledger: Ledger, key: str, patterns: Sequence[str], layers: Sequence[Layer], anatomy: Anatomy
) -> None:
    for pattern in patterns:
        where = ledger.asked.where(f"{key}.{pattern}")
        matched = [layer.path for layer in layers if matches(pattern, layer.path)]
        if not matched:
            ledger.report("error", "pattern-matches-nothing", where, _of_nothing(pattern, layers, anatomy))
            continue
        earlier = dict.fromkeys(first_match(patterns, path) for path in matched)
        if pattern not in earlier:
            taken = ", ".join(map(str, earlier))
            message = f"{pattern} changes nothing: {taken}, before it, matches all its layers; put it first"
            ledger.report("warning", "pattern-without-effect", where, message)


def _of_nothing(pattern: str, layers: Sequence[Layer], anatomy: Anatomy) -> str:
    """What a pattern that matches no adapted layer was probably meant to be."""
    every: list[Layer] = [*(module for module in anatomy.modules if module.reachable), *anatomy.expert_parameters]
    elsewhere = [layer.path for layer in every if matches(pattern, layer.path)]
    if elsewhere:
        more = f" and {len(elsewhere) - SHOWN} more" if len(elsewhere) > SHOWN else ""
        return (
            f"{pattern} matches {', '.join(elsewhere[:SHOWN])}{more}, which the adapter is not on "
            f"({TARGETS}, {EXPERTS}, {LAYERS})"
        )
    names = dict.fromkeys(layer.leaf for layer in layers)
    close = nearest(pattern, names) or nearest(pattern, dict.fromkeys(_ends(layers)))
    hint = f"did you mean {close}? " if close else ""
    return f"{pattern} matches no adapted layer; {hint}They are {', '.join(names)}, such as {layers[0].path}"


def _ends(layers: Sequence[Layer]) -> list[str]:
    """Every layer's path, and what follows each dot in it."""
    return [
        ".".join(parts[start:]) for parts in (layer.path.split(".") for layer in layers) for start in range(len(parts))
    ]
