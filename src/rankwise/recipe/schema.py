"""The recipe: what the user asks for. Keys are PEFT's and Hugging Face's own names.

`auto` (or a key left out) means: the plan decides, by the chosen doctrine, and says why.
Each key is declared here once, with its bounds; nothing else in rankwise gives it a default.
The line under a key is its description, wherever the key is shown.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field

from rankwise.recipe.patterns import compiled

Auto = Literal["auto"]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1)]
Rank = Annotated[int, Field(ge=1, le=1024)]
ProblemType = Literal["single_label_classification", "multi_label_classification"]
LayerNumber = Annotated[int, Field(ge=0)]


def _readable(pattern: str) -> str:
    """Raises PatternError, a ValueError, where PEFT could not read it."""
    compiled(pattern)
    return pattern


Pattern = Annotated[Text, AfterValidator(_readable)]
"""Of PEFT's rank_pattern and alpha_pattern."""


class Section(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        populate_by_name=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


class DataRecipe(Section):
    train: Text | None = None
    """A .jsonl, .json, .csv or .parquet file (relative to the recipe), or a hub id; null: the domain's sample rows"""
    held_out: Text | Annotated[float, Field(gt=0, lt=1)] | None = None
    """A file, or the fraction of train to hold out; null: the domain's held-out rows, else 0.1"""
    max_length: Annotated[int, Field(ge=8)] | Auto = "auto"
    """Most tokens a row may have, prompt and answer together"""
    too_long: Literal["error", "drop", "truncate"] = "error"
    """What to do with rows over max_length; they are counted either way"""
    instruction: Text | None = None
    """The prompt for text/label rows; null: the domain's, else a default"""
    assistant_turns: Literal["all", "last"] = "all"
    """Which assistant turns of a conversation are trained on"""


class LoraRecipe(Section):
    r: Rank | Auto = "auto"
    """Rank of the adapter"""
    lora_alpha: Positive | Auto = "auto"
    """Numerator of the adapter's scale; auto follows r"""
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] | Auto = "auto"
    """Dropout on the adapter's input while training"""
    target_modules: Annotated[list[Text], Field(min_length=1)] | Literal["auto", "all-linear"] = "auto"
    """Layers that get an adapter, by name; a container such as mlp stands for the projections inside"""
    bias: Literal["none", "all", "lora_only", "auto"] = "auto"
    """Which of the base's biases are trained too"""
    use_rslora: bool | Auto = "auto"
    """Scale by alpha / sqrt(r) instead of alpha / r"""
    init_lora_weights: bool | Literal["gaussian", "pissa", "olora", "auto"] = "auto"
    """How the adapter starts; true is PEFT's default. pissa and olora begin from the base's own weights"""
    layers_to_transform: Annotated[list[LayerNumber], Field(min_length=1)] | None = None
    """Numbers of the layers that get an adapter, counted from 0; null: all of them"""
    rank_pattern: Annotated[dict[Pattern, Rank], Field(min_length=1)] | None = None
    """Ranks of single layers, by name or by an expression for the end of a path; null: r everywhere"""
    alpha_pattern: Annotated[dict[Pattern, Positive], Field(min_length=1)] | None = None
    """Alphas of single layers, by the same patterns as ranks; null: lora_alpha everywhere"""
    target_parameters: Annotated[list[Text], Field(min_length=1)] | Auto | None = "auto"
    """Experts fused in one parameter that get an adapter, such as mlp.experts.down_proj; null: none"""
    rank_per_expert: Rank | Auto = "auto"
    """Rank of the adapter on each fused expert"""


class PrefixRecipe(Section):
    num_virtual_tokens: Count | Auto = "auto"
    """Length of the prefix"""
    prefix_projection: bool | Auto = "auto"
    """Train a small network that makes the prefix; what it makes is kept, and no run can go on with it"""
    encoder_hidden_size: Count | Auto = "auto"
    """Width of that network"""
    init_weights: Literal["zero"] | None = None
    """How the prefix starts: at zero; null: drawn at random, PEFT's default"""


