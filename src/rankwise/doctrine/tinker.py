"""`tinker`: what tinker-cookbook does, from the service of the authors of "LoRA Without Regret".

Read at commit 9dfcc3a2: `hyperparam_utils.py`, `supervised/train.py`, `recipes/chat_sl/results/sft_sweep.md`, the
research skill's `hyperparams.md`, and `docs/lora-primer.mdx` as it stood before its deletion in 85a39123. Elsewhere in
its history the formula of `get_lr` gives way to a table of the sweep's best rate for each hosted model.
"""

from __future__ import annotations

from rankwise.doctrine.rule import Advice, Doctrine, Situation

FULL_RATE = 5e-5
"""For full fine-tuning at hidden size 2000."""
LORA_RATIO = 10
REFERENCE_HIDDEN = 2000
HIDDEN_POWERS = {"llama": 0.781, "qwen": 0.0775}
"""Family -> how fast the best rate falls with the hidden size; both are fits."""

TINKER = Doctrine("tinker", "tinker-cookbook", "tinker-cookbook")
_TRAIN = "supervised/train.py"
_SWEEP = "sft_sweep.md"
_SKILL = "skills/research/references/hyperparams.md"
_REGRET = "LoRA Without Regret (Thinking Machines, 2025)"


@TINKER.rule("lora.target_modules", "get_lora_param_count", "conventional")
def target_modules(situation: Situation) -> Advice:
    layers = situation.projections
    if situation.head is None:
        return Advice(layers, "attention, MLP and unembedding; the head here is tied or none, so it stays out")
    return Advice([*layers, situation.head], "attention, MLP and unembedding are all adapted")


@TINKER.rule("lora.r", _TRAIN, "conventional")
def r(situation: Situation) -> Advice:
    return Advice(32, "its default, at every model size")


@TINKER.rule("lora.lora_alpha", "setup", "conventional", document=_REGRET)
def lora_alpha(situation: Situation) -> Advice:
    return Advice(32, "fixed, so that the best learning rate hardly moves with the rank")


@TINKER.rule("training.learning_rate", "get_lr", "measured", when="Llama's and Qwen's architectures")
def learning_rate(situation: Situation) -> Advice | None:
    """The original goes by the model's name and raises outside the two families; an architecture is held to be one."""
    power = next((p for family, p in HIDDEN_POWERS.items() if situation.model_type.startswith(family)), None)
    if power is None:
        return None
    ratio = 1 if situation.trains_every_weight else LORA_RATIO
    rate = ratio * FULL_RATE * (REFERENCE_HIDDEN / situation.hidden_size) ** power
    return Advice(
        float(f"{rate:.3g}"),
        f"{FULL_RATE:g} x {ratio} x ({REFERENCE_HIDDEN} / {situation.hidden_size})^{power}, whatever the rank, "
        "batch and number of steps",
    )


@TINKER.rule("training.lr_scheduler_type", _TRAIN, "conventional")
def lr_scheduler_type(situation: Situation) -> Advice:
    return Advice("linear", "decays to zero over the run")


@TINKER.rule("training.warmup_ratio", _TRAIN, "conventional")
def warmup_ratio(situation: Situation) -> Advice:
    return Advice(0.0, "its linear schedule starts at the peak")


@TINKER.rule("training.adam_beta1", _TRAIN, "conventional")
def adam_beta1(situation: Situation) -> Advice:
    return Advice(0.9, "its default")


@TINKER.rule("training.adam_beta2", _TRAIN, "conventional")
def adam_beta2(situation: Situation) -> Advice:
    return Advice(0.95, "a shorter memory of squared gradients than Adam's own 0.999")


@TINKER.rule("training.adam_epsilon", _TRAIN, "conventional")
def adam_epsilon(situation: Situation) -> Advice:
    return Advice(1e-8, "its default")


@TINKER.rule("training.num_train_epochs", _TRAIN, "conventional")
def num_train_epochs(situation: Situation) -> Advice:
    return Advice(1.0, "one pass")


@TINKER.rule("training.per_device_train_batch_size", _SKILL)
def per_device_train_batch_size(situation: Situation) -> Advice:
    return Advice(16, "128 rows a step, here in 8 passes of 16")


@TINKER.rule("training.gradient_accumulation_steps", _SKILL)
def gradient_accumulation_steps(situation: Situation) -> Advice:
    return Advice(8, "128 rows a step, here in 8 passes of 16")


TINKER.lesson(
    "lora.r",
    "docs/lora-primer.mdx",
    "A very rough rule: results are good while the adapter has at least as many parameters as there are completion "
    "tokens; for reinforcement learning small ranks do.",
)
TINKER.lesson("lora.r", _SKILL, "Rank 8 to 16 for simple tasks, 64 to 128 for complex ones.")
TINKER.lesson(
    "lora.r",
    _SWEEP,
    "Llama-3.2-1B after 780 steps of 128 rows, test loss at 1e-3: 0.8162 with r=4, 0.7948 with 16, 0.7802 with 64, "
    "0.7763 with 128; at 4e-5 the rank changes nothing. A run took 42 to 47 minutes at every rank.",
    "measured",
)
TINKER.lesson(
    "training.learning_rate",
    _SWEEP,
    "Over 35 models the best rate of the grid was 3e-4 for 22, 1e-3 for 10, 4e-4 for 2 and 1e-4 for 1; of 80 runs "
    "that diverged, 72 were at 3e-3. By rank it rises: 3e-4 for all of r=1 and 2, as often 1e-3 as 3e-4 at r=128.",
    "measured",
)
TINKER.lesson(
    "training.per_device_train_batch_size",
    _SKILL,
    "With the batch the learning rate goes up as its square root; a run wants at least 100 steps and is best with "
    "1000 or more.",
)
TINKER.lesson(
    "training.per_device_train_batch_size",
    "docs/sl-hyperparams.mdx",
    "Its authors say that they are not confident about advice on the batch size.",
)
