from __future__ import annotations

import io

from ruamel.yaml import YAML

from rankwise.catalog.card import write_card
from rankwise.facts.adapter import TaskRecord, adapter_digest, read_adapter

METRICS = {
    "rows": 20,
    "base": {"accuracy": 0.5, "macro_f1": 0.45, "bits_per_token": 3.25},
    "few_shot": {"accuracy": 0.6, "macro_f1": 0.55},
    "baseline": {"accuracy": 0.7, "macro_f1": 0.65},
    "adapter": {"accuracy": 0.9, "macro_f1": 0.875, "bits_per_token": 0.5},
    "difference": {"metric": "accuracy", "value": 0.4, "interval": [0.25, 0.55], "p": 0.001},
}


def card_of(folder) -> str:
    facts = read_adapter(folder)
    assert facts.record is not None
    return write_card(folder, facts.record, facts).read_text()


def test_the_card_says_what_the_folder_holds(make_adapter):
    folder = make_adapter(metrics=METRICS)
    before = adapter_digest(folder)
    card = card_of(folder)
    assert (folder / "README.md").read_text() == card
    assert "| r | 4 |" in card
    assert "| parameters | 192 |" in card
    assert "| on | q_proj (layers: 1) |" in card
    assert "| base | 0.500 | 0.450 | 3.250 |" in card
    assert "| few-shot base | 0.600 | 0.550 | - |" in card
    assert "| **adapter** | 0.900 | 0.875 | 0.500 |" in card
    assert "accuracy by 0.400 (95% interval 0.250 to 0.550)" in card
    assert "One of 2 labels: up, down." in card
    assert "/data" not in card
    assert adapter_digest(folder) == before


def test_a_start_that_doubles_the_rank_is_told(make_adapter):
    """Else the plan's rank and the adapter's stand side by side unexplained."""
    plan = {"decisions": {"lora.init_lora_weights": {"value": "pissa"}}}
    card = card_of(make_adapter(plan=plan))
    assert "| method | lora, begun by pissa: twice the planned rank, against the untouched base |" in card
    assert "| method | lora |" in card_of(make_adapter(seed=1))


def test_the_front_matter_is_yaml_whatever_the_names(make_adapter):
    card = card_of(make_adapter(domain='odd: "name" | #x', name="a\n---\nb"))
    front = YAML(typ="safe").load(io.StringIO(card.split("\n---\n")[0].removeprefix("---\n")))
    assert front["library_name"] == "peft"
    assert front["tags"] == ["lora", "rankwise", 'odd: "name" | #x']


def test_a_system_message_and_tools_are_told(make_adapter):
    task = TaskRecord(kind="open", scorer="text", shape="messages", system="Be brief.", tools=({"name": "look"},))
    card = card_of(make_adapter(task=task))
    assert "Its system message:\n\n```text\nBe brief.\n```" in card
    assert "Tools every training row had: 1" in card
    assert "system message" not in card_of(make_adapter(seed=1))


def test_before_evaluation_it_says_so(make_adapter):
    assert "Not evaluated yet." in card_of(make_adapter())
