"""A forward of our own for decoders built as Llama's are: few operations a step, and no copy of what rows hold.

On a CPU most of a step for a few rows is the cost of calling operations, not of computing. So q, k and v are one
product, gate and up are one; keys and values stand in buffers laid out once, a row's slot being its place in the batch;
and attention is one call a layer. Whether a base is such a decoder is decided by what it has, and then by what it
computes: `Decoder.of` holds its logits against the base's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from rankwise.model.hidden import probe_ids
from rankwise.model.load import TOLERANCE
from rankwise.model.packing import Packing
from rankwise.serve.engine import Piece
from rankwise.serve.pool import Group
from rankwise.serve.segments import Segments

Attend = Callable[[int, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""(layer, q (T, H, D), k (T, K, D), v (T, K, D)) -> (T, H D)."""

LAYER_PARTS = {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"}
ATTENTION_PARTS = {"q_proj", "k_proj", "v_proj", "o_proj"}
MLP_PARTS = {"gate_proj", "up_proj", "down_proj"}
FIXED_ROPE = {"default", "linear", "llama3", "yarn"}
"""Kinds of rotary positions whose angles do not depend on how long a row is."""
GROUPS = 4
"""Of a layer: q k v, o, gate up, down."""
PROBED = 24


@dataclass(frozen=True)
class _Product:
    weight: torch.Tensor
    """(out, in)"""
    bias: torch.Tensor | None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight, self.bias)

    def onto(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        out = torch.addmm(residual, x, self.weight.t())
        return out if self.bias is None else out.add_(self.bias)


@dataclass(frozen=True)
class _Layer:
    norm_attention: torch.Tensor
    qkv: _Product
    out: _Product
    norm_mlp: torch.Tensor
    gate_up: _Product
    down: _Product


class Decoder:
    """Shapes: T tokens of a pass, H query heads, K key heads, D head size, G = H / K."""

    keeps_prompts = True

    def __init__(self, model: Any, slots: int, capacity: int) -> None:
        """`model`: as `_is_like_llama` says; it is not needed afterwards."""
        body, config = model.model, model.config
        attention = body.layers[0].self_attn
        self.slots, self.capacity = slots, capacity
        self.head_dim = int(attention.head_dim)
        self.heads = attention.q_proj.out_features // self.head_dim
        self.key_heads = attention.k_proj.out_features // self.head_dim
        self.scale = float(attention.scaling)
        self.eps = float(config.rms_norm_eps)
        self.embedding = body.embed_tokens.weight
        self.head = _Product(model.lm_head.weight, model.lm_head.bias)
        self.norm = body.norm.weight
        self.layers = [_layer(layer) for layer in body.layers]
        self.groups = [group for number in range(len(body.layers)) for group in _groups(number, body.layers[number])]
        self.dtype, self.device = self.embedding.dtype, self.embedding.device
        positions = torch.arange(capacity, device=self.device)[None]
        cos, sin = body.rotary_emb(self.embedding.new_empty(1, 1, 1), positions)
        self.cos, self.sin = cos[0, :, None], sin[0, :, None]  # (capacity, 1, D)
        # Zeros, for what a weight of zero multiplies must be finite.
        shape = (len(self.layers), 2, slots, self.key_heads, capacity, self.head_dim)
        self.kv = _zeros(shape, self.dtype, self.device)

    @classmethod
    def of(cls, model: Any, slots: int, capacity: int) -> Decoder | None:
        """None where the base is built otherwise, or computes something else."""
        if not _is_like_llama(model):
            return None
        decoder = cls(model, slots, capacity)
        return decoder if decoder._computes_the_same(model) else None

    @staticmethod
    def slot_bytes(model: Any, capacity: int) -> int:
        """Bytes of one slot's keys and values."""
        config = model.config.get_text_config()
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        return 2 * int(config.num_hidden_layers) * int(heads) * int(size) * capacity * int(model.dtype.itemsize)

    @torch.inference_mode()
    def prefill(self, pieces: Sequence[Piece]) -> list[torch.Tensor]:
        ids = torch.tensor([token for piece in pieces for token in piece.ids], device=self.device)
        positions = torch.cat([piece.positions() for piece in pieces]).to(self.device)
        masks = [_mask(piece, self.device) for piece in pieces]

        def attend(layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            out, at = torch.empty_like(q), 0
            for piece, mask in zip(pieces, masks, strict=True):
                own, end = slice(at, at + len(piece.ids)), piece.start + len(piece.ids)
                keys, values = self.kv[layer, :, piece.slot, :, :end]  # (K, end, D) each
                keys[:, piece.start :] = k[own].transpose(0, 1)
                values[:, piece.start :] = v[own].transpose(0, 1)
                seen = F.scaled_dot_product_attention(
                    q[own].transpose(0, 1)[None],
                    keys[None],
                    values[None],
                    attn_mask=mask,
                    is_causal=mask is None,
                    scale=self.scale,
                    enable_gqa=True,
                )
                out[own] = seen[0].transpose(0, 1)
                at = own.stop
            return out.flatten(1)

        seats = [piece.seat for piece in pieces for _ in piece.ids]
        hidden = self._hidden(ids, positions, Segments(seats), attend)
        ends = torch.tensor([len(piece.ids) for piece in pieces]).cumsum(0).tolist()
        wanted = [hidden[end - piece.wanted : end] for piece, end in zip(pieces, ends, strict=True)]
        return list(self.head(torch.cat(wanted)).split([piece.wanted for piece in pieces]))

    @torch.inference_mode()
    def decode(self, ids: Sequence[int], lengths: Sequence[int], segments: Segments) -> torch.Tensor:
        count, reach = len(ids), max(lengths) + 1
        at = torch.tensor(lengths, device=self.device)
        rows = torch.arange(count, device=self.device)
        unseen = torch.arange(reach, device=self.device) > at[:, None]
        mask = torch.zeros(count, 1, 1, reach, dtype=self.dtype, device=self.device)
        mask.masked_fill_(unseen[:, None, None], float("-inf"))

        def attend(layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            keys, values = self.kv[layer, :, :count]
            keys[rows, :, at], values[rows, :, at] = k, v
            # The query heads of a key head as if they were queries of one row.
            seen = F.scaled_dot_product_attention(
                q.view(count, self.key_heads, -1, self.head_dim),
                keys[:, :, :reach],
                values[:, :, :reach],
                attn_mask=mask,
                scale=self.scale,
            )
            return seen.reshape(count, -1)

        return self.head(self._hidden(torch.tensor(ids, device=self.device), at, segments, attend))

    def _hidden(self, ids: torch.Tensor, positions: torch.Tensor, segments: Segments, attend: Attend) -> torch.Tensor:
        """Last hidden states, normed: (T, hidden)."""
        x = F.embedding(ids, self.embedding)
        cos, sin, width = self.cos[positions], self.sin[positions], (x.shape[-1],)
        turned_heads = self.heads + self.key_heads
        for number, layer in enumerate(self.layers):
            group = GROUPS * number
            normed = F.rms_norm(x, width, layer.norm_attention, self.eps)
            qkv = segments.add(group, normed, layer.qkv(normed)).view(len(ids), -1, self.head_dim)
            turned = _turned(qkv[:, :turned_heads], cos, sin)
            seen = attend(number, turned[:, : self.heads], turned[:, self.heads :], qkv[:, turned_heads:])
            x = segments.add(group + 1, seen, layer.out.onto(x, seen))
            normed = F.rms_norm(x, width, layer.norm_mlp, self.eps)
            gate, up = segments.add(group + 2, normed, layer.gate_up(normed)).chunk(2, dim=-1)
            opened = F.silu(gate).mul_(up)
            x = segments.add(group + 3, opened, layer.down.onto(x, opened))
        return F.rms_norm(x, width, self.norm, self.eps)

    def move(self, source: int, target: int, length: int) -> None:
        self.kv[:, :, target, :, :length] = self.kv[:, :, source, :, :length]

    def copy_out(self, slot: int, length: int) -> torch.Tensor:
        """(layers, 2, K, length, D)."""
        return self.kv[:, :, slot, :, :length].clone()

    def copy_in(self, slot: int, kept: torch.Tensor, length: int) -> None:
        self.kv[:, :, slot, :, :length] = kept[:, :, :, :length]

    @torch.inference_mode()
    def _computes_the_same(self, model: Any) -> bool:
        """Of some tokens in two passes, the second a step: the logits of the base's own forward."""
        ids = probe_ids(model, PROBED)
        packing = Packing([PROBED], device=self.device)
        own = model(input_ids=ids[None], position_ids=packing.positions(), packing=packing, use_cache=False).logits[0]
        tokens = ids.tolist()
        first = self.prefill([Piece(0, 0, tokens[:-1], None)])[0]
        last = self.decode(tokens[-1:], [PROBED - 1], Segments([None]))
        got, expected = torch.cat([first, last]).float(), own[-2:].float()
        name = str(self.dtype).removeprefix("torch.")
        return bool((got - expected).norm() <= TOLERANCE.get(name, 0.0) * expected.norm())


def _zeros(shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """On a CPU, pages that no row reached take no memory: numpy asks the system for zeros, torch would write them."""
    if device.type != "cpu":
        return torch.zeros(*shape, dtype=dtype, device=device)
    return torch.from_numpy(np.zeros(prod(shape) * dtype.itemsize, np.uint8)).view(dtype).view(*shape)


def _turned(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """x (T, heads, D) turned by cos and sin (T, 1, D), whose halves are alike."""
    half = x.shape[-1] // 2
    out = torch.mul(x, cos)
    out[..., :half].addcmul_(x[..., half:], sin[..., :half], value=-1)
    out[..., half:].addcmul_(x[..., :half], sin[..., half:])
    return out


def _mask(piece: Piece, device: torch.device) -> torch.Tensor | None:
    """bool (tokens, start + tokens), true where seen; None: each token sees all before it, and the slot was empty."""
    count, tree = len(piece.ids), piece.tree
    if not piece.start and (tree is None or not tree.num_nodes):
        return None
    seen = torch.ones(count, piece.start + count, dtype=torch.bool).tril(piece.start)
    if tree is not None and tree.num_nodes:
        seen[-tree.num_nodes :, -tree.num_nodes :] = tree.mask
    return seen.to(device)


def _layer(layer: Any) -> _Layer:
    attention, mlp = layer.self_attn, layer.mlp
    return _Layer(
        norm_attention=layer.input_layernorm.weight,
        qkv=_joined(attention.q_proj, attention.k_proj, attention.v_proj),
        out=_joined(attention.o_proj),
        norm_mlp=layer.post_attention_layernorm.weight,
        gate_up=_joined(mlp.gate_proj, mlp.up_proj),
        down=_joined(mlp.down_proj),
    )


def _joined(*layers: nn.Linear) -> _Product:
    if len(layers) == 1:
        return _Product(layers[0].weight.detach(), None if layers[0].bias is None else layers[0].bias.detach())
    biases = [layer.bias for layer in layers if layer.bias is not None]
    return _Product(
        torch.cat([layer.weight.detach() for layer in layers]),
        torch.cat([bias.detach() for bias in biases]) if biases else None,
    )


def _groups(number: int, layer: Any) -> list[Group]:
    joined = (
        ("self_attn", ("q_proj", "k_proj", "v_proj")),
        ("self_attn", ("o_proj",)),
        ("mlp", ("gate_proj", "up_proj")),
        ("mlp", ("down_proj",)),
    )
    groups = []
    for part, names in joined:
        layers = [getattr(getattr(layer, part), name) for name in names]
        modules = tuple(f"model.layers.{number}.{part}.{name}" for name in names)
        groups.append(Group(modules, layers[0].in_features, tuple(each.out_features for each in layers)))
    return groups


def _is_like_llama(model: Any) -> bool:
    """Whether it has a Llama's parts, dense, and no more."""
    body, config = getattr(model, "model", None), model.config
    layers = getattr(body, "layers", None)
    if not isinstance(layers, nn.ModuleList) or not hasattr(body, "rotary_emb") or not hasattr(model, "lm_head"):
        return False
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    windows = getattr(config, "sliding_window", None), getattr(config, "layer_types", None) or ()
    if rope not in FIXED_ROPE or windows[0] is not None or set(windows[1]) - {"full_attention"}:
        return False
    return isinstance(getattr(config, "rms_norm_eps", None), float) and all(_is_llamas(layer) for layer in layers)


def _is_llamas(layer: nn.Module) -> bool:
    parts = dict(layer.named_children())
    if parts.keys() != LAYER_PARTS:
        return False
    attention, mlp = dict(parts["self_attn"].named_children()), dict(parts["mlp"].named_children())
    linear = [attention.get(name) for name in ATTENTION_PARTS] + [mlp.get(name) for name in MLP_PARTS]
    biased = [getattr(attention.get(name), "bias", None) is not None for name in ("q_proj", "k_proj", "v_proj")]
    return (
        attention.keys() == ATTENTION_PARTS
        and MLP_PARTS <= mlp.keys() <= MLP_PARTS | {"act_fn"}
        and all(type(each) is nn.Linear for each in linear)
        and len(set(biased)) == 1
        and (getattr(mlp["gate_proj"], "bias", None) is None) == (getattr(mlp["up_proj"], "bias", None) is None)
    )
