"""How an adapter folder is loaded without rankwise: the snippet that its card ends in."""

from __future__ import annotations

import json

from rankwise.facts.adapter import AdapterFacts, AdapterRecord
from rankwise.facts.classifier import MULTI, SINGLE, THRESHOLD, TRAINED
from rankwise.facts.payload import CLASSIFIER, DELTA, FULL, PROMPT

_BITS = {
    "nf4": 'load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True',
    "int8": "load_in_8bit=True",
}
"""As in model/quantize."""


def how_to_load(record: AdapterRecord, facts: AdapterFacts) -> str:
    """Markdown, with one block of Python in which BASE and ADAPTER are folders."""
    if facts.payload == FULL:
        return _loading_delta(record)
    if facts.payload == PROMPT:
        return _loading_prompt(record)
    return _loading_head(record, facts) if facts.payload == CLASSIFIER else _loading(record)


def _loading(record: AdapterRecord) -> str:
    if record.task.task == "seq_cls":
        return _loading_classifier(record)
    kept = record.base.quantization
    model_class = "AutoModelForSeq2SeqLM" if record.task.task == "seq_2_seq_lm" else "AutoModelForCausalLM"
    imports, base = f"{model_class}, AutoTokenizer", f"{model_class}.from_pretrained(BASE)"
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
    kept, problem_type = record.base.quantization, record.task.problem_type or SINGLE
    imports, how = "AutoModelForSequenceClassification, AutoTokenizer", ""
    note = f"Plain PEFT loads it; BASE is the folder or hub id of {record.base.name}, ADAPTER this folder:"
    if kept != "none":
        imports += ", BitsAndBytesConfig"
        how = f"\n    quantization_config=BitsAndBytesConfig({_BITS[kept]}, llm_int8_skip_modules={list(TRAINED)}),"
        note += f" it was trained on that base kept in {kept}, and is for that."
    reading = ""
    if problem_type == MULTI:
        reading = f"""

# logits = model(**tokenizer(text, return_tensors="pt")).logits[0]
# given = [label for label, p in zip(labels, logits.sigmoid().tolist()) if p > {THRESHOLD}]"""
    return f"""{note}

```python
from peft import PeftModel
from transformers import {imports}

labels = {json.dumps(record.task.labels, ensure_ascii=False)}
tokenizer = AutoTokenizer.from_pretrained(BASE)
names = dict(enumerate(labels))
base = AutoModelForSequenceClassification.from_pretrained(
    BASE,
    num_labels=len(names),
    id2label=names,
    problem_type="{problem_type}",{how}
)
model = PeftModel.from_pretrained(base, ADAPTER).eval(){reading}
```

With rankwise: `rankwise evaluate ADAPTER --data ROWS`."""


def _loading_delta(record: AdapterRecord) -> str:
    return f"""It is what training added to every weight, kept apart: PEFT has no format for it, and transformers needs
no more than a sum. BASE is the folder or hub id of {record.base.name}, ADAPTER this folder:

```python
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(BASE)
model = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
delta = load_file(f"{{ADAPTER}}/{DELTA}")
with torch.no_grad():
    for name, weight in model.named_parameters():
        weight.add_(delta[name])
```

With rankwise: `rankwise chat ADAPTER`."""


def _loading_prompt(record: AdapterRecord) -> str:
    return f"""It is examples that the base sees before each question, and no weights. BASE is the folder or hub id of
{record.base.name}, ADAPTER this folder, QUESTION a text:

```python
import json
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(BASE)
model = AutoModelForCausalLM.from_pretrained(BASE)
examples = json.load(open(f"{{ADAPTER}}/prompt.json"))["examples"]
messages = {_system(record)}
messages += [turn for example in examples for turn in example]
messages += [{_question(record)}]
asked = tokenizer.apply_chat_template(
    messages, {_tools(record)}add_generation_prompt=True, return_dict=True, return_tensors="pt"
)
```

With rankwise: `rankwise chat ADAPTER`."""


def _loading_head(record: AdapterRecord, facts: AdapterFacts) -> str:
    vector = {"mean": f"states[{facts.config['skipped']}:].mean(0)", "first": "states[0]", "last": "states[-1]"}
    if record.task.task == "seq_cls":
        asked = 'asked = tokenizer(QUESTION, return_tensors="pt")'
    else:
        asked = f"""messages = {_system(record)} + [{_question(record)}]
asked = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True, return_tensors="pt")"""
    two = "\nlogits = torch.cat([torch.zeros(1), logits])" if len(record.task.labels) == 2 else ""
    return f"""It is a linear head on the base's last hidden states, and no more. BASE is the folder or hub id of
{record.base.name}, ADAPTER this folder, QUESTION a text:

```python
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

labels = {json.dumps(record.task.labels, ensure_ascii=False)}
tokenizer = AutoTokenizer.from_pretrained(BASE)
base = AutoModel.from_pretrained(BASE, dtype=torch.float32).eval()
head = load_file(f"{{ADAPTER}}/{CLASSIFIER.weights}")
{asked}
with torch.no_grad():
    states = base(**asked).last_hidden_state[0].double()
logits = {vector[facts.config["features"]]} @ head["weight"].T + head["bias"]{two}
label = labels[logits.argmax()]
```

With rankwise: `rankwise evaluate ADAPTER --data ROWS`."""


def _system(record: AdapterRecord) -> str:
    said = record.task.system
    return "[]" if said is None else json.dumps([{"role": "system", "content": said}], ensure_ascii=False)


def _tools(record: AdapterRecord) -> str:
    """An argument; JSON within a string, for its true, false and null are not Python's."""
    if record.task.tools is None:
        return ""
    return f"tools=json.loads({json.dumps(record.task.tools)!r}), "


def _question(record: AdapterRecord) -> str:
    before = (
        ""
        if record.task.instruction is None
        else json.dumps(record.task.instruction + "\n", ensure_ascii=False) + " + "
    )
    return f'{{"role": "user", "content": {before}QUESTION}}'
