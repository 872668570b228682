"""An encoder-decoder, T5 for one: it reads a prompt once, and writes the answer token by token.

Its encoder's tokens see both sides, so rows are padded, their padding masked, and those of like length go together. The
decoder is given, before each token of an answer, those before it, and before the first its start token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import nn
from torch.nn import functional as F
from transformers import AutoModelForSeq2SeqLM, PreTrainedModel

from rankwise.data.render import Rendered
from rankwise.facts.encoder_decoder import require_start
from rankwise.model.generate import BATCH_LOGITS, BATCH_TOKENS, Done, Generated, Tokens
from rankwise.model.load import put_on, read_model, require_weights
from rankwise.model.loss import nothing


def load_encoder_decoder(folder: Path, dtype: str, device: str) -> PreTrainedModel:
    """The frozen encoder-decoder in `folder`, in evaluation mode. BaseError if it cannot be read, lacks weights, has no
    room on `device`, or names no start token."""
    require_start(folder)
    model, missing = read_model(AutoModelForSeq2SeqLM, folder, dtype, device, "none", {})
    require_weights(missing, folder)
    model.config.use_cache = False
    put_on(device, model, folder)
    return model


def is_encoder_decoder(model: nn.Module) -> bool:
    """Whether the base writes so, with or without an adapter on it."""
    return bool(getattr(_base(model).config, "is_encoder_decoder", False))


def answer_losses(model: nn.Module, rows: Sequence[Rendered]) -> torch.Tensor:
    """-ln p of every token of the answers, float32, row after row."""
    base = _base(model)
    sources, seen = _padded([row.ids[: row.prompt] for row in rows], base)
    targets, written = _padded([row.ids[row.prompt :] for row in rows], base)
    logits = base(
        input_ids=sources, attention_mask=seen, decoder_input_ids=_shifted(targets, base), use_cache=False
    ).logits
    return F.cross_entropy(logits[written].float(), targets[written], reduction="none")


@torch.no_grad()
def mean_answer_loss(
    model: nn.Module, rows: Sequence[Rendered], batch_rows: int, between: Callable[[], None] = nothing
) -> float:
    """Mean -ln p per token of the answers of `rows`, in nats. `between` is called before each batch, and may raise to
    leave early."""
    ordered = by_length(rows)
    total, tokens = 0.0, 0
    for start in range(0, len(ordered), batch_rows):
        between()
        losses = answer_losses(model, ordered[start : start + batch_rows])
        total += float(losses.sum())
        tokens += losses.numel()
    return total / tokens


def by_length(rows: Sequence[Rendered]) -> list[Rendered]:
    """The longest first, so that neighbours need little padding."""
    return sorted(rows, key=lambda row: (-row.prompt, -len(row.ids)))


@torch.no_grad()
def score_answers(
    model: nn.Module, prompts: Sequence[Tokens], answers: Sequence[Tokens], done: Done = lambda rows: None
) -> torch.Tensor:
    """ln p(answer | prompt) of every label, stop token included: float32 (prompts, labels). A prompt is encoded once.

    `answers`: each label's tokens, ending in the stop token.
    """
    base = _base(model)
    scores = torch.empty(len(prompts), len(answers))
    for chosen in _batches(prompts, max(1, BATCH_LOGITS // max(map(len, answers)))):
        encoded, seen = _encode([prompts[i] for i in chosen], base)
        for label, answer in enumerate(answers):
            targets = torch.tensor([list(answer)] * len(chosen), device=seen.device)
            logits = base(
                encoder_outputs=encoded,
                attention_mask=seen,
                decoder_input_ids=_shifted(targets, base),
                use_cache=False,
            ).logits
            steps = logits.float().log_softmax(-1).gather(-1, targets[:, :, None])
            scores[chosen, label] = steps.sum((1, 2)).cpu()
        done(len(chosen))
    return scores


@torch.no_grad()
def generate_answers(
    model: nn.Module,
    prompts: Sequence[Tokens],
    stop_ids: frozenset[int],
    max_new_tokens: int,
    done: Done = lambda rows: None,
    batch_rows: int = 48,
) -> list[Generated]:
    """The most probable token at every step, until a stop token or `max_new_tokens`; in the prompts' order."""
    answers: dict[int, Generated] = {}
    for chosen in _batches(prompts, batch_rows):
        written = _write([prompts[i] for i in chosen], stop_ids, max_new_tokens, _base(model))
        answers.update(zip(chosen, written, strict=True))
        done(len(chosen))
    return [answers[i] for i in range(len(prompts))]


def _write(prompts: Sequence[Tokens], stop_ids: frozenset[int], most: int, base: Any) -> list[Generated]:
    """Answers of one batch, all of which goes on until the last of them has ended."""
    encoded, seen = _encode(prompts, base)
    written: list[list[int]] = [[] for _ in prompts]
    ended = [False] * len(prompts)
    last = torch.full((len(prompts), 1), base.config.decoder_start_token_id, device=seen.device)
    cache = None
    for _ in range(most):
        out = base(
            encoder_outputs=encoded,
            attention_mask=seen,
            decoder_input_ids=last,
            past_key_values=cache,
            use_cache=True,
        )
        last, cache = out.logits[:, -1:].argmax(-1), out.past_key_values
        for place, [token] in enumerate(last.tolist()):
            ended[place] = ended[place] or token in stop_ids
            if not ended[place]:
                written[place].append(token)
        if all(ended):
            break
    return [Generated(tuple(ids), truncated=not end) for ids, end in zip(written, ended, strict=True)]


def _base(model: nn.Module) -> Any:
    return model.get_base_model() if isinstance(model, PeftModel) else model


def _encode(prompts: Sequence[Tokens], base: Any) -> tuple[Any, torch.Tensor]:
    """What the encoder makes of the prompts, and which of its positions hold a token."""
    ids, seen = _padded(prompts, base)
    return base.get_encoder()(input_ids=ids, attention_mask=seen), seen


def _padded(rows: Sequence[Tokens], base: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows filled up to the longest, (rows, tokens), and where they hold tokens of their own. What they are filled with
    is never looked at."""
    longest = max(map(len, rows))
    ids = [[*row, *[0] * (longest - len(row))] for row in rows]
    own = [[True] * len(row) + [False] * (longest - len(row)) for row in rows]
    return torch.tensor(ids, device=base.device), torch.tensor(own, device=base.device)


def _shifted(targets: torch.Tensor, base: Any) -> torch.Tensor:
    """What the decoder is given before each target: (rows, tokens)."""
    return F.pad(targets[:, :-1], (1, 0), value=base.config.decoder_start_token_id)


def _batches(prompts: Sequence[Tokens], most_rows: int) -> Iterator[list[int]]:
    """Prompt numbers in batches of like length, the longest first."""
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    start = 0
    while start < len(order):
        rows = max(1, min(most_rows, BATCH_TOKENS // len(prompts[order[start]])))
        yield order[start : start + rows]
        start += rows
