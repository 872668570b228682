"""The figures in the errata, computed again from the shapes of the models and the tables of the documents."""

from __future__ import annotations

import pytest

from rankwise.doctrine import DOCTRINES
from rankwise.doctrine.errata import ERRATA, Erratum
from rankwise.doctrine.without_regret import SIZES, full_rate, smallest_rank

SHAPES = {  # layers, hidden, query width, key and value width, MLP width
    "SmolLM2-135M": (30, 576, 576, 192, 1536),
    "Llama-3.2-1B": (16, 2048, 2048, 512, 8192),
    "Llama-3.2-3B": (28, 3072, 3072, 1024, 8192),
    "Llama-2-7B": (32, 4096, 4096, 4096, 11008),
    "Llama-3.1-8B": (32, 4096, 4096, 1024, 14336),
    "Llama-2-13B": (40, 5120, 5120, 5120, 13824),
    "CodeLlama-34B": (48, 8192, 8192, 1024, 22016),
    "Llama-3.1-70B": (80, 8192, 8192, 1024, 28672),
}
LLAMA_2_VOCABULARY, LLAMA_3_VOCABULARY = 32_000, 128_256


def attention(name: str) -> int:
    """Parameters per rank."""
    layers, hidden, query, key, _ = SHAPES[name]
    return layers * 2 * (hidden + query + hidden + key)


def mlp(name: str) -> int:
    layers, hidden, *_, width = SHAPES[name]
    return layers * 3 * (hidden + width)


def per_rank(name: str) -> int:
    return attention(name) + mlp(name)


def head(name: str) -> int:
    return SHAPES[name][1] + LLAMA_3_VOCABULARY


def erratum(document: str, section: str, says: str) -> Erratum:
    [found] = [
        e for e in ERRATA if e.document == DOCTRINES[document].document and e.section == section and says in e.says
    ]
    return found


def text_of(found: Erratum) -> str:
    return f"{found.fact} {found.evidence}"


def test_every_erratum_is_whole_and_of_a_known_document() -> None:
    documents = {doctrine.document for doctrine in DOCTRINES.values()}
    for found in ERRATA:
        assert found.document in documents
        assert all([found.section, found.says, found.fact, found.evidence, found.consequence])
    assert len({(found.source, found.says) for found in ERRATA}) == len(ERRATA)


def test_counts_of_llama_8b_are_the_published_ones() -> None:
    assert (mlp("Llama-3.1-8B"), attention("Llama-3.1-8B"), head("Llama-3.1-8B")) == (1_769_472, 851_968, 132_352)


def test_rank_64_on_8b() -> None:
    body = 64 * per_rank("Llama-3.1-8B")
    text = text_of(erratum("without-regret", "Capacity Requirements", "50M"))
    assert f"{body:,}" in text and f"{body + 64 * head('Llama-3.1-8B'):,}" in text and body == 167_772_160


def test_the_rank_tables_parameters() -> None:
    text = erratum("without-regret", "Rank Selection by Model Size", "5-20M").fact
    bases = {
        "1-3B": ("Llama-3.2-1B", "Llama-3.2-3B"),
        "7-8B": ("Llama-3.1-8B",) * 2,
        "13B": ("Llama-2-13B",) * 2,
        "34B": ("CodeLlama-34B",) * 2,
        "70B": ("Llama-3.1-70B",) * 2,
    }
    for row in SIZES:
        low, high = (r * per_rank(name) / 1e6 for r, name in zip(row.sft, bases[row.name], strict=True))
        assert f"{low:,.1f}-{high:,.1f}M" in text


def test_the_quick_formula_against_the_shapes() -> None:
    text = erratum("without-regret", "Quick Formula", "10 adapted").fact
    for name, error in (("Llama-3.1-8B", None), ("SmolLM2-135M", "13% too high"), ("Llama-3.2-1B", "7% too low")):
        quick = SHAPES[name][1] * 2 * 10 * SHAPES[name][0]
        off = quick / per_rank(name) - 1
        assert f"{quick:,}" in text and f"{per_rank(name):,}" in text
        assert off == 0 if error is None else (error in text and error.startswith(f"{abs(off):.0%}"))


def test_the_quick_formula_gives_one_rank_too_many() -> None:
    tokens = 2 * per_rank("Llama-3.1-8B")
    assert smallest_rank(tokens, 4096, 32) == 2 and smallest_rank(tokens - 1, 4096, 32) == 1
    assert f"{tokens:,}" in erratum("without-regret", "Quick Formula", "int(").fact


def test_the_quoted_sizes_hold_with_the_unembedding_only() -> None:
    text = erratum("without-regret", "Which Layers to Apply LoRA", "MLP").fact
    with_head = (
        256 * (attention("Llama-3.1-8B") + head("Llama-3.1-8B")),
        128 * (mlp("Llama-3.1-8B") + head("Llama-3.1-8B")),
    )
    assert all(f"{count / 1e6:.1f}M" in text for count in with_head)
    assert [round(count / 1e9, 2) for count in with_head] == [0.25, 0.24]  # as the document has them
    without = 256 * attention("Llama-3.1-8B"), 128 * mlp("Llama-3.1-8B")
    assert [round(count / 1e9, 2) for count in without] == [0.22, 0.23]


