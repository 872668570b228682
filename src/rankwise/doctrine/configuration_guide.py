"""`configuration-guide`: "LoRA Configuration Guide", with the presets it gives by task and for little memory.

Its presets name the projections of one base each; here they name roles, translated to the base at hand.
"""

from __future__ import annotations

from dataclasses import dataclass

from rankwise.doctrine.rule import ATTENTION, MLP, Advice, Doctrine, Situation

SMALL_ROWS, LARGE_ROWS = 1_000, 10_000
"""What we take "small" and "large datasets" to be; the guide names no numbers."""
LITTLE_MEMORY = 8_000_000_000
"""Bytes of GPU memory under which the guide's memory preset is meant."""
DROPOUT = 0.1
"""Its default."""

CONFIGURATION_GUIDE = Doctrine("configuration-guide", "LoRA Configuration Guide", "LoRA Configuration Guide")
_APPLIED = "Applied Examples from Our Project"
_QKVO = ("query", "key", "value", "attention_output")


@dataclass(frozen=True)
class Preset:
    """A ready configuration of the guide; alpha is 2 x `r` in all of them."""

    name: str
    section: str
    when: str
    r: int
    lora_dropout: float
    roles: tuple[str, ...]
    bias: str
    why: tuple[str, str, str, str]
    """Reasons for r, dropout, roles and bias."""
    method: str = "lora"
    quantization: str = "none"

    def targets(self, situation: Situation) -> list[str]:
        """Names of the base's projections for this preset's roles."""
        return situation.translated(*self.roles)


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "sentiment",
            "Sentiment Analysis (like this project)",
            "sequence classification",
            r=16,
            lora_dropout=0.1,
            roles=_QKVO,
            bias="none",
            why=("medium rank", "its default", "all of attention", "no biases"),
        ),
        Preset(
            "text-generation",
            "Text Generation/Completion",
            "open answers of a causal base",
            r=8,
            lora_dropout=0.05,
            roles=_QKVO,
            bias="none",
            why=("a lower rank does for generation", "less dropout for generation", "all of attention", "no biases"),
        ),
        Preset(
            "question-answering",
            "Question Answering",
            "sequence to sequence",
            r=32,
            lora_dropout=0.1,
            roles=(*_QKVO, "gate", "up", "down"),
            bias="lora_only",
            why=("more rank for complex reasoning", "its default", "more modules for complex tasks", "biases too"),
        ),
        Preset(
            "under-8gb",
            "Extremely Memory-Constrained (< 8GB VRAM)",
            "a GPU under 8 GB",
            r=4,
            lora_dropout=0.05,
            roles=("query",),
            bias="none",
            why=("very low rank", "less dropout", "queries alone: the fewest parameters", "no biases"),
            method="qlora",
            quantization="nf4",
        ),
    )
}


def preset_for(situation: Situation) -> Preset | None:
    """The preset the guide means here; none for label rows on a causal base, where its general advice stands."""
    if 0 < situation.gpu_bytes < LITTLE_MEMORY:
        return PRESETS["under-8gb"]
    if situation.task == "seq_cls":
        return PRESETS["sentiment"]
    if situation.task == "seq_2_seq_lm":
        return PRESETS["question-answering"]
    return None if situation.labels else PRESETS["text-generation"]


def _is_preset(situation: Situation, field: str, value: object) -> bool:
    """The guide's own preset has this value here, so it has nothing against it."""
    preset = preset_for(situation)
    return preset is not None and getattr(preset, field) == value


# -- Rank (r)


_NO_PRESET = "no preset fits: label rows on a causal base"


@CONFIGURATION_GUIDE.rule("lora.r", "Rank (r)", "measured", when=_NO_PRESET)
def r(situation: Situation) -> Advice | None:
    return None if preset_for(situation) else Advice(16, "4 to 16 gained much, 16 to 32 little: start with 16")


CONFIGURATION_GUIDE.lesson(
    "lora.r",
    "Rank (r)",
    "4: fast, small, too little for complex tasks. 16: the balance. 32: a higher ceiling, slower. With very little to "
    "run on take 8 or less, for the most adaptation 32 or more.",
)


