"""Ready settings of the "LoRA Configuration Guide" (its task-specific and memory-constrained configurations)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType

from rankwise.errors import Problem, RecipeError
from rankwise.recipe.draft import Draft, KnownBase, LeftOut

_GUIDE = "LoRA Configuration Guide"
_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
_MLP = ("gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Preset:
    name: str
    title: str
    section: str
    """Of the guide."""
    values: Mapping[str, tuple[object, str]]
    """Dotted key -> value and reason."""
    targets: tuple[str, ...]
    """By one architecture's names; another base's are found by what the layers do."""
    why_targets: str

    @property
    def source(self) -> str:
        return f"{_GUIDE}, {self.section}"


_PRESETS = (
    Preset(
        "sentiment",
        "Short texts with labels",
        "Sentiment Analysis",
        {
            "task": ("seq_cls", "a text gets one of a few labels"),
            "lora.r": (16, "medium rank, where it says to start"),
            "lora.lora_alpha": (32, "twice the rank"),
            "lora.lora_dropout": (0.1, "its default for most uses"),
            "lora.bias": ("none", "biases stay the base's"),
        },
        ("q_lin", "v_lin", "k_lin", "out_lin"),
        "all of attention, its best trade of accuracy for parameters",
    ),
    Preset(
        "text-generation",
        "Free text",
        "Text Generation/Completion",
        {
            "task": ("causal_lm", "the base goes on writing"),
            "lora.r": (8, "a lower rank does for generation"),
            "lora.lora_alpha": (16, "twice the rank"),
            "lora.lora_dropout": (0.05, "less dropout for generation"),
            "lora.bias": ("none", "biases stay the base's"),
        },
        _ATTENTION,
        "all of attention",
    ),
    Preset(
        "question-answering",
        "Answers that need reasoning",
        "Question Answering",
        {
            "task": ("seq_2_seq_lm", "a question becomes an answer"),
            "lora.r": (32, "a higher rank for harder reasoning"),
            "lora.lora_alpha": (64, "twice the rank"),
            "lora.lora_dropout": (0.1, "its default for most uses"),
            "lora.bias": ("lora_only", "the biases of adapted layers are trained too"),
        },
        (*_ATTENTION, *_MLP),
        "attention and MLP, for harder tasks",
    ),
    Preset(
        "under-8gb",
        "A GPU of less than 8 GB",
        "Extremely Memory-Constrained (< 8GB VRAM)",
        {
            "task": ("seq_cls", "a text gets one of a few labels"),
            "method": ("qlora", "LoRA on a base of four bits"),
            "quantization": ("nf4", "four bits a weight"),
            "lora.r": (4, "very low, to save memory"),
            "lora.lora_alpha": (8, "twice the rank"),
            "lora.lora_dropout": (0.05, "less dropout"),
            "lora.bias": ("none", "biases stay the base's"),
        },
        ("q_lin",),
        "queries alone, the fewest parameters",
    ),
)

PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in _PRESETS})


def find_preset(name: str) -> Preset:
    """The preset called `name`; RecipeError with the nearest name if there is none."""
    if name in PRESETS:
        return PRESETS[name]
    near = get_close_matches(name.strip().lower().replace("_", "-").replace(" ", "-"), PRESETS, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    message = f"unknown preset {name!r}; {hint}Presets: {', '.join(PRESETS)}"
    raise RecipeError(problems=[Problem("error", "unknown-preset", "preset", message)])


def draft_of(preset: Preset, base: KnownBase) -> Draft:
    """The preset's values for `base`, its layers by this base's names; what this build cannot run is left out."""
    draft, where = Draft(), f"preset {preset.name}"
    reason = f"{preset.why_targets} ({preset.source})"
    draft.offer_targets((LeftOut(where, "target_modules", name, "") for name in preset.targets), base, reason)
    for key, (value, why) in preset.values.items():
        listed = LeftOut(where, key, value, "")
        if key == "task":
            draft.offer_task(str(value), f"{why} ({preset.source})", listed, base)
        elif key == "lora.bias" and value == "lora_only" and not base.has_biases(draft.targets()):
            draft.leave(listed, "the adapted layers of this base have no biases")
        else:
            draft.offer(key, value, f"{why} ({preset.source})", listed)
    return draft
