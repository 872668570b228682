"""How much memory a run takes at its peak, part by part, and how much disk. Estimated; `plan --measure` measures.

What is fitted, or to be fitted, to measured peaks stands in the constants at the top and nowhere else.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import NamedTuple

from rankwise.data.batch import SHARED_PREFIX_FLOOR, shared_prefix
from rankwise.data.corpus import Corpus
from rankwise.facts import Anatomy

# -- fitted to the engine: what a layer keeps, and what evaluation holds at once

HIDDEN_KEPT = 7
"""Tensors of the hidden size that a layer keeps a token for its backward pass, in the base's dtype: both norms' inputs
and outputs, queries, what attention gives, and about one more of keys, values and adapters' products."""
INNER_KEPT = {"cpu": 4, "cuda": 3}
"""The same of the size of its widest projection: gate, up, their product; silu(gate) too, but on a GPU."""
OWN_FORWARD = 2
"""Times as much is kept by layers that keep transformers' own forward, having no gate of the known make."""
WEIGHTS_KEPT = {"cpu": 16, "cuda": 0}
"""Attention weights are kept for at most so many keys as times a head's numbers (model/blocks); a GPU keeps none."""
HEAD_SIZE = 64
"""Of most bases: the attention weights of a token and key are one for so many numbers of its hidden state."""
LOGITS_HELD = {"cpu": 1 << 23, "cuda": 1 << 27}
"""Most logits held at once (model/head), whatever the batch."""
LOGIT_BYTES = 8
"""Of a logit, beside two copies in the base's dtype: in float32 itself and its slope."""
PASSING = 6
"""Tensors of a layer's widest size that are alive for a moment in its backward pass."""
HIDDEN_LIVE = 8
INNER_LIVE = 3
"""As HIDDEN_KEPT and INNER_KEPT, of the one layer that a forward pass without gradient is in."""
PROCESS = 700 << 20
"""Interpreter and libraries, resident before any model."""
SCIKIT_LEARN = 110 << 20
"""Beside them, with scipy; measured, 0.11 GB more resident once both are imported."""
EVALUATION_TOKENS = 6144
"""Most packed tokens of a forward pass without gradient."""
EVALUATION_LOGITS = 4096
"""Most positions whose logits are held at once there."""

# -- exact

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
NF4_BYTES = (4 + 0.127) / 8
"""Of a weight: 4 bits, and its share of the scales of every 64 and of theirs (QLoRA paper, double quantisation)."""
INT8_BYTES = 1.002
"""One, and a float32 scale for each row of some thousand weights."""
WEIGHT_BYTES, GRADIENT_BYTES, MOMENT_BYTES = 4, 4, 8
"""Of a trained parameter, in float32: itself, its gradient, AdamW's two moments."""
FLOAT64 = 8
CHECKPOINTS = 3
"""Two are kept while one is written."""
CHECKPOINT_BYTES = 16
"""Of a trained parameter in a checkpoint: weight, best weight, two moments."""
SMALL_FILES = 1 << 20
"""Config, record, card, manifest."""


class MicroBatch(NamedTuple):
    """The largest forward pass of a run."""

    tokens: int
    """Packed, so that a beginning that all its rows share counts once; of an encoder, and of both sides of an
    encoder-decoder, padded."""
    targets: int
    """Positions with a loss."""
    keys: int = 0
    """Of the longest row: what its last token attends to."""
    at_once: bool = False
    """The logits of all targets are held at once, however many."""


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes at the peak of training."""

    base: int
    """What is not trained; where every weight is, the best ones so far, to which the last ones are held."""
    adapter: int
    """What is trained: the adapter, a classifier's head, biases; every weight where all are."""
    gradients: int
    optimizer: int
    activations: int
    logits: int
    process: int

    @property
    def total(self) -> int:
        return sum(astuple(self))


@dataclass(frozen=True)
class Memory:
    """Bytes at the peak of each thing that is done with an adapter."""

    training: TrainingMemory
    evaluation: int
    merging: int
    """Adding the adapter to the base's weights, layer by layer, in the dtype that its files have."""


