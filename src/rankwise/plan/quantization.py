"""How the frozen base is kept, and what does not go together with that."""

from __future__ import annotations

from rankwise.plan.ledger import Ledger

QUANTIZATIONS = ("none", "nf4", "int8")
BUILT = {
    ("lora", "none"),
    ("adalora", "none"),
    ("prefix", "none"),
    ("full", "none"),
    ("qlora", "nf4"),
    ("qlora", "int8"),
    *(("dora", kept) for kept in QUANTIZATIONS),
}
"""Methods, and how the base is kept under each."""
CHANGE_BASE = ("pissa", "olora")
"""Starts that write into the base's own weights (model/start)."""


def agree_on_quantization(ledger: Ledger) -> None:
    """QLoRA is LoRA on a quantised base: where the user named one of the two, the other follows."""
    method, kept = str(ledger.settled["method"]), str(ledger.settled["quantization"])
    if method == "qlora" and kept == "none":
        if ledger.is_given("quantization"):
            message = "method qlora keeps the base in 4 or 8 bits, and quantization is none; write nf4 or int8, or lora"
            ledger.report("error", "qlora-without-quantization", ledger.asked.where("quantization"), message)
        else:
            ledger.settle("quantization", "nf4", "QLoRA's own: 4 bits, with double quantisation", "QLoRA paper")
    elif method == "lora" and kept != "none":
        if not ledger.is_given("quantization"):
            ledger.settle("quantization", "none", "LoRA on the base as it is", "rankwise")
        elif ledger.is_given("method"):
            message = f"method lora trains on the base as it is, and quantization is {kept}: that is qlora; write so"
            ledger.report("error", "lora-on-quantized-base", ledger.asked.where("quantization"), message)
        else:
            ledger.settle("method", "qlora", f"LoRA on a base kept in {kept}, as you set it", "rankwise")


def check_start(ledger: Ledger) -> None:
    """A start that decomposes the base's weights needs them unquantised, and has no use for magnitudes."""
    start, kept = ledger.settled["lora.init_lora_weights"], ledger.settled["quantization"]
    if start not in CHANGE_BASE:
        return
    where = ledger.asked.where("lora.init_lora_weights")
    if kept != "none":
        message = f"{start} writes into the base's weights, which {kept} keeps packed; leave one of the two out"
        ledger.report("error", "start-on-quantized-base", where, message)
    if ledger.settled["method"] == "dora":
        message = (
            f"{start} leaves a plain LoRA of twice the rank behind, which dora's magnitudes cannot follow; take lora"
        )
        ledger.report("error", "start-with-dora", where, message)
