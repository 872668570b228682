"""`rankwise`: ours, the default. Every constant stands here with where it comes from.

Rank, alpha and learning rate are chosen together. With alpha = 2r the update grows with r, so the best rate falls as
the rank rises. Readings on SmolLM2-135M, 640 rows of sentence classification, batch 16, one pass, held-out loss:
r=16: 0.336 at 2e-4, 0.267 at 5e-4, 0.264 at 1e-3, 0.258 at 2e-3, 0.305 at 4e-3; r=4: 0.303 at 1e-3; r=64: 0.213 at
1e-3; r=256: 0.455 at 1e-3, 0.263 at 5e-4. Read again with this engine: r=16 0.261 at 2e-3, r=64 0.293 at 1e-3. One seed
each, so the gap between 16 and 64 is undecided.
"""

from __future__ import annotations

from math import log2, sqrt

from rankwise.doctrine.rule import Advice, Doctrine, Situation

REFERENCE_RATE = 5e-4
"""10 x 5e-5: the LoRA rate at hidden size 2000 of the fit over 14 models (tinker-cookbook, get_lr)."""
REFERENCE_HIDDEN = 2000
FULL_SHARE = 0.1
"""Full fine-tuning's best rate of LoRA's, at every size and rank ("LoRA Without Regret"); the same in the fit above."""
HIDDEN_POWER = 0.781
"""The same fit's power for Llama-like models."""
REFERENCE_RANK = 32
"""Rank at which that fit was made, and to which our readings above lead with the square root below."""
REFERENCE_SCALE = 2.0
"""alpha / r of our readings. Elsewhere the rate is multiplied by 2 / (alpha / r): with Adam the product's first steps
grow as (alpha / r) x rate, since B starts at zero and moves by the rate while A hardly does. "LoRA Without Regret"
(Parametrization) states that alpha and B's rate are interchangeable so; that it holds for one rate of A and B is our
assumption, and not measured."""
ENCODER_SHARE = 0.4
"""Of the rate that is fitted to causal models, on an encoder under a fresh head. docs/log.md."""
FROM_THE_BASE = ("pissa", "olora")
"""Starts by which A and B are as large as the base's weights, and not nothing. PiSSA's own runs are at 2e-5, a rate
usual for full fine-tuning (Meng et al. 2024)."""
FAR_SCALE = 4.0
"""Times REFERENCE_SCALE, up or down, from which that correction is warned about; a convention of ours."""
SMALL_BASE = 1_000_000_000
"""Parameters below which our own readings, all on one base of 135M, are believed before the published sweeps."""
SMALL_BASE_RANK = 16
BITS_PER_PARAMETER = 2
"""What a parameter can store (Allen-Zhu and Li 2024, cited by "LoRA Without Regret")."""
BITS_PER_TOKEN = 1.0
"""What a supervised token needs, as the same source estimates where nothing was measured."""
RANKS = (8, 16, 32, 64, 128, 256)
"""Ranks that are suggested."""
HEADROOM = 2
"""A rank that is chosen for capacity has this many times the bits needed: at 100 passes over a fact, not at 1,000, a
parameter holds one bit and not two (Allen-Zhu and Li 2024), and a fine-tuning run makes fewer."""
ENOUGH_ROWS_SEEN = 160 * 16
"""On 440 rows the held-out loss still fell at step 80 of 83 (docs/log.md)."""
MOST_EPOCHS = 6

RANKWISE = Doctrine("rankwise", "rankwise's own", "rankwise")
_FIT = "tinker-cookbook, get_lr"
_REGRET = "LoRA Without Regret (Thinking Machines, 2025)"
_READINGS = "readings of doctrine/rankwise.py"


@RANKWISE.rule("lora.target_modules", "Which Layers to Apply LoRA", "measured", document=_REGRET)
def target_modules(situation: Situation) -> Advice:
    return Advice(
        situation.projections,
        "adapting every linear layer beats attention alone even at equal parameters",
    )


