"""How other tools and guides write what a recipe says: their keys, and what becomes of each.

Facts from their own schemas: Axolotl (utils/schemas), LLaMA-Factory (hparams), PEFT 0.21 (LoraConfig), transformers 5
(TrainingArguments), and the default configuration in "LoRA/QLoRA Doctrine".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_TRAINING: Mapping[str, str] = {
    key: f"training.{key}"
    for key in (
        *("learning_rate", "weight_decay", "optim", "adam_beta1", "adam_beta2", "adam_epsilon", "lr_scheduler_type"),
        *("warmup_ratio", "max_grad_norm", "num_train_epochs", "max_steps", "per_device_train_batch_size"),
        *("gradient_accumulation_steps", "eval_steps", "save_steps", "logging_steps", "seed"),
        "gradient_checkpointing",
    )
}
"""The names of transformers' TrainingArguments, which are a recipe's own."""


@dataclass(frozen=True)
class Dialect:
    name: str
    marks: frozenset[str]
    """Keys that tell a file of this kind."""
    same: Mapping[str, str]
    """Its key -> the recipe's key that means the same."""
    neutral: Mapping[str, object]
    """Key -> the value that asks for nothing; `...`: no value does."""
    unsaid: str
    """What a reader must know of the keys that such a file leaves out."""


AXOLOTL = Dialect(
    "Axolotl",
    frozenset({"base_model", "lora_r", "lora_target_linear", "sequence_len", "micro_batch_size", "adapter"}),
    {
        **{key: value for key, value in _TRAINING.items() if key not in ("optim", "per_device_train_batch_size")},
        "base_model": "model",
        "lora_model_dir": "adapter",
        "lora_r": "lora.r",
        "lora_alpha": "lora.lora_alpha",
        "lora_dropout": "lora.lora_dropout",
        "lora_target_parameters": "lora.target_parameters",
        "peft_use_rslora": "lora.use_rslora",
        "peft_init_lora_weights": "lora.init_lora_weights",
        "optimizer": "training.optim",
        "lr_scheduler": "training.lr_scheduler_type",
        "num_epochs": "training.num_train_epochs",
        "micro_batch_size": "training.per_device_train_batch_size",
        "early_stopping_patience": "training.early_stopping_patience",
    },
    {"model_type": ..., "tokenizer_type": ..., "strict": False, "shuffle_merged_datasets": True},
    "not Axolotl's default",
)

LLAMA_FACTORY = Dialect(
    "LLaMA-Factory",
    frozenset({"model_name_or_path", "finetuning_type", "lora_target", "cutoff_len", "stage", "template", "do_train"}),
    {
        **_TRAINING,
        "model_name_or_path": "model",
        "adapter_name_or_path": "adapter",
        "lora_rank": "lora.r",
        "lora_alpha": "lora.lora_alpha",
        "lora_dropout": "lora.lora_dropout",
        "use_rslora": "lora.use_rslora",
    },
    {
        **{"do_train": True, "mix_strategy": "concat", "report_to": "none", "max_steps": -1},
        **{"save_only_model": False, "ignore_pad_token_for_loss": True, "create_new_adapter": False},
    },
    "not LLaMA-Factory's default (lora_rank 8, lora_alpha twice that, every linear layer)",
)

PEFT = Dialect(
    "PEFT",
    frozenset({"peft_type", "base_model_name_or_path", "inference_mode"}),
    {
        "base_model_name_or_path": "model",
        "r": "lora.r",
        "lora_alpha": "lora.lora_alpha",
        "lora_dropout": "lora.lora_dropout",
        "bias": "lora.bias",
        "target_parameters": "lora.target_parameters",
        "use_rslora": "lora.use_rslora",
        "init_lora_weights": "lora.init_lora_weights",
        "num_virtual_tokens": "prefix.num_virtual_tokens",
        "prefix_projection": "prefix.prefix_projection",
        "init_weights": "prefix.init_weights",
    },
    {
        # of a prefix, what PEFT takes from the base
        **{"num_layers": ..., "token_dim": ..., "num_attention_heads": ..., "num_transformer_submodules": ...},
        **{"peft_version": ..., "inference_mode": ..., "auto_mapping": ..., "fan_in_fan_out": ...},
        **{"megatron_core": "megatron.core", "qalora_group_size": 16, "runtime_config": ...},
        **{"use_qalora": False, "ensure_weight_tying": False},
    },
    "the whole training run, for the file holds the adapter's settings alone",
)

GUIDE = Dialect(
    "LoRA/QLoRA Doctrine",
    frozenset({"lora_rank", "apply_to", "init_A", "init_B", "lr_multiplier", "lora_rank_per_expert"}),
    {**_TRAINING, "lora_rank": "lora.r", "lora_alpha": "lora.lora_alpha", "dropout": "lora.lora_dropout"}
    | {"lora_dropout": "lora.lora_dropout"},
    {},
    "not what the document's text adds to its default configuration",
)

SECTIONED = Dialect(
    "a recipe's own sections",
    frozenset({"lora", "training", "data", "model"}),
    {},
    {},
    "as in any recipe",
)

DIALECTS = (PEFT, LLAMA_FACTORY, AXOLOTL, GUIDE, SECTIONED)

_PACKED = "rows are always packed, without padding, and see only themselves"
_ATTENTION = "attention over packed rows is rankwise's own"
_TEMPLATE = "rows are rendered by the base's own chat template"
_FOLDER = "a run is one folder: give --output to rankwise train"
_METRICS = "metrics stay in the run folder"
_ONE_DEVICE = "this build trains in one process on one device"
_WHOLE = "nothing but the adapter (and biases, by lora.bias) is trained"
_DTYPE = "the base is kept in bfloat16 or float32 (training.bf16), the adapter in float32"
_OBJECTIVE = "objective: dpo and grpo have keys of their own (dpo.beta, grpo.num_generations)"
_STEPS = "counted in optimizer steps here (training.eval_steps, training.save_steps)"
_SPEED = "rankwise has its own fast path"
_ROWS = "rows are read by their own keys: text/label, instruction/input/output, prompt/completion or messages"
_LOADER = "rows are read and rendered once, in this process"

