"""AdaLoRA: low-rank products whose singular values are pruned while they are trained, kept as plain LoRA.

PEFT injects the layers (B diag(E) A) and allocates the ranks. What is written is the LoRA that is left, a rank and a
scale for each layer: every server that knows LoRA's patterns loads it, and nothing of the pruning is needed any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MethodType
from typing import Any

import torch
from peft import AdaLoraConfig, PeftModel, get_peft_model
from peft.tuners.adalora.layer import SVDLinear
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel

from rankwise.facts.payload import CONFIG, WEIGHTS
from rankwise.files import read_json, write_json
from rankwise.model.attach import without_moot_warnings
from rankwise.model.lora import LowRank
from rankwise.model.quantize import dense_weight, is_dense
from rankwise.plan.adalora import Schedule

NAME = "default"
MASK, AVERAGE, UNCERTAINTY = "mask", "exp_avg_ipt", "exp_avg_unc"
LEAST_DENOMINATOR = 1e-5
"""PEFT divides by the rank plus this."""


def attach_adalora(
    model: PreTrainedModel, targets: list[str], lora_alpha: float, lora_dropout: float, schedule: Schedule, seed: int
) -> PeftModel:
    """A fresh adapter at its initial rank, in float32; every E is zero, so that it begins as the base."""
    torch.manual_seed(seed)
    config = AdaLoraConfig(
        task_type="CAUSAL_LM",
        target_modules=targets,
        lora_alpha=lora_alpha,  # type: ignore[arg-type]  # PEFT computes with floats as well
        lora_dropout=lora_dropout,
        init_r=schedule.init_r,
        target_r=schedule.target_r,
        tinit=schedule.tinit,
        tfinal=schedule.tfinal,
        deltaT=schedule.deltaT,
        total_step=schedule.total_step,
    )
    with without_moot_warnings():
        adapted = get_peft_model(model, config)
    for name, parameter in adapted.named_parameters():
        if ".ranknum." in name:  # counts ranks; on a bfloat16 base PEFT makes it anew, and trainable
            parameter.requires_grad_(False)
    for module in adapted.modules():
        if type(module) is SVDLinear and is_dense(module.get_base_layer()):
            module.forward = MethodType(_forward, module)  # type: ignore[method-assign]
    return adapted  # type: ignore[return-value]


def _scale(layer: Any) -> float:
    return float(layer.scaling[NAME] / (float(layer.ranknum[NAME]) + LEAST_DENOMINATOR))


def _forward(self: Any, x: torch.Tensor) -> torch.Tensor:
    if self.disable_adapters or self.merged:
        return self.base_layer(x)  # type: ignore[no-any-return]
    dropout, base = self.lora_dropout[NAME], self.base_layer
    keep = None
    if self.training and isinstance(dropout, nn.Dropout) and dropout.p > 0:
        keep = torch.empty_like(x).bernoulli_(1 - dropout.p).div_(1 - dropout.p)
    a = self.lora_A[NAME] * self.lora_E[NAME]
    b, weight = self.lora_B[NAME], dense_weight(base, x.dtype)
    return LowRank.apply(x, base, weight, base.bias, a, b, _scale(self), keep)  # type: ignore[no-any-return]


class Allocator:
    """What AdaLoRA does beside the loss's gradient, and what it remembers from step to step."""

    def __init__(self, model: PeftModel, schedule: Schedule) -> None:
        tuner: Any = model.base_model
        self._inner, self._ranks = tuner.model, tuner.rankallocator
        self._config: Any = model.peft_config[NAME]
        self._schedule = schedule
        self._layers: dict[str, Any] = {n: m for n, m in self._inner.named_modules() if isinstance(m, SVDLinear)}
        self.mask: dict[str, list[bool]] | None = None
        """Which singular values of each E are left, once the ranks are final."""

    @property
    def is_final(self) -> bool:
        """Whether the ranks are those that will be kept; what is evaluated before cannot be."""
        return self.mask is not None

    def regularise(self) -> None:
        """Add the gradient of how far A and B are from orthonormal: AdaLoRA paper, equation 4."""
        apart = []
        for layer in self._layers.values():
            a, b = layer.lora_A[NAME], layer.lora_B[NAME]
            for gram in (a @ a.t(), b.t() @ b):
                apart.append(torch.linalg.matrix_norm(gram - torch.eye(len(gram), device=gram.device)))
        (self._config.orth_reg_weight * torch.stack(apart).mean()).backward()  # type: ignore[no-untyped-call]

    def stepped(self, step: int) -> None:
        """Score the singular values by this step's gradients, and prune what the budget has no room for."""
        if step < self._schedule.total_step - self._schedule.tfinal:
            self._ranks.update_and_allocate(self._inner, step)
        elif self.mask is None:
            _, self.mask = self._ranks.update_and_allocate(self._inner, step, force_mask=True)
            self._ranks.reset_ipt()
        else:
            self._ranks.mask_using_rank_pattern(self._inner, self.mask)

    def state(self) -> dict[str, torch.Tensor]:
        """For a checkpoint."""
        kept = {f"{AVERAGE}:{name}": value for name, value in self._ranks.exp_avg_ipt.items()}
        kept |= {f"{UNCERTAINTY}:{name}": value for name, value in self._ranks.exp_avg_unc.items()}
        return kept | {f"{MASK}:{name}": torch.tensor(left) for name, left in (self.mask or {}).items()}

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        self._ranks.reset_ipt()
        mask: dict[str, list[bool]] = {}
        for key, value in state.items():
            kind, _, name = key.partition(":")
            if kind == MASK:
                mask[name] = value.tolist()
            else:
                getattr(self._ranks, kind)[name] = value
                self._ranks.ipt[name] = torch.zeros_like(value)  # made anew by every step
        self.mask = mask or None

    def ranks(self) -> dict[str, int]:
        """Of each layer, singular values that are left."""
        return {name: int((layer.lora_E[NAME] != 0).sum()) for name, layer in self._layers.items()}

    def save_plain(self, folder: Path) -> None:
        """Turn what PEFT saved in `folder` into plain LoRA: E is multiplied into A, and what was pruned is left out."""
        config, tensors = read_json(folder / CONFIG), load_file(folder / WEIGHTS)
        plain = {name: value for name, value in tensors.items() if ".lora_" not in name}
        ranks: dict[str, int] = {}
        alphas: dict[str, float] = {}
        for name, layer in self._layers.items():
            left = (layer.lora_E[NAME].detach() != 0).flatten()
            if not left.any():
                left[0] = True  # a layer of rank 0 is one of rank 1 that adds nothing
            a = (layer.lora_A[NAME] * layer.lora_E[NAME]).detach()[left]
            ranks[name], alphas[name] = len(a), _scale(layer) * len(a)
            place = f"base_model.model.{name}"
            plain[f"{place}.lora_A.weight"] = a.cpu().contiguous()
            plain[f"{place}.lora_B.weight"] = layer.lora_B[NAME].detach()[:, left].cpu().contiguous()
        save_file(plain, folder / WEIGHTS, metadata={"format": "pt"})
        for key in (
            "init_r",
            "target_r",
            "tinit",
            "tfinal",
            "deltaT",
            "beta1",
            "beta2",
            "orth_reg_weight",
            "total_step",
        ):
            config.pop(key, None)
        config |= {"peft_type": "LORA", "r": max(ranks.values()), "rank_pattern": ranks, "alpha_pattern": alphas}
        write_json(folder / CONFIG, config)