@RANKWISE.rule("lora.r", "Capacity Requirements", when="answers that the usual rank could not hold", document=_REGRET)
def r_for_capacity(situation: Situation) -> Advice | None:
    """Capacity gives the floor, not the choice: rank also speeds learning, long before storage is short."""
    per_rank, usual = situation.parameters_per_rank, _usual_rank(situation)
    if per_rank is None:
        return None
    classes = situation.labels if situation.task == "seq_cls" else 0
    needed = HEADROOM * answer_bits(situation.supervised_tokens, classes, situation.multi_label)
    enough = next((rank for rank in RANKS if rank * per_rank * BITS_PER_PARAMETER >= needed), RANKS[-1])
    if enough <= usual:
        return None
    if classes and situation.multi_label:
        what = f"{situation.supervised_tokens:,} answers of {classes} labels need up to a bit for each label"
    elif classes:
        what = f"{situation.supervised_tokens:,} answers of {classes} labels need up to {log2(classes):.1f} bits each"
    else:
        what = f"the answers' {situation.supervised_tokens:,} tokens need about a bit each"
    return Advice(enough, f"{what}, and rank {usual} holds less than {HEADROOM} times that")


def answer_bits(supervised_tokens: int, classes: int, multi_label: bool = False) -> float:
    """What the answers hold, estimated: a bit a token; of a classifier, a label's share of its `classes`, or where an
    answer may be any set of them, a bit for each."""
    if multi_label:
        return supervised_tokens * classes
    return supervised_tokens * (log2(classes) if classes else BITS_PER_TOKEN)


@RANKWISE.rule("lora.r", _READINGS, "measured", when="bases under 1B")
def r_of_a_small_base(situation: Situation) -> Advice | None:
    if situation.base_parameters >= SMALL_BASE:
        return None
    return Advice(SMALL_BASE_RANK, "on a base under 1B, 4 was too low (0.303 against 0.264), 64 no sure gain")


@RANKWISE.rule("lora.r", "default rank", "measured", document="tinker-cookbook")
def r(situation: Situation) -> Advice:
    return Advice(REFERENCE_RANK, "the published sweeps' default for supervised rows; more rank costs little time")


def _usual_rank(situation: Situation) -> int:
    return SMALL_BASE_RANK if situation.base_parameters < SMALL_BASE else REFERENCE_RANK


@RANKWISE.rule("lora.lora_alpha", "Core Principles 1", document="LoRA Best Practices")
def lora_alpha(situation: Situation) -> Advice:
    return Advice(2 * situation.number("lora.r"), "alpha = 2r; the learning rate below is fitted for it")


@RANKWISE.rule("lora.lora_dropout", "Default Configuration", document=_REGRET)
def lora_dropout(situation: Situation) -> Advice:
    return Advice(0.0, "usually not needed: the best held-out evaluation is kept instead")


@RANKWISE.rule("training.learning_rate", f"corrections from {_READINGS}", "measured", document=_FIT)
def learning_rate(situation: Situation) -> Advice:
    if situation.trains_every_weight:
        formula = f"{FULL_SHARE:g} x {REFERENCE_RATE:g} x ({REFERENCE_HIDDEN} / {situation.hidden_size})^{HIDDEN_POWER}"
        why = f"a tenth of LoRA's, as {_REGRET} found full fine-tuning's best rate to be at every size"
        return Advice(_full_rate(situation.hidden_size), f"{formula}: {why}")
    r, scale = situation.number("lora.r"), _scale(situation)
    formula = (
        f"{REFERENCE_RATE:g} x ({REFERENCE_HIDDEN} / {situation.hidden_size})^{HIDDEN_POWER}"
        f" x sqrt({REFERENCE_RANK} / {r:g})"
    )
    why = "the fit over model sizes, lowered as rank and alpha rise"
    if scale != REFERENCE_SCALE:
        formula += f" x {REFERENCE_SCALE:g} / {scale:.3g}"
        why += f"; the last factor, because alpha scales the update by {scale:.3g} and not by {REFERENCE_SCALE:g}"
    rate = _fitted_rate(situation.hidden_size, r, scale)
    start = situation.settled.get("lora.init_lora_weights")
    if start in FROM_THE_BASE:
        rate = float(f"{FULL_SHARE * rate:.2g}")
        formula += f" x {FULL_SHARE:g}"
        why += (
            f"; {start} trains parts of the base's own weights, so the last factor is full fine-tuning's "
            "(smollm2-135m, 1,200 rows of financial_phrasebank: at LoRA's rate it came to say one label; one seed)"
        )
    if situation.kind == "encoder":
        rate = float(f"{ENCODER_SHARE * rate:.2g}")
        formula += f" x {ENCODER_SHARE:g}"
        why += (
            "; the fit is of causal models, and an encoder under a fresh head did better at two fifths (minilm-l6, "
            "1,200 rows of sst2: accuracy 0.782 at the whole, 0.851 at these, 0.820 at a sixth; one seed)"
        )
    elif situation.kind != "causal":
        why += f"; the fit is of causal models, and this is an {situation.kind}: a start to search from"
    return Advice(rate, f"{formula}: {why}")