@CONFIGURATION_GUIDE.objection("lora.r", "Rank (r)", "measured")
def diminishing_returns(situation: Situation) -> str | None:
    value = situation.known("lora.r")
    if value is None or value < 32 or _is_preset(situation, "r", value):
        return None
    return f"rank {value:g}: returns diminish above 16; its run with 32 had 84.2% where 16 had 87.3%"


@CONFIGURATION_GUIDE.objection("lora.r", "Rank (r)")
def low_rank(situation: Situation) -> str | None:
    value = situation.known("lora.r")
    if value is None or value > 4 or _is_preset(situation, "r", value):
        return None
    return f"rank {value:g} has little capacity for complex tasks"


# -- Alpha


@CONFIGURATION_GUIDE.rule("lora.lora_alpha", "Alpha", "measured")
def lora_alpha(situation: Situation) -> Advice:
    return Advice(2 * situation.number("lora.r"), "alpha = 2r worked well in most of its configurations")


@CONFIGURATION_GUIDE.objection("lora.lora_alpha", "Alpha")
def alpha_under_the_rank(situation: Situation) -> str | None:
    alpha, rank = situation.known("lora.lora_alpha"), situation.known("lora.r")
    if alpha is None or rank is None or alpha >= rank:
        return None
    return f"alpha {alpha:g} under the rank {rank:g} weakens what is learnt; start with 2r, {2 * rank:g}"


# -- Target Modules


@CONFIGURATION_GUIDE.rule("lora.target_modules", "Target Modules", "measured", when=_NO_PRESET)
def target_modules(situation: Situation) -> Advice | None:
    if preset_for(situation):
        return None
    return Advice(situation.translated(*_QKVO), "all of attention gave the most for its cost")


CONFIGURATION_GUIDE.lesson(
    "lora.target_modules",
    "Target Modules",
    "Query alone for the fewest parameters, Q+K+V for balance, Q+K+V+O for complex tasks, all projections for the most "
    "adaptation.",
)


@CONFIGURATION_GUIDE.objection("lora.target_modules", "Target Modules", "measured")
def query_only(situation: Situation) -> str | None:
    others = [role for role in (*ATTENTION, *MLP) if role != "query"]
    if not situation.adapts("query") or situation.adapts(*others) or _is_preset(situation, "roles", ("query",)):
        return None
    return "queries alone had 70% fewer parameters than all of attention, and 4.3 points less accuracy"


# -- Dropout


@CONFIGURATION_GUIDE.rule("lora.lora_dropout", "Dropout", when=f"fewer than {SMALL_ROWS:,} rows")
def dropout_of_few_rows(situation: Situation) -> Advice | None:
    if situation.rows >= SMALL_ROWS:
        return None
    return Advice(0.0, f"{situation.rows:,} rows are a small set, which may under-fit")


@CONFIGURATION_GUIDE.rule("lora.lora_dropout", "Dropout", "measured", when=f"more than {LARGE_ROWS:,} rows")
def dropout_of_many_rows(situation: Situation) -> Advice | None:
    if situation.rows <= LARGE_ROWS:
        return None
    return Advice(0.3, f"{situation.rows:,} rows are a large set, which may over-fit")


@CONFIGURATION_GUIDE.rule("lora.lora_dropout", "Dropout", when=f"between these, and {_NO_PRESET}")
def dropout(situation: Situation) -> Advice | None:
    return None if preset_for(situation) else Advice(DROPOUT, "its default for most cases")


CONFIGURATION_GUIDE.lesson("lora.lora_dropout", "Dropout", "Raise dropout to 0.3 when over-fitting is seen.")


# -- Bias Training


@CONFIGURATION_GUIDE.rule("lora.bias", "Bias Training", "measured", when=_NO_PRESET)
def bias(situation: Situation) -> Advice | None:
    return None if preset_for(situation) else Advice("none", "biases gained hardly anything for their parameters")