def test_learning_rates_of_formula_and_fit() -> None:
    text = erratum("without-regret", "Learning Rate", "ratio").fact
    assert full_rate(4096) == pytest.approx(5e-5, rel=0.03)  # "~5e-5"
    assert f"{10 * full_rate(4096):.2e}".replace("e-04", "e-4") in text
    assert f"{10 * 5e-5 * (2000 / 4096) ** 0.781:.2e}".replace("e-04", "e-4") in text


def test_experts_of_qwen3_30b_a3b() -> None:
    from transformers import Qwen3MoeConfig

    config = Qwen3MoeConfig()  # the class has this model's numbers as its defaults, but for depth
    assert (config.num_experts, config.num_experts_per_tok) == (128, 8)
    a_rank = 48 * config.num_experts * 3 * (config.hidden_size + config.moe_intermediate_size)
    text = text_of(erratum("without-regret", "MoE Model Handling", "as large"))
    assert all(f"{count:,}" in text for count in (a_rank, 32 * a_rank, 8 * a_rank))
    assert "128" in erratum("without-regret", "MoE Model Handling", "8 experts").fact


def test_where_the_parameters_of_document_002_come_from() -> None:
    layers, hidden, *_, width = SHAPES["Llama-2-7B"]
    linear = layers * (4 * hidden**2 + 3 * hidden * width)
    rest = 2 * LLAMA_2_VOCABULARY * hidden + (2 * layers + 1) * hidden
    adapter = layers * 2 * 8 * (hidden + hidden)
    packed = linear // 2 + rest + adapter
    assert (round(packed, -8), round(adapter, -5)) == (3_500_000_000, 4_200_000)  # as the document has them
    text = text_of(erratum("honest-choice", "Why LoRA/PEFT is Correct (Real Reasons) 2", "3.5B"))
    for count in (adapter, packed, linear + rest, linear):
        assert f"{count:,}" in text
    for share in (f"{adapter / packed:.4%}", f"{adapter / (linear + rest):.2%}"):
        assert share in text
    llama_8b = 8_030_261_248
    assert f"{16 * per_rank('Llama-3.1-8B') / llama_8b:.2%}" in text
    assert f"{adapter / llama_8b:.2%}" in erratum("honest-choice", "LoRA vs AdaLoRA vs Prefix Tuning", "8B").fact


def test_shares_at_rank_16() -> None:
    text = erratum("best-practices", "Benefits of These Practices", "0.1-1%").fact
    for name, total in (("Llama-3.1-8B", 8_030_261_248), ("SmolLM2-135M", 134_515_008)):
        count = 16 * per_rank(name)
        assert f"{count:,}" in text and f"{count / total:.2%}" in text


def test_what_weight_decay_does_in_a_thousand_steps() -> None:
    text = text_of(erratum("honest-choice", "The Real Best Practices (For SFT) 4", "1e-5"))
    left = (1 - 2e-4 * 1e-5) ** 1000
    assert f"{left:.6f}" in text and f"{1 - left:.4%}" in text


TABLE = {  # accuracy, share of parameters, MB, seconds an epoch
    "r=4": (83.8, 0.17, 3078.5, 9.4),
    "r=16": (87.3, 0.23, 3081.5, 21.7),
    "r=32": (84.2, 0.34, 3089.1, 9.3),
    "query": (83.0, 0.06, 3079.3, 6.8),
    "bias": (82.9, 0.26, 3082.8, 9.6),
    "qlora": (84.5, 0.11, 2701.9, 45.3),
}


def test_the_guides_text_against_its_table() -> None:
    rank, bias = (
        erratum("configuration-guide", "Rank (r)", "0.34"),
        erratum("configuration-guide", "Bias Training", "0.2"),
    )
    assert f"{TABLE['r=16'][0] - TABLE['r=32'][0]:.1f} points" in rank.fact and TABLE["r=32"][1] == 0.34
    assert f"{TABLE['r=16'][0] - TABLE['bias'][0]:.1f} points" in bias.fact
    memory = erratum("configuration-guide", "Extremely Memory-Constrained (< 8GB VRAM)", "Rank 4").fact
    saved = {name: TABLE["r=16"][2] - TABLE[name][2] for name in ("query", "qlora")}
    saved["r=4"] = TABLE["r=32"][2] - TABLE["r=4"][2]
    assert all(f"{megabytes:.1f} MB" in memory for megabytes in saved.values())
    assert f"{TABLE['r=16'][0] - TABLE['query'][0]:.1f} points" in memory


def test_parameters_of_queries_alone() -> None:
    text = erratum("configuration-guide", "Target Modules", "70%").fact
    assert f"{1 - TABLE['query'][1] / TABLE['r=16'][1]:.0%} by its table" in text and "75% by the shapes" in text


def test_shares_of_an_adapter_on_distilbert() -> None:
    text = text_of(erratum("configuration-guide", "Applied Examples from Our Project", "0.17%"))
    total = 66_955_010  # with its classifier of two labels
    for r in (4, 16, 32):
        assert f"{r * 6 * 4 * 2 * 768 / total:.2%}" in text
    assert f"{total:,}" in text


def test_peft_stops_at_a_block_and_passes_over_an_absent_name() -> None:
    import warnings

    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4
    )
    with torch.device("meta"):
        block, absent = LlamaForCausalLM(config), LlamaForCausalLM(config)
    with pytest.raises(ValueError, match="LlamaMLP"):
        get_peft_model(block, LoraConfig(target_modules=["q_proj", "mlp"]))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        get_peft_model(absent, LoraConfig(target_modules=["q_proj", "mlp_proj"]))
    assert not [warning for warning in said if "mlp_proj" in str(warning.message)]
