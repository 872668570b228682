"""The model card of an adapter folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue

from rankwise.facts.adapter import CARD, AdapterFacts, AdapterRecord
from rankwise.files import write_text

CONTESTANTS = {
    "base": "base",
    "few_shot": "few-shot base",
    "baseline": "cheap baseline",
    "adapter": "**adapter**",
}


def write_card(folder: Path, record: AdapterRecord, facts: AdapterFacts) -> Path:
    """Write README.md into the adapter folder: what it is for, how it was made, how well it does, how to load it."""
    path = folder / CARD
    write_text(path, render_card(record, facts))
    return path


def render_card(record: AdapterRecord, facts: AdapterFacts) -> str:
    """The card's Markdown, with YAML front matter."""
    sections = [
        _front_matter(record),
        f"# {record.name}",
        f"A LoRA adapter for {record.base.name}" + (f", domain {record.domain}." if record.domain else "."),
        _facts_table(record, facts),
        "## What it answers",
        _task(record),
        "## How well",
        _metrics(record.metrics),
        "## How to load it",
        _loading(record),
    ]
    return "\n\n".join(sections) + "\n"


_BITS = {
    "nf4": 'load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True',
    "int8": "load_in_8bit=True",
}
"""As in model/quantize."""


def _front_matter(record: AdapterRecord) -> str:
    fields: dict[str, object] = {
        "base_model": record.base.name,
        "library_name": "peft",
        "pipeline_tag": "text-classification" if record.task.task == "seq_cls" else "text-generation",
        "tags": ["lora", "rankwise", *([record.domain] if record.domain else [])],
    }
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items()]  # JSON is YAML
    return "\n".join(["---", *lines, "---"])


def _facts_table(record: AdapterRecord, facts: AdapterFacts) -> str:
    leaves = dict.fromkeys(module.rpartition(".")[2] for module in facts.pairs)
    versions = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    held_out = f"{record.data.held_out_rows}" + (
        f" ({Path(record.data.held_out).name})" if record.data.held_out else ""
    )
    rows = {
        "base weights": f"`{record.base.identity.weights}`",
        "base kept in": {"none": "its own precision"}.get(record.base.quantization, record.base.quantization),
        "method": record.method if record.objective == "sft" else f"{record.method}, objective {record.objective}",
        "r": _ranks(facts),
        "lora_alpha": f"{facts.config.get('lora_alpha')}",
        "on": f"{', '.join(leaves)} (layers: {len(facts.pairs)})",
        "parameters": f"{facts.parameters:,}",
        "training rows": f"{record.data.rows} ({Path(record.data.train).name})",
        "held-out rows": held_out,
        "seed": f"{record.data.seed}",
        "plan": f"`{record.plan_digest}`",
        "parent": f"`{record.parent}`" if record.parent else "none",
        "trained": f"{record.created} with {versions}",
    }
    return _table(["", ""], [[key, value] for key, value in rows.items()])


def _ranks(facts: AdapterFacts) -> str:
    ranks = [pair.r for pair in facts.pairs.values()]
    if len(set(ranks)) == 1:
        return f"{facts.r}"
    return f"{min(ranks)} to {max(ranks)}, {sum(ranks) / len(ranks):.1f} on average"


def _task(record: AdapterRecord) -> str:
    lines = []
    if record.task.kind == "labels":
        lines.append(f"One of {len(record.task.labels)} labels: {', '.join(record.task.labels)}.")
    else:
        lines.append("An open answer.")
    if record.task.system:
        lines.append(f"Its system message:\n\n```text\n{record.task.system}\n```")
    if record.task.tools:
        lines.append(f"Tools every training row had: {len(record.task.tools)}, listed in rankwise.json.")
    if record.task.instruction:
        lines.append(f"Its prompt:\n\n```text\n{record.task.instruction}\n```")
    if record.task.task == "seq_cls":
        lines.append("It reads the text alone, by the base's own tokenizer; the head over these labels is in it.")
    else:
        lines.append("It expects the base's own chat template and tokenizer.")
    lines.append("rankwise.json holds the digests of what it needs, and the plan.")
    return "\n\n".join(lines)


def _metrics(metrics: Mapping[str, JsonValue]) -> str:
    scores = {name: scored for name in CONTESTANTS if isinstance(scored := metrics.get(name), dict)}
    if not scores:
        return "Not evaluated yet."
    columns = list(
        dict.fromkeys(c for scored in scores.values() for c, v in scored.items() if isinstance(v, (int, float)))
    )
    rows = [[CONTESTANTS[name], *(_number(scored.get(c)) for c in columns)] for name, scored in scores.items()]
    lines = [f"On {metrics['rows']} held-out rows:"] if "rows" in metrics else []
    lines.append(_table(["", *columns], rows))
    difference = metrics.get("difference")
    if isinstance(difference, dict) and isinstance(interval := difference.get("interval"), list) and len(interval) == 2:
        low, high = (_number(end) for end in interval)
        gain = f"{difference.get('metric')} by {_number(difference.get('value'))}"
        lines.append(f"The adapter differs from the base in {gain} (95% interval {low} to {high}).")
    return "\n\n".join(lines)


def _number(value: JsonValue) -> str:
    return f"{value:.3f}" if isinstance(value, (int, float)) else "-"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _loading(record: AdapterRecord) -> str:
    if record.task.task == "seq_cls":
        return _loading_classifier(record)
    kept = record.base.quantization
    imports, base = "AutoModelForCausalLM, AutoTokenizer", "AutoModelForCausalLM.from_pretrained(BASE)"
    note = f"Plain PEFT loads it; BASE is the folder or hub id of {record.base.name}, ADAPTER this folder:"
    if kept != "none":
        imports = "AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig"
        base = f"AutoModelForCausalLM.from_pretrained(BASE, quantization_config=BitsAndBytesConfig({_BITS[kept]}))"
        note += f" it was trained on that base kept in {kept}, and is for that."
    return f"""{note}

```python
from peft import PeftModel
from transformers import {imports}

tokenizer = AutoTokenizer.from_pretrained(BASE)
base = {base}
model = PeftModel.from_pretrained(base, ADAPTER)
```

With rankwise: `rankwise chat ADAPTER`."""


def _loading_classifier(record: AdapterRecord) -> str:
    return f"""Plain PEFT loads it; BASE is the folder or hub id of {record.base.name}, ADAPTER this folder:

```python
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer

labels = {json.dumps(record.task.labels, ensure_ascii=False)}
tokenizer = AutoTokenizer.from_pretrained(BASE)
names = dict(enumerate(labels))
base = AutoModelForSequenceClassification.from_pretrained(BASE, num_labels=len(names), id2label=names)
model = PeftModel.from_pretrained(base, ADAPTER).eval()
```

With rankwise: `rankwise evaluate ADAPTER --data ROWS`."""
