"""The model card of an adapter folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue

from rankwise.catalog.loading import how_to_load
from rankwise.facts.adapter import CARD, AdapterFacts, AdapterRecord
from rankwise.facts.classifier import MULTI, THRESHOLD
from rankwise.facts.payload import CLASSIFIER, FULL, PROMPT
from rankwise.facts.prefix import is_prefix, virtual_tokens
from rankwise.files import write_text

CONTESTANTS = {
    "base": "base",
    "few_shot": "few-shot base",
    "baseline": "cheap baseline",
    "adapter": "**adapter**",
}
START = "lora.init_lora_weights"
DOUBLE = ("pissa", "olora")
"""Starts whose change of the base is kept in the adapter, in as many ranks again."""


def write_card(folder: Path, record: AdapterRecord, facts: AdapterFacts) -> Path:
    """Write README.md into the adapter folder: what it is for, how it was made, how well it does, how to load it."""
    path = folder / CARD
    write_text(path, render_card(record, facts))
    return path


def render_card(record: AdapterRecord, facts: AdapterFacts) -> str:
    """The card's Markdown, with YAML front matter."""
    sections = [
        _front_matter(record, facts),
        f"# {record.name}",
        f"A {_kind(facts)[0]} for {record.base.name}" + (f", domain {record.domain}." if record.domain else "."),
        _facts_table(record, facts),
        "## What it answers",
        _task(record),
        "## How well",
        _metrics(record.metrics),
        "## How to load it",
        how_to_load(record, facts),
    ]
    return "\n\n".join(sections) + "\n"


_PIPELINES = {
    "causal_lm": "text-generation",
    "seq_cls": "text-classification",
    "seq_2_seq_lm": "text2text-generation",
}


_KINDS = {
    FULL: ("delta of every weight", "full-fine-tuning", "transformers"),
    PROMPT: ("prompt of worked examples", "few-shot", "transformers"),
    CLASSIFIER: ("linear classifier of what the base makes of a text", "linear-probe", "transformers"),
}
"""What it is, its tag, and the library that loads it; of what PEFT has no format for."""


def _kind(facts: AdapterFacts) -> tuple[str, str, str]:
    of_peft = (
        ("learnt prefix", "prefix-tuning", "peft") if is_prefix(facts.config) else ("LoRA adapter", "lora", "peft")
    )
    return _KINDS.get(facts.payload, of_peft)


def _front_matter(record: AdapterRecord, facts: AdapterFacts) -> str:
    _, tag, library = _kind(facts)
    fields: dict[str, object] = {
        "base_model": record.base.name,
        "library_name": library,
        "pipeline_tag": _PIPELINES[record.task.task],
        "tags": [tag, "rankwise", *([record.domain] if record.domain else [])],
    }
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items()]  # JSON is YAML
    return "\n".join(["---", *lines, "---"])


def _facts_table(record: AdapterRecord, facts: AdapterFacts) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    held_out = f"{record.data.held_out_rows}" + (
        f" ({Path(record.data.held_out).name})" if record.data.held_out else ""
    )
    rows = {
        "base weights": f"`{record.base.identity.weights}`",
        "base kept in": _kept_in(record, facts),
        "method": method_text(record),
        **_shape(facts),
        "parameters": f"{facts.parameters:,}",
        **(_training(record, held_out, versions) if record.data.train else _imported(record, versions)),
    }
    return _table(["", ""], [[key, value] for key, value in rows.items()])


def _training(record: AdapterRecord, held_out: str, versions: str) -> dict[str, str]:
    return {
        "training rows": f"{record.data.rows} ({Path(record.data.train).name})",
        "held-out rows": held_out,
        "seed": f"{record.data.seed}",
        "plan": f"`{record.plan_digest}`",
        "parent": f"`{record.parent}`" if record.parent else "none",
        "trained": f"{record.created} with {versions}",
    }


def _imported(record: AdapterRecord, versions: str) -> dict[str, str]:
    return {"trained": f"by another tool, {versions or 'of an unknown version'}", "imported": record.created}


def _kept_in(record: AdapterRecord, facts: AdapterFacts) -> str:
    if facts.is_delta:
        return f"float32, its files are in {record.base.dtype}"
    return {"none": "its own precision"}.get(record.base.quantization, record.base.quantization)


def _shape(facts: AdapterFacts) -> dict[str, str]:
    """What the adapter is made of."""
    if facts.is_delta:
        return {"on": "every weight"}
    if facts.payload == PROMPT:
        return {"examples": f"{len(facts.config['examples'])}", "on": "nothing: shown before each question"}
    if facts.payload == CLASSIFIER:
        return {
            "reads": f"the {facts.config['features']} of a text's last hidden states",
            "on": "nothing: beside the base",
        }
    if is_prefix(facts.config):
        layers = f"keys and values of {facts.config.get('num_layers')} layers"
        return {"num_virtual_tokens": f"{virtual_tokens(facts.config)}", "on": layers}
    leaves = dict.fromkeys(module.rpartition(".")[2] for module in facts.pairs)
    return {
        "r": ranks_text(facts),
        "lora_alpha": f"{facts.config.get('lora_alpha')}",
        "on": f"{', '.join(leaves)} (layers: {len(facts.pairs)})",
    }


def method_text(record: AdapterRecord) -> str:
    """The method, what it was trained by, and where the start is why its rank is not the planned one."""
    text = record.method if record.objective == "sft" else f"{record.method}, objective {record.objective}"
    decisions = record.plan.get("decisions")
    start = decisions.get(START) if isinstance(decisions, dict) else None
    begun = start.get("value") if isinstance(start, dict) else None
    if begun in DOUBLE:
        text += f", begun by {begun}: twice the planned rank, against the untouched base"
    return text


def ranks_text(facts: AdapterFacts) -> str:
    """Of the layers: one rank, or the least, the most and the mean."""
    ranks = [pair.r for pair in facts.pairs.values()]
    if len(set(ranks)) < 2:
        return f"{facts.r}"
    return f"{min(ranks)} to {max(ranks)}, {sum(ranks) / len(ranks):.1f} on average"


def _task(record: AdapterRecord) -> str:
    lines = []
    if record.task.problem_type == MULTI:
        lines.append(
            f"Any number of {len(record.task.labels)} labels ({MULTI}): {', '.join(record.task.labels)}. A label is "
            f"given where the sigmoid of its logit is over {THRESHOLD}; there may be none."
        )
    elif record.task.kind == "labels":
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
    elif record.task.task == "seq_2_seq_lm":
        lines.append("The encoder reads the prompt and the decoder writes the answer, by the base's own tokenizer.")
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
