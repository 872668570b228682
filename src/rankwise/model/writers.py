"""What is asked of a base that writes its answers, be it a causal one or an encoder-decoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from rankwise.data.render import Rendered
from rankwise.model import generate as causal
from rankwise.model import loss as causal_loss
from rankwise.model.encoder_decoder import generate_answers, is_encoder_decoder, mean_answer_loss, score_answers
from rankwise.model.generate import Done, Generated, Tokens


def score_labels(
    model: torch.nn.Module, prompts: Sequence[Tokens], answers: Sequence[Tokens], done: Done = lambda rows: None
) -> torch.Tensor:
    """ln p(answer | prompt) of every label, stop token included: float32 (prompts, labels)."""
    score = score_answers if is_encoder_decoder(model) else causal.score_labels
    return score(model, prompts, answers, done)


def generate(
    model: torch.nn.Module,
    prompts: Sequence[Tokens],
    stop_ids: frozenset[int],
    max_new_tokens: int,
    done: Done = lambda rows: None,
) -> list[Generated]:
    """The most probable token at every step, until a stop token or `max_new_tokens`; in the prompts' order."""
    write = generate_answers if is_encoder_decoder(model) else causal.generate
    return write(model, prompts, stop_ids, max_new_tokens, done)


def mean_loss(model: torch.nn.Module, rows: Sequence[Rendered], batch_rows: int) -> float:
    """Mean -ln p per supervised token over `rows`, in nats."""
    if is_encoder_decoder(model):
        return mean_answer_loss(model, rows, batch_rows)
    return causal_loss.mean_loss(model, rows, batch_rows, share=True)
