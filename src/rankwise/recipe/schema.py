"""The recipe: what the user asks for. Keys are PEFT's and Hugging Face's own names.

`auto` (or a key left out) means: the plan decides, by the chosen doctrine, and says why.
Each key is declared here once, with its bounds; nothing else in rankwise gives it a default.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

Auto = Literal["auto"]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)


class DataRecipe(Section):
    train: str | None = None
    """A .jsonl, .json, .csv or .parquet file (relative to the recipe), or a hub id; the domain's sample rows if left out."""
    held_out: str | Annotated[float, Field(gt=0, lt=1)] | None = None
    """A file, or the fraction of `train` to hold out. Left out: the domain's held-out rows, else 0.1."""
    max_length: Annotated[int, Field(ge=8)] | Auto = "auto"
    """Most tokens a row may have, prompt and answer together."""
    too_long: Literal["error", "drop", "truncate"] = "error"
    instruction: str | None = None
    """The prompt for text/label rows; the domain's, else a default, if left out."""
    assistant_turns: Literal["all", "last"] = "all"
    """Which assistant turns of a conversation are trained on."""


class LoraRecipe(Section):
    r: Annotated[int, Field(ge=1, le=1024)] | Auto = "auto"
    lora_alpha: Positive | Auto = "auto"
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] | Auto = "auto"
    target_modules: list[str] | Literal["auto", "all-linear"] = "auto"
    bias: Literal["none", "all", "lora_only", "auto"] = "auto"
    use_rslora: bool | Auto = "auto"
    init_lora_weights: bool | Literal["gaussian", "auto"] = "auto"


class TrainingRecipe(Section):
    learning_rate: Positive | Auto = "auto"
    weight_decay: Annotated[float, Field(ge=0)] | Auto = "auto"
    optim: Literal["adamw_torch", "adamw_torch_fused", "auto"] = Field(
        default="auto", validation_alias=AliasChoices("optim", "optimizer")
    )
    adam_beta1: Annotated[float, Field(ge=0, lt=1)] | Auto = "auto"
    adam_beta2: Annotated[float, Field(ge=0, lt=1)] | Auto = "auto"
    adam_epsilon: Positive | Auto = "auto"
    lr_scheduler_type: Literal["cosine", "linear", "constant", "constant_with_warmup", "auto"] = "auto"
    warmup_ratio: Annotated[float, Field(ge=0, le=1)] | Auto = "auto"
    max_grad_norm: Positive | Auto = "auto"
    num_train_epochs: Positive | Auto = "auto"
    max_steps: Count | None = None
    """Optimizer steps; overrides num_train_epochs."""
    per_device_train_batch_size: Count | Auto = "auto"
    gradient_accumulation_steps: Count | Auto = "auto"
    bf16: bool | Auto = "auto"
    """Keep the frozen base in bfloat16; adapters are float32 either way."""
    eval_steps: Count | Auto = "auto"
    """Optimizer steps between held-out evaluations."""
    early_stopping_patience: Count | Auto | None = "auto"
    """Evaluations without improvement after which training stops; null: never."""
    save_steps: Count | Auto = "auto"
    logging_steps: Count | Auto = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0


class ServingRecipe(Section):
    target: None = None


class Recipe(Section):
    model: str = "smollm2-135m"
    """An embedded name, a local folder, a .gguf file, or a hub id."""
    domain: str | None = None
    task: Literal["auto", "causal_lm"] = "auto"
    objective: Literal["sft"] = "sft"
    data: DataRecipe = DataRecipe()
    doctrine: str = "rankwise"
    method: Literal["auto", "lora"] = "auto"
    adapter: str | None = None
    """Continue training from this adapter folder."""
    lora: LoraRecipe = LoraRecipe()
    training: TrainingRecipe = TrainingRecipe()
    quantization: Literal["auto", "none"] = "auto"
    shared_prefix: Literal[False, "auto"] = "auto"
    tracking: None = None
    serving: ServingRecipe = ServingRecipe()