class TrainingRecipe(Section):
    learning_rate: Positive | Auto = "auto"
    """Peak learning rate"""
    loraplus_lr_ratio: Annotated[float, Field(ge=1)] = 1.0
    """LoRA+: times the learning rate at which B is trained; 1: the same as A"""
    weight_decay: Annotated[float, Field(ge=0)] | Auto = "auto"
    """Decoupled weight decay of AdamW"""
    optim: Literal["adamw_torch", "adamw_torch_fused", "auto"] = Field(
        default="auto", validation_alias=AliasChoices("optim", "optimizer")
    )
    """Optimizer; optimizer is accepted as a name for this key"""
    adam_beta1: Annotated[float, Field(ge=0, lt=1)] | Auto = "auto"
    """Decay of AdamW's mean of gradients"""
    adam_beta2: Annotated[float, Field(ge=0, lt=1)] | Auto = "auto"
    """Decay of AdamW's mean of squared gradients"""
    adam_epsilon: Positive | Auto = "auto"
    """Term that keeps AdamW's division finite"""
    lr_scheduler_type: Literal["cosine", "linear", "constant", "constant_with_warmup", "auto"] = "auto"
    """Course of the learning rate after the warm-up"""
    warmup_ratio: Annotated[float, Field(ge=0, le=1)] | Auto = "auto"
    """Share of all steps over which the learning rate rises"""
    max_grad_norm: Positive | Auto = "auto"
    """Gradients with a larger norm are scaled down to it"""
    num_train_epochs: Positive | Auto = "auto"
    """Passes over the training rows"""
    max_steps: Count | None = None
    """Optimizer steps; overrides num_train_epochs"""
    per_device_train_batch_size: Count | Auto = "auto"
    """Rows in one forward pass"""
    gradient_accumulation_steps: Count | Auto = "auto"
    """Forward passes per optimizer step"""
    bf16: bool | Auto = "auto"
    """Keep the frozen base in bfloat16; adapters are float32 either way"""
    gradient_checkpointing: bool | Auto = "auto"
    """Keep a layer's input alone and compute the rest again in the backward pass: less memory, a third more time"""
    eval_steps: Count | Auto = "auto"
    """Optimizer steps between held-out evaluations"""
    early_stopping_patience: Count | Auto | None = "auto"
    """Evaluations without improvement after which training stops; null: never"""
    save_steps: Count | Auto = "auto"
    """Optimizer steps between checkpoints"""
    logging_steps: Count | Auto = "auto"
    """Optimizer steps between logged losses"""
    on_nonfinite: Literal["stop", "rollback"] = "stop"
    """A loss that is not finite: stop, or rollback to the last checkpoint and leave its rows out, at most 3 times"""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of the split, the adapter's start, the row order and the dropout"""


class DpoRecipe(Section):
    beta: Positive | Auto = "auto"
    """How closely the model keeps to what it was before; higher is closer"""
    loss_type: Literal["sigmoid", "hinge", "ipo"] = "sigmoid"
    """The loss of a pair"""


class GrpoRecipe(Section):
    num_generations: Annotated[int, Field(ge=2)] | Auto = "auto"
    """Answers written to each prompt, which are held against each other"""
    max_completion_length: Count | Auto = "auto"
    """Most tokens of an answer that is written"""
    beta: Annotated[float, Field(ge=0)] | Auto = "auto"
    """Weight of the distance from what the model was before; 0: none"""
    reward: Literal["auto", "exact_fields", "allowed_label"] = "auto"
    """What an answer is worth: 1 for the right label, or the F1 of the fields it has right"""


class PromptRecipe(Section):
    num_examples: Count | Auto = "auto"
    """Training rows shown before each question"""


class ServingRecipe(Section):
    target: None = None
    """Engine the adapter must load in"""


class Recipe(Section):
    model: Text = "smollm2-135m"
    """The base: an embedded name, a local folder, a .gguf file, or a hub id"""
    domain: Text | None = None
    """A kind of task with its prompt, its scorer and its sample rows"""
    task: Literal["auto", "causal_lm", "seq_cls", "seq_2_seq_lm"] = "auto"
    """How the base answers: it writes on (causal_lm), reads, then writes (seq_2_seq_lm), or has a head (seq_cls)"""
    problem_type: ProblemType | Auto = "auto"
    """Of task seq_cls: a text has one of the labels, or any number of them"""
    objective: Literal["sft", "dpo", "grpo"] = "sft"
    """What training optimises: the answers (sft), preferences between two (dpo), or rewards for answers (grpo)"""
    goal: Literal["adapt", "new_ability"] = "adapt"
    """What the base lacks: adapt, if it can do the task but not well; new_ability, if not at all; weighs on method"""
    data: DataRecipe = DataRecipe()
    """The rows to learn from"""
    doctrine: Text = "rankwise"
    """The named body of advice that decides what is left to auto"""
    method: Literal["auto", "lora", "qlora", "dora", "adalora", "prefix", "full", "prompt", "classifier"] = "auto"
    """How the base is adapted; prompt and classifier leave it as it is: examples before each question, a linear head"""
    adapter: Text | None = None
    """Continue training from this adapter folder"""
    lora: LoraRecipe = LoraRecipe()
    """The adapter, in PEFT's own names"""
    prefix: PrefixRecipe = PrefixRecipe()
    """Of method prefix: keys and values before every row, in PEFT's own names"""
    training: TrainingRecipe = TrainingRecipe()
    """The training run, in Hugging Face's own names"""
    dpo: DpoRecipe = DpoRecipe()
    """Of objective dpo, in TRL's own names"""
    grpo: GrpoRecipe = GrpoRecipe()
    """Of objective grpo, in TRL's own names"""
    prompt: PromptRecipe = PromptRecipe()
    """Of method prompt"""
    quantization: Literal["auto", "none", "nf4", "int8"] = "auto"
    """How the frozen base is kept: as it is, in 4 bits (nf4, with double quantisation), or in 8"""
    shared_prefix: bool | Auto = "auto"
    """Compute the part of the prompt that all rows share once"""
    tracking: Literal["tensorboard", "mlflow", "wandb", "trackio"] | None = None
    """Where metrics are sent besides the run folder"""
    serving: ServingRecipe = ServingRecipe()
    """The engine that will serve the adapter"""