def _scale(situation: Situation) -> float:
    """By which the adapter's product is multiplied: alpha / r, with rsLoRA alpha / sqrt(r)."""
    r, alpha = situation.number("lora.r"), situation.known("lora.lora_alpha")
    if alpha is None:
        return REFERENCE_SCALE
    return alpha / (sqrt(r) if situation.settled.get("lora.use_rslora") is True else r)


def _fitted_rate(hidden_size: int, r: float, scale: float) -> float:
    """To two digits."""
    rate = REFERENCE_RATE * (REFERENCE_HIDDEN / hidden_size) ** HIDDEN_POWER * sqrt(REFERENCE_RANK / r)
    return float(f"{rate * REFERENCE_SCALE / scale:.2g}")


def _full_rate(hidden_size: int) -> float:
    """To two digits."""
    return float(f"{FULL_SHARE * REFERENCE_RATE * (REFERENCE_HIDDEN / hidden_size) ** HIDDEN_POWER:.2g}")


@RANKWISE.objection("training.learning_rate", _READINGS, "measured")
def rate_far_above_the_fit(situation: Situation) -> str | None:
    """Twice the best rate was worse on our readings (0.305 at 4e-3); ten times it was never tried."""
    rate, r = situation.known("training.learning_rate"), situation.known("lora.r")
    if rate is None or r is None:
        return None
    whole = situation.trains_every_weight
    fitted = _full_rate(situation.hidden_size) if whole else _fitted_rate(situation.hidden_size, r, _scale(situation))
    if rate <= 10 * fitted:
        return None
    what = "this base, trained whole" if whole else "this base and rank"
    return f"it is {rate / fitted:,.0f} times the rate that fits {what}, {fitted:g}; training may diverge"


@RANKWISE.objection("lora.lora_alpha", "", "conventional")
def alpha_off_the_fit(situation: Situation) -> str | None:
    r, alpha = situation.known("lora.r"), situation.known("lora.lora_alpha")
    if alpha is None or r is None:
        return None
    times = _scale(situation) / REFERENCE_SCALE
    if 1 / FAR_SCALE <= times <= FAR_SCALE:
        return None
    return (
        f"it scales the update {times:.3g} times as much as the alpha of 2r at which the learning rate was fitted; so "
        "far away, a rate corrected for that is a guess"
    )


@RANKWISE.rule("training.weight_decay", "Complete Configuration Template", document="LoRA Best Practices")
def weight_decay(situation: Situation) -> Advice:
    return Advice(1e-5, "low, as one guide asks; over a short run it changes nothing")


@RANKWISE.rule("training.lr_scheduler_type", "supervised training", "conventional", document="tinker-cookbook")
def lr_scheduler_type(situation: Situation) -> Advice:
    return Advice("linear", "decays to zero, so the last steps settle")


@RANKWISE.rule("training.warmup_ratio", "", "conventional")
def warmup_ratio(situation: Situation) -> Advice:
    if situation.trains_every_weight:
        return Advice(0.05, "AdamW's moments are still rough in the first steps: a short warm-up")
    return Advice(0.05, "B starts at zero and the rate is high: a short warm-up")


@RANKWISE.rule("training.num_train_epochs", "readings of docs/log.md", "measured")
def num_train_epochs(situation: Situation) -> Advice:
    epochs = min(MOST_EPOCHS, max(1, round(ENOUGH_ROWS_SEEN / situation.rows)))
    return Advice(
        float(epochs),
        f"about {ENOUGH_ROWS_SEEN:,} rows seen (160 steps of 16), in at most {MOST_EPOCHS} passes over your "
        f"{situation.rows:,}; the best held-out evaluation is kept",
    )


@RANKWISE.rule("training.per_device_train_batch_size", "Batch Size Effects", "measured", document=_REGRET)
def per_device_train_batch_size(situation: Situation) -> Advice:
    if situation.trains_every_weight:
        return Advice(16, "as for LoRA, so that the two compare; full fine-tuning bears larger batches better")
    return Advice(16, "LoRA loses ground at large batches; 16 to 64 is the advice")
