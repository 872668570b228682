"""Answers: batched greedy generation, and exact probabilities of every label in one pass.

Used by evaluation, chat and serving alike. Prompts are packed without padding; what they all begin with is computed
once; labels that begin alike share those tokens too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from peft import PeftModel

from rankwise.data.batch import SHARED_PREFIX_FLOOR
from rankwise.model.cache import Cache
from rankwise.model.packing import Packing, Prefix
from rankwise.model.prefix import learnt_prefix

Tokens = Sequence[int]
Done = Callable[[int], None]
"""Called with the number of prompts answered since the last call."""

BATCH_TOKENS = 6144
"""Most packed tokens of a forward pass without gradient."""
BATCH_LOGITS = 4096
"""Most positions whose logits over the whole vocabulary are held at once."""


@dataclass(frozen=True)
class Generated:
    ids: tuple[int, ...]
    """Without the stop token."""
    truncated: bool
    """max_new_tokens were spent before a stop token came."""


def shared_tokens(prompts: Sequence[Tokens]) -> int:
    """Tokens all prompts begin with, each prompt keeping at least one of its own; 0 where too few to be worth it."""
    if len(prompts) < 2:
        return 0
    whole = [tuple(prompt) for prompt in prompts]
    first, last = min(whole), max(whole)  # what the lexicographic extremes share, all share
    end = min(map(len, prompts)) - 1
    shared = next((i for i in range(end) if first[i] != last[i]), end)
    return shared if shared >= SHARED_PREFIX_FLOOR else 0


class LabelTree:
    """The answers of all labels as one tree of tokens; labels that begin alike share nodes.

    Node 0 is the prompt's last token; the others are the tokens a label has before its last one.
    """

    def __init__(self, answers: Sequence[Tokens]) -> None:
        nodes: dict[tuple[int, ...], int] = {(): 0}
        self.tokens: list[int] = []
        ancestors: list[list[int]] = []
        edges: list[list[tuple[int, int]]] = []
        for answer in answers:
            path, at = [], []
            for i, token in enumerate(answer):
                before = tuple(answer[:i])
                if before not in nodes:
                    nodes[before] = len(nodes)
                    self.tokens.append(answer[i - 1])
                    ancestors.append([nodes[tuple(answer[:j])] - 1 for j in range(1, i + 1)])
                at.append(nodes[before])
                path.append((nodes[before], token))
            edges.append(path)
        self.num_nodes = len(self.tokens)
        self.mask = torch.zeros(self.num_nodes, self.num_nodes, dtype=torch.bool)
        for node, seen in enumerate(ancestors):
            self.mask[node, seen] = True
        self._label = torch.tensor([i for i, path in enumerate(edges) for _ in path])
        self._node = torch.tensor([node for path in edges for node, _ in path])
        self._token = torch.tensor([token for path in edges for _, token in path])
        self.num_labels = len(answers)

    def log_probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """logits (rows, 1 + nodes, vocabulary) -> ln p of each label's whole answer, (rows, labels)."""
        steps = logits.float().log_softmax(-1)[:, self._node, self._token]
        total = steps.new_zeros(logits.shape[0], self.num_labels)
        return total.index_add_(1, self._label.to(steps.device), steps)


