"""Experts that lie fused in one parameter: whether they are adapted, at which rank, and what cannot go with that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rankwise.errors import Severity
from rankwise.facts import Anatomy, ExpertParameter
from rankwise.plan.adapted import EXPERT_RANK, EXPERTS, NOT_ON_EXPERTS, TARGETS, expert_names, layer_numbers
from rankwise.plan.ledger import Ledger
from rankwise.plan.quantization import CHANGE_BASE
from rankwise.plan.spoken import shown
from rankwise.recipe.keys import nearest

DROPOUT = "lora.lora_dropout"
_PEFT = "PEFT 0.21"


def decide_experts(ledger: Ledger, anatomy: Anatomy, meant: Iterable[ExpertParameter]) -> None:
    """`target_parameters`: the user's own; else those that the target names speak of (`meant`)."""
    asked, meant = ledger.asked_value(EXPERTS), tuple(meant)
    if not anatomy.expert_parameters:
        if isinstance(asked, list):
            message = f"{', '.join(map(str, asked))}: this base has no fused experts; leave {EXPERTS} out"
            ledger.report("error", "no-experts", ledger.asked.where(EXPERTS), message)
        ledger.settle(EXPERTS, None, "this base has no fused experts", "rankwise")
    elif isinstance(asked, list):
        names = [str(name) for name in asked]
        _check_names(ledger, anatomy, names)
        ledger.settle_yours(EXPERTS, list(_in_layers(ledger, anatomy, names)))
    elif asked is None:
        ledger.settle_yours(EXPERTS, None)
    elif not meant:
        ledger.settle(EXPERTS, None, f"{TARGETS} speaks of no experts", "rankwise")
    elif ledger.settled["method"] in NOT_ON_EXPERTS and not ledger.is_given("method"):
        reason = f"PEFT has no {ledger.settled['method']} for fused experts, so they stay as they are"
        ledger.settle(EXPERTS, None, reason, _PEFT)
    else:
        names = list(dict.fromkeys(parameter.name for parameter in meant))
        reason = f"{TARGETS} speaks of them, and only as parameters does PEFT reach fused experts"
        ledger.settle(EXPERTS, list(_in_layers(ledger, anatomy, names)), reason, _PEFT)
    if expert_names(ledger.settled):
        for key, what in _against(ledger):
            message = (
                f"PEFT has no {what} on fused experts, and {', '.join(expert_names(ledger.settled))} are adapted; "
                f"leave {key} out, or leave the experts as they are with {EXPERTS}: null"
            )
            ledger.report("error", "not-on-experts", ledger.asked.where(key), message)
    elif meant:
        message = f"the experts stay frozen: {ledger.decisions[EXPERTS].reason}"
        severity: Severity = "note" if ledger.is_given(EXPERTS) else "warning"
        ledger.report(severity, "experts-frozen", ledger.asked.where(EXPERTS), message)


def settle_without_experts(ledger: Ledger) -> bool:
    """Whether there is no expert to have a rank; then none is settled, and the user's own is not used."""
    if expert_names(ledger.settled):
        return False
    if ledger.is_given(EXPERT_RANK):
        message = f"no experts are adapted ({ledger.decisions[EXPERTS].reason}), so this is not used"
        ledger.report("warning", "rank-not-used", ledger.asked.where(EXPERT_RANK), message)
    ledger.settle(EXPERT_RANK, None, "no experts are adapted", "rankwise")
    return True


def without_dropout(ledger: Ledger) -> None:
    """No dropout where a doctrine chose some and PEFT could not do it; the user's own is refused before."""
    decision = ledger.decisions[DROPOUT]
    if expert_names(ledger.settled) and decision.value and decision.kind != "yours":
        reason = f"PEFT has no dropout on fused experts; else {shown(decision.value)}: {decision.reason}"
        ledger.settle(DROPOUT, 0.0, reason, _PEFT, decision.alternatives)


def _against(ledger: Ledger) -> Iterator[tuple[str, str]]:
    """Keys of the user's, with what of theirs PEFT refuses."""
    if ledger.settled["method"] in NOT_ON_EXPERTS:
        yield "method", str(ledger.settled["method"])
    start, dropout = ledger.asked_value("lora.init_lora_weights"), ledger.asked_value(DROPOUT)
    if start in CHANGE_BASE:
        yield "lora.init_lora_weights", f"start by {start}"
    if isinstance(dropout, int | float) and dropout > 0:
        yield DROPOUT, "dropout"


def _check_names(ledger: Ledger, anatomy: Anatomy, names: Iterable[str]) -> None:
    for name in names:
        if not anatomy.targeted_experts([name]):
            here = dict.fromkeys(parameter.name for parameter in anatomy.expert_parameters)
            close = nearest(name, here)
            hint = f"did you mean {close}? " if close else ""
            message = f"{name} is no fused parameter of experts; {hint}This base has {', '.join(here)}"
            ledger.report("error", "no-such-experts", ledger.asked.where(EXPERTS), message)


def _in_layers(ledger: Ledger, anatomy: Anatomy, names: Iterable[str]) -> Iterator[str]:
    """`names`; where some layers alone are adapted, in full: PEFT's layers_to_transform is not for parameters."""
    layers = layer_numbers(ledger.settled)
    if layers is None:
        yield from names
        return
    for parameter in anatomy.targeted_experts(names):
        if parameter.layer in layers:
            container = parameter.path.removesuffix(f".{parameter.layer}.{parameter.name}").rpartition(".")[2]
            yield f"{container}.{parameter.layer}.{parameter.name}"