@dataclass(frozen=True)
class DiskBytes:
    """What a run needs on disk; the catalogue takes another copy of the adapter."""

    checkpoints: int
    adapter: int


def largest_micro_batch(corpus: Corpus, rows: int, share: bool, padded: bool = False) -> MicroBatch:
    """Of the longest rows and the longest answers; `share`: a common beginning is computed once. `padded`: rows are
    filled up to the longest."""
    lengths = sorted(corpus.train_lengths)[-rows:]
    answers = sorted(row.num_supervised for row in corpus.train_rendered)[-rows:]
    prefix = shared_prefix(corpus.train_rendered) if share and len(lengths) > 1 else 0
    saved = prefix * (len(lengths) - 1) if prefix >= SHARED_PREFIX_FLOOR else 0
    if padded:
        return MicroBatch(len(lengths) * lengths[-1], sum(answers), lengths[-1])
    return MicroBatch(sum(lengths) - saved, sum(answers), lengths[-1])


def plan_memory(
    anatomy: Anatomy,
    method: str,
    trainable: int,
    dtype: str,
    batch: MicroBatch,
    classes: int = 0,
    checkpointing: bool = False,
    quantization: str = "none",
    experts: int = 0,
    device: str = "cpu",
) -> Memory:
    """`method`: one of `facts/counts`' METHODS that trains. `dtype`: of the frozen base. `classes`: labels that a
    sequence classifier tells apart; 0: the answers are tokens of the vocabulary. `checkpointing`: activations of one
    layer at a time, and every layer's input. `experts`: weights of the fused experts that are adapted, which PEFT makes
    anew, with the adapter in them, for each pass."""
    training = training_memory(
        anatomy, method, trainable, dtype, batch, classes, checkpointing, quantization, experts, device
    )
    held = training.base + training.adapter + PROCESS
    return Memory(
        training=training,
        evaluation=held
        + _forward_bytes(anatomy, dtype, EVALUATION_TOKENS, classes)
        + experts * BYTES[dtype] // anatomy.num_layers,
        merging=_merging_bytes(anatomy, method, trainable),
    )


def training_memory(
    anatomy: Anatomy,
    method: str,
    trainable: int,
    dtype: str,
    batch: MicroBatch,
    classes: int = 0,
    checkpointing: bool = False,
    quantization: str = "none",
    experts: int = 0,
    device: str = "cpu",
) -> TrainingMemory:
    """Of `plan_memory`, the part that trains."""
    size, hidden = BYTES[dtype], anatomy.hidden_size
    kept = HIDDEN_KEPT * hidden + INNER_KEPT[device] * _widest(anatomy)
    kept *= 1 if any(p.role == "gate" for p in anatomy.projections) else OWN_FORWARD
    kept += hidden * min(batch.keys, WEIGHTS_KEPT[device] * HEAD_SIZE) // HEAD_SIZE
    layers = 1 if checkpointing else anatomy.num_layers
    kept = anatomy.num_layers * hidden + kept if checkpointing else anatomy.num_layers * kept
    made = experts * (layers + 1) // anatomy.num_layers  # each layer's, and the gradient of one
    outputs = classes or anatomy.vocab_size
    held = max(LOGITS_HELD[device], outputs)
    return TrainingMemory(
        base=frozen_bytes(anatomy, method, dtype, quantization),
        adapter=trainable * WEIGHT_BYTES,
        gradients=trainable * GRADIENT_BYTES,
        optimizer=trainable * MOMENT_BYTES,
        activations=(batch.tokens * (kept + PASSING * _widest(anatomy)) + made) * size,
        logits=(batch.targets * outputs if batch.at_once else min(batch.targets * outputs, held))
        * (2 * size + LOGIT_BYTES),
        process=PROCESS,
    )


