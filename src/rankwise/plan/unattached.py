"""Methods that leave the base as it is: examples in its prompt, and a linear classifier of its last hidden states.

They take no steps, so nothing of LoRA, of an optimizer or of its schedule is decided; where the user set such a key, it
is refused rather than passed over.
"""

from __future__ import annotations

from collections import Counter
from math import ceil

from rankwise.data.corpus import Corpus
from rankwise.data.few_shot import EXAMPLE_TOKENS, EXAMPLES, draw_candidates, within
from rankwise.data.render import Rendered
from rankwise.data.split import spread
from rankwise.data.table import Row
from rankwise.doctrine.rankwise import BITS_PER_PARAMETER, answer_bits
from rankwise.facts import Anatomy, Machine, Measurement
from rankwise.facts.counts import trainable_parameters
from rankwise.plan.capacity import Capacity
from rankwise.plan.estimate import EVALUATION_ROWS
from rankwise.plan.ledger import Ledger
from rankwise.plan.memory import SMALL_FILES, DiskBytes, features_bytes, reading_memory
from rankwise.plan.objective import decide_objective
from rankwise.plan.plan import Plan
from rankwise.plan.prefix import refuse_keys_of_prefix
from rankwise.plan.prepare import Prepared
from rankwise.recipe.keys import LEAVES

KEPT = ("training.bf16", "training.seed")
"""Keys of training that these methods use too."""
REGULARISATION = [0.0001, 0.001, 0.01, 0.1, 1.0, 10.0]
FOLDS = 5
FEATURES = {"causal": ["mean", "last"], "encoder": ["mean", "first"]}
"""Kind of base -> what stands for a row: an encoder's first token sees all of it, a causal base's last."""
_SCIKIT = "scikit-learn, LogisticRegression"


def refuse_keys_of_prompt(ledger: Ledger) -> None:
    """Where another method is planned."""
    if ledger.asked.recipe.prompt.num_examples != "auto":
        key = "prompt.num_examples"
        message = f"it is of method prompt, and method is {ledger.settled['method']}, which shows none; leave it out"
        ledger.report("error", "key-of-another-method", ledger.asked.where(key), message)


def decide_unattached(ledger: Ledger, prepared: Prepared) -> None:
    """The method's own values; every reason why it cannot be is an error."""
    recipe, method = ledger.asked.recipe, str(ledger.settled["method"])
    for key in LEAVES:
        section = key.partition(".")[0]
        wrong = key in ("quantization", "shared_prefix", "tracking") or (
            section in ("lora", "training") and key not in KEPT
        )
        if wrong and ledger.asked_value(key) != LEAVES[key].default:
            message = f"method {method} has no use for {key}: it attaches and trains nothing in the base; leave it out"
            ledger.report("error", f"not-with-{method}", ledger.asked.where(key), message)
    if recipe.objective != "sft":
        message = f"method {method} learns from answers alone (objective: sft), and objective is {recipe.objective}"
        ledger.report("error", f"not-with-{method}", ledger.asked.where("objective"), message)
    else:
        decide_objective(ledger, prepared.anatomy, prepared.corpus)
    refuse_keys_of_prefix(ledger)
    if method == "prompt":
        _decide_prompt(ledger, prepared)
    else:
        refuse_keys_of_prompt(ledger)
        _decide_classifier(ledger, prepared)


def _decide_prompt(ledger: Ledger, prepared: Prepared) -> None:
    anatomy, corpus = prepared.anatomy, prepared.corpus
    where = ledger.asked.where("method")
    if anatomy.kind != "causal":
        message = f"{anatomy.architecture} reads one text and no worked examples before it; take a causal base"
        ledger.report("error", "not-with-prompt", where, message)
        return
    asked = ledger.asked.recipe.prompt.num_examples
    count = max(EXAMPLES, len(corpus.labels)) if asked == "auto" else asked
    lengths = {row.where: len(shown.ids) for row, shown in zip(corpus.train, corpus.train_rendered, strict=True)}
    longest = longest_row(corpus)
    room = anatomy.max_length - longest
    if asked == "auto":
        room = min(EXAMPLE_TOKENS, room)
    drawn, judged = draw_candidates(corpus.train, count, corpus.request.seed, corpus.labels or None)
    fitting = [within(chosen, lengths, room) for chosen in drawn]
    if asked == "auto":
        count = min(map(len, fitting))
    sets = sum(len(chosen) >= count for chosen in fitting)
    if count == 0 or sets == 0:
        message = _too_long(drawn, lengths, count or 1, longest, anatomy)
        ledger.report("error", "examples-too-long", ledger.asked.where("prompt.num_examples"), message)
        return
    reason = f"{EXAMPLES}, or one of each label, as far as {room} tokens and {len(corpus.train)} rows let them"
    ledger.given("prompt.num_examples", count, reason)
    reason = f"what the base takes ({anatomy.max_length}) less the longest row with its answer ({longest})"
    ledger.settle("prompt.max_tokens", room, reason, "rankwise")
    reason = "sets drawn by seed, each label alike; the one under which the base writes the rows below best is kept"
    ledger.settle("prompt.num_candidates", sets, reason, "rankwise")
    reason = "training rows that no candidate shows; the held-out rows have no say in the choice"
    ledger.settle("prompt.judged_rows", len(judged), reason, "rankwise")


def longest_row(corpus: Corpus) -> int:
    """Tokens of the longest question with the longest answer."""
    rows = (*corpus.train_rendered, *corpus.held_out_rendered)
    return max(row.prompt for row in rows) + max(len(row.ids) - row.prompt for row in rows)


