"""Does plain transformers + peft, without rankwise, read an adapter as rankwise does?

    python benchmarks/plain_peft.py RUN [ROWS]

prints one JSON object: the largest difference of any logit over the first held-out rows, in float32. On a base of
4 bits plain PEFT runs bitsandbytes' own layers, in training mode, for in evaluation they repack their weights on some
CPUs and compute in bfloat16; of one of 8 bits they round activations by what else is in the batch,
which rankwise does not, so there the difference is one of methods.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from rankwise.evaluate.rows import evaluation_rows
from rankwise.facts import fetch_base, locate_base, read_adapter
from rankwise.model.classifier import class_logits
from rankwise.model.open import open_adapter
from rankwise.model.packing import Packing
from rankwise.model.quantize import quantization_config


def main(run: Path, count: int) -> None:
    adapter = run / "adapter"
    record = read_adapter(adapter).record
    assert record is not None
    base = fetch_base(locate_base(record.base.name, Path.cwd()))
    ours = open_adapter(adapter, base, "float32", "cpu")
    kept = quantization_config(record.base.quantization, torch.float32)
    extra = {} if kept is None else {"quantization_config": kept}
    if record.task.task == "seq_cls":
        labels = len(record.task.labels)
        loaded = AutoModelForSequenceClassification.from_pretrained(
            base, dtype=torch.float32, num_labels=labels, **extra
        )
    else:
        loaded = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, **extra)
    plain = PeftModel.from_pretrained(loaded, str(adapter)).train(record.base.quantization == "nf4")
    difference = largest = 0.0
    for row in evaluation_rows(record, None).held_out[:count]:
        ids = torch.tensor([ours.renderer.render(row, "last").ids])
        with torch.no_grad():
            theirs = plain(input_ids=ids).logits
            if record.task.task == "seq_cls":
                mine = class_logits(ours.model.eval(), ids.tolist())
            else:
                packing = Packing([ids.shape[1]])
                placed = {"position_ids": packing.positions(), "packing": packing}
                mine = ours.model(input_ids=ids, **placed, use_cache=False).logits
        difference = max(difference, float((mine - theirs).abs().max()))
        largest = max(largest, float(theirs.abs().max()))
    print(json.dumps({"rows": count, "max_difference": difference, "max_logit": largest}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 16)