@torch.no_grad()
def score_labels(
    model: torch.nn.Module, prompts: Sequence[Tokens], answers: Sequence[Tokens], done: Done = lambda rows: None
) -> torch.Tensor:
    """ln p(answer | prompt) of every label, stop token included: float32 (prompts, labels).

    `answers`: each label's tokens as the model would write them after a prompt, ending in the stop token.
    A softmax over the labels gives their probabilities.
    """
    tree = LabelTree(answers)
    scores = torch.empty(len(prompts), tree.num_labels)
    device = next(model.parameters()).device
    prefix, shared = _prefix(model, prompts)
    most = max(1, BATCH_LOGITS // (1 + tree.num_nodes))
    for chosen in _batches(prompts, shared, tree.num_nodes, most):
        rows = [prompts[i][shared:] for i in chosen]
        ids: list[int] = []
        at: list[int] = []
        for row in rows:
            end = len(ids) + len(row)
            at += range(end - 1, end + tree.num_nodes)
            ids += [*row, *tree.tokens]
        lengths = [len(row) + tree.num_nodes for row in rows]
        packing = Packing(lengths, prefix or 0, tree.mask if tree.num_nodes else None, device)
        logits = _logits(model, ids, packing.positions(), packing, torch.tensor(at, device=device))
        scores[chosen] = tree.log_probabilities(logits.view(len(rows), 1 + tree.num_nodes, -1)).cpu()
        done(len(rows))
    return scores


@torch.no_grad()
def generate(
    model: torch.nn.Module,
    prompts: Sequence[Tokens],
    stop_ids: frozenset[int],
    max_new_tokens: int,
    done: Done = lambda rows: None,
    batch_rows: int = 48,
) -> list[Generated]:
    """The most probable token at every step, until a stop token or `max_new_tokens`; in the prompts' order."""
    answers: list[Generated | None] = [None] * len(prompts)
    prefix, shared = _prefix(model, prompts)
    for chosen in _batches(prompts, shared, max_new_tokens, batch_rows):
        rows = [prompts[i][shared:] for i in chosen]
        for place, answer in _generate_batch(model, rows, prefix, stop_ids, max_new_tokens):
            answers[chosen[place]] = answer
            done(1)
    return [answer for answer in answers if answer is not None]


def _generate_batch(
    model: torch.nn.Module,
    rows: Sequence[Tokens],
    prefix: Prefix | None,
    stop_ids: frozenset[int],
    max_new_tokens: int,
) -> Iterator[tuple[int, Generated]]:
    """(place in `rows`, answer) as each ends; `rows` hold what follows the prefix."""
    device = next(model.parameters()).device
    lengths = [len(row) for row in rows]
    cache = Cache(lengths, prefix, max_new_tokens, device)
    packing = Packing(lengths, prefix or 0, device=device, cache=cache)
    ids = [token for row in rows for token in row]
    ends = torch.tensor(lengths, device=device).cumsum(0) - 1
    logits = _logits(model, ids, packing.positions(), packing, ends)
    places = list(range(len(rows)))
    running: list[int] = list(places)  # rows of the cache still going, by place in it
    written: list[list[int]] = [[] for _ in rows]
    while running:
        tokens = logits.argmax(-1).tolist()
        still = []
        for slot in running:
            place, token = places[slot], tokens[slot]
            if token in stop_ids:
                yield place, Generated(tuple(written[place]), truncated=False)
                continue
            written[place].append(token)
            if len(written[place]) == max_new_tokens:
                yield place, Generated(tuple(written[place]), truncated=True)
            else:
                still.append(slot)
        running = still
        if not running:
            return
        # Dropping rows copies the cache, so wait until a quarter of it is idle.
        if len(running) <= 0.75 * len(places):
            slots = torch.tensor(running, device=device)
            cache.keep(slots)
            tokens = [tokens[slot] for slot in running]
            places = [places[slot] for slot in running]
            running = list(range(len(places)))
        logits = _logits(model, tokens, cache.next_positions(), cache, None)


def _prefix(model: torch.nn.Module, prompts: Sequence[Tokens]) -> tuple[Prefix | None, int]:
    """What all prompts begin with, computed once for all batches, behind a learnt prefix if the model has one; and how
    many of their tokens are in it."""
    shared, learnt = shared_tokens(prompts), learnt_prefix(model)
    if not shared:
        return learnt, 0
    device = next(model.parameters()).device
    prefix = Prefix(shared, learnt)
    packing = Packing([shared], learnt or 0, device=device, cache=prefix)
    _logits(model, prompts[0][:shared], packing.positions(), packing, torch.tensor([shared - 1], device=device))
    return prefix, shared


def _batches(prompts: Sequence[Tokens], shared: int, extra: int, most_rows: int) -> Iterator[list[int]]:
    """Prompt numbers in batches of like length, the longest first, within the token budget without shared tokens."""
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    start = 0
    while start < len(order):
        rows = max(1, min(most_rows, BATCH_TOKENS // (len(prompts[order[start]]) - shared + extra)))
        yield order[start : start + rows]
        start += rows


def _logits(
    model: torch.nn.Module,
    ids: Sequence[int],
    positions: torch.Tensor,
    packing: Packing | Cache,
    at: torch.Tensor | None,
) -> torch.Tensor:
    """Logits at the packed places `at` (all of them where None): (places, vocabulary)."""
    base = model.get_base_model() if isinstance(model, PeftModel) else model  # PEFT's own forward adds a prefix itself
    return base(  # type: ignore[no-any-return]
        input_ids=torch.tensor([list(ids)], device=positions.device),
        position_ids=positions,
        packing=packing,
        logits_to_keep=0 if at is None else at,
        use_cache=False,
    ).logits[0]