CONFIGURATION_GUIDE.lesson(
    "lora.bias", "Bias Training", "none: fewest parameters. lora_only: a balance. all: the most adaptation."
)


@CONFIGURATION_GUIDE.objection("lora.bias", "Bias Training", "measured")
def trained_biases(situation: Situation) -> str | None:
    value = situation.settled.get("lora.bias")
    if value not in ("lora_only", "all") or _is_preset(situation, "bias", value):
        return None
    return f"bias: {value} gained about 0.2 points by its text, and lost 4.4 in its table; start with none"


# -- Task-Specific Recommendations, and Memory-Constrained Environments


def _register(preset: Preset) -> None:
    r_why, dropout_why, targets_why, bias_why = preset.why
    rule, section, when = CONFIGURATION_GUIDE.rule, preset.section, preset.when

    def is_meant(situation: Situation) -> bool:
        return preset_for(situation) is preset

    @rule("lora.r", section, when=when)
    def preset_r(situation: Situation) -> Advice | None:
        return Advice(preset.r, r_why) if is_meant(situation) else None

    @rule("lora.lora_dropout", section, when=f"{when}, {SMALL_ROWS:,} to {LARGE_ROWS:,} rows")
    def preset_dropout(situation: Situation) -> Advice | None:
        return Advice(preset.lora_dropout, dropout_why) if is_meant(situation) else None

    @rule("lora.target_modules", section, when=when)
    def preset_targets(situation: Situation) -> Advice | None:
        return Advice(preset.targets(situation), targets_why) if is_meant(situation) else None

    @rule("lora.bias", section, when=when)
    def preset_bias(situation: Situation) -> Advice | None:
        return Advice(preset.bias, bias_why) if is_meant(situation) else None


for _preset in PRESETS.values():
    _register(_preset)


@CONFIGURATION_GUIDE.rule("method", "Memory-Constrained Environments", when=PRESETS["under-8gb"].when)
def method(situation: Situation) -> Advice | None:
    preset = preset_for(situation)
    if preset is not PRESETS["under-8gb"]:
        return None
    return Advice(preset.method, "an adapter over a 4-bit base runs on consumer GPUs")


@CONFIGURATION_GUIDE.rule("quantization", "Extremely Memory-Constrained (< 8GB VRAM)", when=PRESETS["under-8gb"].when)
def quantization(situation: Situation) -> Advice | None:
    preset = preset_for(situation)
    if preset is not PRESETS["under-8gb"]:
        return None
    return Advice(preset.quantization, "4 bits, to run with the least memory")


# -- Experimental Approach


CONFIGURATION_GUIDE.lesson(
    "experiments",
    "Experimental Approach",
    "Unsure: begin with r=16, alpha=32 and all of attention on part of the rows. Good but slow or large: lower the "
    "rank, fewer modules. Poor: raise the rank, more modules. Such trials are cheap, so repeat.",
)


# -- Applied Examples from Our Project


for _name, _accuracy, _share, _megabytes, _seconds in (
    ("r=4", 83.8, 0.17, 3078.5, 9.4),
    ("r=16, its default", 87.3, 0.23, 3081.5, 21.7),
    ("r=32", 84.2, 0.34, 3089.1, 9.3),
    ("query only", 83.0, 0.06, 3079.3, 6.8),
    ("biases trained", 82.9, 0.26, 3082.8, 9.6),
    ("QLoRA", 84.5, 0.11, 2701.9, 45.3),
):
    CONFIGURATION_GUIDE.lesson(
        "experiments",
        _APPLIED,
        f"{_name}: accuracy {_accuracy}%, {_share}% of the parameters, {_megabytes:,.1f} MB, {_seconds} s an epoch.",
        "measured",
    )


@CONFIGURATION_GUIDE.objection("quantization", _APPLIED, "measured")
def slow_quantization(situation: Situation) -> str | None:
    value = situation.settled.get("quantization")
    if value not in ("nf4", "int8") or _is_preset(situation, "quantization", value):
        return None
    return "in its table QLoRA saved 12% of the memory and took twice the time of the default"