WHY: Mapping[str, str] = {
    **dict.fromkeys(("sample_packing", "eval_sample_packing", "pad_to_sequence_len", "group_by_length"), _PACKED),
    **dict.fromkeys(("packing", "neat_packing", "multipack_real_batches", "sample_packing_bin_size"), _PACKED),
    **dict.fromkeys(("flash_attention", "xformers_attention", "sdp_attention", "s2_attention"), _ATTENTION),
    **dict.fromkeys(("eager_attention", "flex_attention", "attn_implementation", "flash_attn"), _ATTENTION),
    **dict.fromkeys(("special_tokens", "tokens", "tokenizer_config", "chat_template"), _TEMPLATE),
    **dict.fromkeys(("chat_template_jinja", "template", "default_system", "tool_format", "enable_thinking"), _TEMPLATE),
    **dict.fromkeys(("output_dir", "dataset_prepared_path", "hub_model_id", "overwrite_output_dir"), _FOLDER),
    **dict.fromkeys(("run_name", "logging_dir", "plot_loss", "tokenized_path"), _FOLDER),
    **dict.fromkeys(("report_to", "use_tensorboard", "use_swanlab", "use_comet", "use_mlflow", "use_wandb"), _METRICS),
    **dict.fromkeys(("deepspeed", "fsdp", "fsdp_config", "ddp_timeout", "tensor_parallel_size"), _ONE_DEVICE),
    **dict.fromkeys(("device_map", "max_memory", "context_parallel_size", "sequence_parallel_degree"), _ONE_DEVICE),
    **dict.fromkeys(("layers_pattern", "peft_layers_pattern"), "layers are numbered by the first number in their path"),
    "exclude_modules": "name the layers that are adapted, in lora.target_modules",
    **dict.fromkeys(("lora_modules_to_save", "modules_to_save", "additional_target", "unfrozen_parameters"), _WHOLE),
    **dict.fromkeys(("trainable_token_indices", "peft_trainable_token_indices", "lora_bias"), _WHOLE),
    **dict.fromkeys(("fp16", "float16", "tf32", "pure_bf16", "bfloat16", "fp8"), _DTYPE),
    **dict.fromkeys(("rl", "reward_model", "process_reward_model", "pref_beta", "pref_loss"), _OBJECTIVE),
    **dict.fromkeys(("evals_per_epoch", "saves_per_epoch", "eval_strategy", "evaluation_strategy"), _STEPS),
    **dict.fromkeys(("save_strategy", "do_eval"), _STEPS),
    **dict.fromkeys(("lora_mlp_kernel", "lora_qkv_kernel", "lora_o_kernel", "torch_compile"), _SPEED),
    **dict.fromkeys(("use_unsloth", "enable_liger_kernel", "plugins"), _SPEED),
    **dict.fromkeys(("preprocessing_num_workers", "dataloader_num_workers", "dataset_processes"), _LOADER),
    **dict.fromkeys(("overwrite_cache", "streaming", "preprocessing_batch_size", "buffer_size"), _LOADER),
    **dict.fromkeys(("per_device_eval_batch_size", "eval_batch_size"), "held-out batches are as large as training's"),
    "batch_size": "it follows from training.per_device_train_batch_size and gradient_accumulation_steps",
    "train_on_inputs": "prompts are never trained on",
    "train_on_prompt": "prompts are never trained on",
    "trust_remote_code": "code that comes with a base is never run",
    "resume_from_checkpoint": "rankwise train --resume RUN goes on with a run",
    "auto_resume_from_checkpoints": "rankwise train --resume RUN goes on with a run",
    "warmup_steps": "how many steps there are is the plan's to say; give a share, training.warmup_ratio",
    "loraplus_lr_ratio": "A and B have one learning rate here",
    "neftune_noise_alpha": "no noise is added to embeddings",
    "cosine_min_lr_ratio": "the cosine goes down to zero",
    "dataset": "a name in LLaMA-Factory's dataset_info.json; name its file in data.train",
    "eval_dataset": "a name in LLaMA-Factory's dataset_info.json; name its file in data.held_out",
    "dataset_dir": "data.train names the file itself",
    "max_samples": "all rows are used; give a shorter file",
    "revision": "the base is fetched as it is now; its digest is recorded with the adapter",
    "shuffle_merged_datasets": "rows are shuffled anew in each pass, by training.seed",
}
"""Key of any dialect -> why a recipe does not say it."""
WHY_BEGINS: Mapping[str, str] = {
    **dict.fromkeys(("wandb_", "mlflow_", "comet_", "swanlab_", "otel_", "trackio_"), _METRICS),
    **dict.fromkeys(("fsdp_", "deepspeed_", "ddp_", "dp_"), _ONE_DEVICE),
    **dict.fromkeys(("dpo_", "kto_", "ppo_", "simpo_", "orpo_", "ref_model", "trl"), _OBJECTIVE),
    **dict.fromkeys(("field_", "message_", "roles", "train_on_eos"), _ROWS),
}
"""The same, by the beginning of the key."""


def why_not(key: str, otherwise: str = "a recipe has no such key") -> str:
    """Why no recipe says what `key` does."""
    begun = next((why for begin, why in WHY_BEGINS.items() if key.startswith(begin)), None)
    return WHY.get(key) or begun or otherwise