def _too_long(drawn: list[list[Row]], lengths: dict[str, int], count: int, longest: int, anatomy: Anatomy) -> str:
    most = max(map(len, drawn))
    if most < count:
        return f"{count} examples, and there are {most} training rows to choose them from; ask for fewer"
    least = min(sum(lengths[row.where] for row in chosen[:count]) for chosen in drawn)
    examples = "1 example takes" if count == 1 else f"{count} examples take"
    return (
        f"{examples} {least} tokens at the least, and the longest row {longest}: over the {anatomy.max_length} that "
        "the base takes together; ask for fewer examples, shorten the rows, or take a base with a longer context"
    )


def _decide_classifier(ledger: Ledger, prepared: Prepared) -> None:
    anatomy, corpus = prepared.anatomy, prepared.corpus
    where, labels = ledger.asked.where("method"), Counter(row.label for row in corpus.train)
    if anatomy.kind not in FEATURES:
        message = f"{anatomy.architecture} is an {anatomy.kind}; this build classifies on causal bases and encoders"
        ledger.report("error", "not-with-classifier", where, message)
    if corpus.shape == "label_lists":
        message = "it gives a text one label, and these rows have lists of them; take lora on an encoder (minilm-l6)"
        ledger.report("error", "classifier-of-one-label", where, message)
        return
    if len(corpus.labels) < 2:
        found = f"one label, {corpus.labels[0]}" if corpus.labels else f"{corpus.shape} rows with open answers"
        message = f"a classifier chooses among labels, and these are {found}; give text/label rows, or take lora"
        ledger.report("error", "classifier-needs-labels", where, message)
    elif max(labels.values()) < 2:
        message = "no label has two training rows, so nothing can be cross-validated; give more rows, or take prompt"
        ledger.report("error", "classifier-needs-rows", where, message)
    if anatomy.kind not in FEATURES or max(labels.values()) < 2 or len(corpus.labels) < 2:
        return
    if not ledger.is_given("task"):
        reason = f"a linear head over {len(corpus.labels)} labels, on the last hidden states of the base"
        ledger.settle("task", anatomy.task, reason, "rankwise")
    by = "the one with the least cross-validated loss on the training rows is kept"
    reason = f"what of a row's last hidden states the head reads; {by}"
    ledger.settle("classifier.features", list(FEATURES[anatomy.kind]), reason, "rankwise")
    ledger.settle("classifier.C", list(REGULARISATION), f"strengths of regularisation, inverse; {by}", _SCIKIT)
    folds = min(FOLDS, max(labels.values()))
    ledger.settle("classifier.num_folds", folds, "of the cross-validation, each label alike, drawn by seed", "rankwise")


def unattached_plan(ledger: Ledger, prepared: Prepared, machine: Machine, measured: Measurement | None) -> Plan:
    """What was decided, and what it takes."""
    anatomy, corpus, method = prepared.anatomy, prepared.corpus, str(ledger.settled["method"])
    trainable = trainable_parameters(anatomy, method, (), 0, labels=len(corpus.labels))
    dtype = "bfloat16" if ledger.settled["training.bf16"] else "float32"
    features = features_bytes(anatomy, len(corpus.train)) if method == "classifier" else 0
    memory = reading_memory(anatomy, dtype, trainable, features)
    if memory.training.total > machine.training_bytes:
        told = f"about {memory.training.total / 1e9:.1f} GB, of {machine.training_bytes / 1e9:.1f} GB here"
        ledger.report("warning", "does-not-fit", "", f"{told}; set training.bf16: true, or take a smaller base")
    ledger.amend("method", method, "the base is only read, and nothing in it changes: no steps, no gradients")
    return Plan(
        decisions=ledger.decisions,
        trainable_parameters=trainable,
        total_parameters=anatomy.total_parameters,
        capacity=_capacity(method, trainable, corpus),
        memory_bytes=memory.training.total,
        memory=memory,
        disk_bytes=DiskBytes(checkpoints=0, adapter=8 * trainable + SMALL_FILES),
        seconds=_seconds(ledger, corpus, measured, dtype),
        problems=tuple(dict.fromkeys(ledger.problems)),
    )


def _capacity(method: str, trainable: int, corpus: Corpus) -> Capacity:
    """Of an adapter there is none: what is not in the base already, these methods cannot hold."""
    held = "no weights" if method == "prompt" else f"a linear head of {trainable:,} numbers"
    return Capacity(
        status="NOT_APPLICABLE",
        message=f"method {method} has {held}: it brings out what the base knows, and stores little beside",
        capacity_bits=trainable * BITS_PER_PARAMETER,
        required_bits=ceil(answer_bits(corpus.supervised_tokens, len(corpus.labels) if method == "classifier" else 0)),
        smallest_rank=0,
        suggested_rank=0,
    )


def _seconds(ledger: Ledger, corpus: Corpus, measured: Measurement | None, dtype: str) -> float | None:
    """Loading and reading; None: not measured. Fitting the head takes seconds and is not counted."""
    if measured is None or dtype not in measured.forward_tokens_per_second:
        return None
    looked_at = _tokens(spread(corpus.held_out_rendered, EVALUATION_ROWS))
    tokens = float(_tokens(corpus.train_rendered) + looked_at)
    if ledger.settled["method"] == "prompt":
        judged, sets = int(ledger.number("prompt.judged_rows")), int(ledger.number("prompt.num_candidates"))
        mean = _tokens(corpus.train_rendered) / len(corpus.train)
        shown = mean * ledger.number("prompt.num_examples")  # once for all rows of labels, else once a batch
        passes = 1 if corpus.labels else ceil(judged / 16)
        tokens = sets * (passes * shown + judged * mean) + passes * shown + looked_at
    return measured.load_seconds + tokens / measured.forward_tokens_per_second[dtype]


def _tokens(rows: tuple[Rendered, ...] | list[Rendered]) -> int:
    return sum(len(row.ids) for row in rows)