def frozen_bytes(anatomy: Anatomy, method: str, dtype: str, quantization: str = "none") -> int:
    """Of the base beside what is trained; where all is, of the best weights so far. `qlora` without a quantization is
    nf4. bitsandbytes takes linear layers, of which one is unpacked at a time; head, embeddings, norms, biases and fused
    experts stay as they are."""
    size = BYTES[dtype]
    if method == "full":
        return anatomy.total_parameters * WEIGHT_BYTES
    kept = {"none": NF4_BYTES if method == "qlora" else size, "nf4": NF4_BYTES, "int8": INT8_BYTES}[quantization]
    if kept == size:
        return anatomy.total_parameters * size
    kinds = [p for p in anatomy.projections if p.role not in ("head", "expert", "router")]
    layers = sum(p.in_features * p.out_features * p.count for p in kinds)
    unpacked = max((p.in_features * p.out_features for p in kinds), default=0)
    return round(layers * kept + (anatomy.total_parameters - layers + unpacked) * size)


def reading_memory(anatomy: Anatomy, dtype: str, trainable: int, features: int = 0) -> Memory:
    """Of a method that only reads the base: `features` bytes are kept of that, and `trainable` float64 numbers made of
    it; without them, what the base answers with is its logits."""
    forward = _forward_bytes(anatomy, dtype, EVALUATION_TOKENS, classes=1 if features else 0)
    base, head = anatomy.total_parameters * BYTES[dtype], trainable * FLOAT64
    process = PROCESS + (SCIKIT_LEARN if features else 0)
    training = TrainingMemory(base, head, 0, 0, forward + features, 0, process)
    return Memory(training=training, evaluation=training.total - features, merging=0)


def features_bytes(anatomy: Anatomy, rows: int) -> int:
    """Two kinds of features of every row in float32; of one of them, standardised, a copy in float64 and that of a
    fold."""
    return rows * anatomy.hidden_size * (2 * WEIGHT_BYTES + 2 * FLOAT64)


def disk_bytes(trainable: int, doubled: bool = False) -> DiskBytes:
    """Checkpoints and adapter, all in float32. `doubled`: the adapter is written with twice its ranks, as is one that
    began by changing the base."""
    checkpoint = trainable * CHECKPOINT_BYTES + SMALL_FILES
    written = (2 if doubled else 1) * trainable * WEIGHT_BYTES + SMALL_FILES
    return DiskBytes(checkpoints=CHECKPOINTS * checkpoint, adapter=written)


class Disk(NamedTuple):
    """Bytes that a run leaves or needs on the way, by where they go."""

    run: int
    catalogue: int
    checkpoint: int
    """One, of those in `run`."""


def run_disk_bytes(needed: DiskBytes) -> Disk:
    """The run's folder holds checkpoints and adapter; the catalogue gets a copy of the adapter."""
    one = needed.checkpoints // CHECKPOINTS
    return Disk(run=needed.checkpoints + needed.adapter, catalogue=needed.adapter, checkpoint=one)


def _forward_bytes(anatomy: Anatomy, dtype: str, tokens: int, classes: int) -> int:
    """One layer's tensors, the keys and values of all layers, and logits."""
    size = BYTES[dtype]
    live = tokens * (HIDDEN_LIVE * anatomy.hidden_size + INNER_LIVE * _widest(anatomy)) * size
    if classes:
        return live
    cache = tokens * 2 * anatomy.key_width * anatomy.num_layers * size
    return live + cache + EVALUATION_LOGITS * anatomy.vocab_size * (size + WEIGHT_BYTES)


def _merging_bytes(anatomy: Anatomy, method: str, trainable: int) -> int:
    """The base as its files have it, the adapter, and one layer's weight with what is added, in float32; 0: of a
    prefix, which no weight can hold, and of other tasks, for which merging is not built."""
    if method == "prefix" or anatomy.task != "causal_lm":
        return 0
    largest = max(p.in_features * p.out_features for p in anatomy.projections)
    stored = anatomy.total_parameters * BYTES.get(anatomy.dtype, WEIGHT_BYTES)
    return PROCESS + stored + trainable * WEIGHT_BYTES + 2 * largest * WEIGHT_BYTES


def _widest(anatomy: Anatomy) -> int:
    return max((p.out_features for p in anatomy.projections if p.role != "head"), default=anatomy.hidden_size)
