"""Does plain transformers + peft, without rankwise, read an adapter as rankwise does?

    python benchmarks/plain_peft.py RUN [ROWS]

prints one JSON object: the largest difference of any logit over the first held-out rows, in float32. On a base of
4 bits plain PEFT runs bitsandbytes' own layers, in training mode, for in evaluation they repack their weights on some
CPUs and compute in bfloat16; of one of 8 bits they round activations by what else is in the batch,
which rankwise does not, so there the difference is one of methods.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification

from rankwise.data.render import Rendered
from rankwise.data.table import Row
from rankwise.evaluate.rows import evaluation_rows
from rankwise.facts import AdapterRecord, fetch_base, locate_base, read_adapter
from rankwise.facts.classifier import TRAINED
from rankwise.facts.payload import CLASSIFIER, DELTA, FULL, PROMPT, payload_in
from rankwise.model.classifier import class_logits
from rankwise.model.linear import LinearClassifier
from rankwise.model.open import OpenAdapter, open_adapter
from rankwise.model.packing import Packing
from rankwise.model.prefix import learnt_prefix, prefixed_logits
from rankwise.model.quantize import quantization_config
from rankwise.plan import Plan


def main(run: Path, count: int) -> None:
    adapter = run / "adapter"
    record = read_adapter(adapter).record
    assert record is not None
    base = fetch_base(locate_base(str(Plan.model_validate(record.plan)["model"]), Path.cwd()))
    ours = open_adapter(adapter, base, "float32", "cpu")
    rows = evaluation_rows(record, None).held_out[:count]
    if payload_in(adapter) in (PROMPT, CLASSIFIER):
        pairs = [by_card(ours, base, adapter, row) for row in rows]
    else:
        plain = load_plain(record, base, adapter)
        with torch.no_grad():
            pairs = [logits_of(ours.model.eval(), plain, ours.renderer.render(row, "last")) for row in rows]
    difference = max(float((mine - theirs).abs().max()) for mine, theirs in pairs)
    largest = max(float(theirs.abs().max()) for _, theirs in pairs)
    print(json.dumps({"rows": count, "max_difference": difference, "max_logit": largest}))


def load_plain(record: AdapterRecord, base: Path, adapter: Path) -> torch.nn.Module:
    head = TRAINED if record.task.task == "seq_cls" else ()
    kept = quantization_config(record.base.quantization, torch.float32, head)
    extra = {} if kept is None else {"quantization_config": kept}
    if record.task.task == "seq_cls":
        labels = len(record.task.labels)
        loaded = AutoModelForSequenceClassification.from_pretrained(
            base, dtype=torch.float32, num_labels=labels, **extra
        )
    elif record.task.task == "seq_2_seq_lm":
        loaded = AutoModelForSeq2SeqLM.from_pretrained(base, dtype=torch.float32)
    else:
        loaded = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, **extra)
    if payload_in(adapter) == FULL:
        return with_delta(loaded, adapter)
    plain = PeftModel.from_pretrained(loaded, str(adapter)).eval()
    for layer in plain.modules():
        if type(layer).__name__ == "Linear4bit":
            layer.train()  # it alone: an encoder's dropout stays off
    return plain


@torch.no_grad()
def by_card(ours: OpenAdapter, base: Path, adapter: Path, row: Row) -> tuple[torch.Tensor, torch.Tensor]:
    """Of what is loaded by the card's own lines: a head's logits, or behind a prompt those of the answer's first
    token."""
    [snippet] = re.findall(r"```python\n(.*?)```", (adapter / "README.md").read_text(), flags=re.S)
    said: dict[str, Any] = {"BASE": str(base), "ADAPTER": str(adapter), "QUESTION": row.question}
    exec(snippet, said)
    if isinstance(ours.model, LinearClassifier):
        rendered = ours.renderer.render(row, "last")
        return ours.model.class_logits([rendered.ids[: rendered.prompt]])[0], said["logits"].float()
    ids = torch.tensor([ours.asked_by.prompt(row.messages[:-1], row.tools)])
    packing = Packing([ids.shape[1]])
    placed = {"position_ids": packing.positions(), "packing": packing}
    mine = ours.model(input_ids=ids, **placed, use_cache=False).logits[0, -1]
    return mine, said["model"].float()(**said["asked"]).logits[0, -1]


def logits_of(ours: PeftModel, plain: PeftModel, row: Rendered) -> tuple[torch.Tensor, torch.Tensor]:
    """Of one row by rankwise's own way, and by the library's."""
    ids = torch.tensor([row.ids])
    if row.encoded:
        sides = {"input_ids": ids[:, : row.prompt], "labels": ids[:, row.prompt :]}
        return ours(**sides).logits, plain(**sides).logits
    theirs = plain(input_ids=ids).logits
    if row.label is not None:
        return class_logits(ours, ids.tolist()), theirs
    if learnt_prefix(ours) is not None:
        return prefixed_logits(ours, [row.ids])[0], theirs[0]
    packing = Packing([ids.shape[1]])
    placed = {"position_ids": packing.positions(), "packing": packing}
    return ours(input_ids=ids, **placed, use_cache=False).logits, theirs


@torch.no_grad()
def with_delta(base: torch.nn.Module, adapter: Path) -> torch.nn.Module:
    """As the card of an adapter of method full says."""
    delta = load_file(adapter / DELTA)
    for name, weight in base.named_parameters():
        weight.add_(delta[name])
    return base


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 16)
