"""Fused experts: trained, resumed, saved as PEFT nests them, and read back."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rankwise.data.batch import pack
from rankwise.data.corpus import Corpus, CorpusRequest, build_corpus
from rankwise.data.render import Renderer
from rankwise.errors import AdapterError
from rankwise.events import read_events
from rankwise.facts import identify_base, read_adapter, read_anatomy, verify_adapter
from rankwise.model.load import load_base
from rankwise.model.loss import target_losses
from rankwise.model.open import open_adapter

from .test_run import corpus as corpus
from .test_run import make_plan, train, weights

SHAPE = {
    **{"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4},
    **{"num_key_value_heads": 2, "max_position_embeddings": 2048, "initializer_range": 0.2},
}
KINDS = {
    "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "head_dim": 8},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
}
EXPERTS = ["mlp.experts.down_proj", "mlp.experts.gate_up_proj"]
CHANGES: dict[str, object] = {
    "lora__target_modules": ["q_proj", "o_proj"],
    "lora__target_parameters": EXPERTS,
    "lora__rank_per_expert": 2,
    "lora__lora_dropout": 0.0,
}
MixtureOf = Callable[[str], Path]


@pytest.fixture(scope="module")
def mixture_of(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> MixtureOf:
    """A random mixture of four experts, with the tiny base's tokenizer; each is made once."""
    made: dict[str, Path] = {}

    def get(kind: str) -> Path:
        if kind not in made:
            made[kind] = make_mixture(kind, tiny_base, tmp_path_factory.mktemp("mixtures") / kind, seed=0)
        return made[kind]

    return get


def make_mixture(kind: str, like: Path, folder: Path, seed: int) -> Path:
    import transformers as tf

    shutil.copytree(like, folder, ignore=shutil.ignore_patterns("*.safetensors", "config.json"))
    own = json.loads((like / "config.json").read_text())
    ends = {key: own[key] for key in ("vocab_size", "bos_token_id", "eos_token_id", "pad_token_id") if key in own}
    name = {"qwen3_moe": "Qwen3Moe", "mixtral": "Mixtral"}[kind]
    torch.manual_seed(seed)
    config = getattr(tf, f"{name}Config")(**SHAPE, **KINDS[kind], **ends)
    getattr(tf, f"{name}ForCausalLM")(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_experts_are_trained_and_resume_to_the_same_file(
    kind: str, mixture_of: MixtureOf, corpus: Corpus, tmp_path: Path
) -> None:
    base = mixture_of(kind)
    whole = train(base, corpus, tmp_path / "whole", **CHANGES)

    def interrupt(event: dict) -> None:
        if event["event"] == "step" and event["step"] == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    train(base, corpus, tmp_path / "run", observer=interrupt, **CHANGES)
    train(base, corpus, tmp_path / "run", resume=True, **CHANGES)
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")
    configs = [(tmp_path / run / "adapter" / "adapter_config.json").read_bytes() for run in ("run", "whole")]
    assert configs[0] == configs[1]
    losses = [e["loss"] for e in read_events(tmp_path / "whole" / "events.jsonl") if e["event"] == "held_out"]
    assert losses[-1] < losses[0]
    opened = open_adapter(whole.adapter, base, "float32", "cpu")
    with torch.no_grad():
        found = torch.cat([target_losses(opened.model, pack([row], False)) for row in corpus.held_out_rendered])
    assert float(found.mean()) == pytest.approx(min(losses), rel=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_saved_is_paired_with_its_parameters(
    kind: str, mixture_of: MixtureOf, corpus: Corpus, tmp_path: Path
) -> None:
    base, plan = mixture_of(kind), make_plan(mixture_of(kind), corpus, **CHANGES)
    done = train(base, corpus, tmp_path / "run", plan=plan)
    anatomy, facts = read_anatomy(base), read_adapter(done.adapter)
    assert verify_adapter(done.adapter, identify_base(base), anatomy) == []
    assert facts.parameters == plan.trainable_parameters
    experts = {path: pair for path, pair in facts.pairs.items() if ".experts." in path}
    assert experts.keys() == {parameter.path for parameter in anatomy.expert_parameters}
    for parameter in anatomy.expert_parameters:
        pair = experts[parameter.path]
        assert (pair.r, pair.experts) == (2, 4)
        assert (pair.a.shape[1], pair.b.shape[0]) == (parameter.in_features, parameter.out_features)
    assert facts.r == 4 and len(facts.pairs) == 2 * (2 + 2)
    assert facts.config["target_parameters"] == EXPERTS
    assert facts.config["rank_pattern"] == dict.fromkeys(EXPERTS, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_peft_alone_gives_the_same_logits(kind: str, mixture_of: MixtureOf, corpus: Corpus, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = mixture_of(kind)
    done = train(base, corpus, tmp_path / "run", **CHANGES)
    ids = torch.tensor([corpus.held_out_rendered[0].ids])
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    with torch.no_grad():
        alone = plain(ids).logits.clone()
        theirs = PeftModel.from_pretrained(plain, str(done.adapter)).eval()(ids).logits
        opened = open_adapter(done.adapter, base, "float32", "cpu")
        opened.model.set_attn_implementation("eager")
        ours = opened.model(input_ids=ids, use_cache=False).logits
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert float((theirs - alone).abs().max()) > 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_packed_rows_do_not_touch_in_experts(kind: str, mixture_of: MixtureOf, corpus: Corpus, tmp_path: Path) -> None:
    done = train(mixture_of(kind), corpus, tmp_path / "run", **CHANGES)
    model, rows = open_adapter(done.adapter, mixture_of(kind), "float32", "cpu").model, corpus.train_rendered[:5]
    with torch.no_grad():
        alone = torch.cat([target_losses(model, pack([row], False)) for row in rows])
        for share in (False, True):
            torch.testing.assert_close(target_losses(model, pack(rows, share)), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_of_experts_is_refused_on_another_base_and_gone_on_with_on_its_own(
    kind: str, mixture_of: MixtureOf, tiny_base: Path, corpus: Corpus, tmp_path: Path
) -> None:
    done = train(mixture_of(kind), corpus, tmp_path / "run", **CHANGES)
    other = make_mixture(kind, tiny_base, tmp_path / "other", seed=1)
    with pytest.raises(AdapterError):
        open_adapter(done.adapter, other, "float32", "cpu")
    again = train(mixture_of(kind), corpus, tmp_path / "again", adapter=str(done.adapter), **CHANGES)
    assert verify_adapter(again.adapter, identify_base(mixture_of(kind)), read_anatomy(mixture_of(kind))) == []


def test_experts_of_some_layers_and_of_one_kind(mixture_of: MixtureOf, corpus: Corpus, tmp_path: Path) -> None:
    """One wrapper, so nothing is nested; named in full, for PEFT's layers_to_transform is not for parameters."""
    base = mixture_of("qwen3_moe")
    changes = {
        **CHANGES,
        "lora__layers_to_transform": [1],
        "lora__target_parameters": ["layers.1.mlp.experts.gate_up_proj"],
    }
    done = train(base, corpus, tmp_path / "run", **changes)
    facts = read_adapter(done.adapter)
    assert verify_adapter(done.adapter, identify_base(base), read_anatomy(base)) == []
    assert {path for path in facts.pairs if "experts" in path} == {"model.layers.1.mlp.experts.gate_up_proj"}
    assert {path.split(".")[2] for path in facts.pairs} == {"1"}


@pytest.mark.parametrize("way", ["bfloat16", "checkpointing", "expert ranks by pattern", "experts alone"])
def test_experts_in_other_ways(way: str, mixture_of: MixtureOf, corpus: Corpus, tmp_path: Path) -> None:
    changes = {
        "bfloat16": {"training__bf16": True},
        "checkpointing": {"training__gradient_checkpointing": True},
        "expert ranks by pattern": {"lora__rank_pattern": {"experts.down_proj": 3, "q_proj": 1}},
        "experts alone": {"lora__target_modules": []},
    }[way]
    base = mixture_of("mixtral")
    done = train(base, corpus, tmp_path / "run", **{**CHANGES, **changes})
    assert verify_adapter(done.adapter, identify_base(base), read_anatomy(base)) == []
    ranks = {pair.r for path, pair in read_adapter(done.adapter).pairs.items() if path.endswith("experts.down_proj")}
    assert ranks == {3 if way == "expert ranks by pattern" else 2}
    from safetensors.torch import load_file

    assert {t.dtype for t in load_file(done.adapter / "adapter_model.safetensors").values()} == {torch.float32}
    if way == "checkpointing":
        train(base, corpus, tmp_path / "kept", **CHANGES)
        losses = [
            [e["loss"] for e in read_events(tmp_path / run / "events.jsonl") if e["event"] == "step"]
            for run in ("run", "kept")
        ]
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)


# -- a chat model up-cycled


def upcycle(base: Path, folder: Path, experts: int = 4) -> Path:
    """A Llama as a Mixtral whose experts all are its MLP; the router is random, for it makes no difference."""
    import transformers as tf

    llama = tf.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    own = llama.config
    keys = (
        *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
        *("num_key_value_heads", "max_position_embeddings", "rms_norm_eps", "tie_word_embeddings", "rope_parameters"),
        *("bos_token_id", "eos_token_id", "pad_token_id"),
    )
    kept = {key: getattr(own, key) for key in keys}
    torch.manual_seed(0)
    mixtral = tf.MixtralForCausalLM(tf.MixtralConfig(**kept, num_local_experts=experts, num_experts_per_tok=2))
    dense = {name: value for name, value in llama.state_dict().items() if ".mlp." not in name}
    missing, unexpected = mixtral.load_state_dict(dense, strict=False)
    assert not unexpected and all(".mlp." in name for name in missing)
    with torch.no_grad():
        for theirs, ours in zip(llama.model.layers, mixtral.model.layers, strict=True):
            ours.mlp.experts.gate_up_proj.copy_(torch.cat([theirs.mlp.gate_proj.weight, theirs.mlp.up_proj.weight]))
            ours.mlp.experts.down_proj.copy_(theirs.mlp.down_proj.weight)
    shutil.copytree(base, folder, ignore=shutil.ignore_patterns("*.safetensors*", "config.json"))
    mixtral.generation_config = llama.generation_config
    mixtral.save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_smollm2_up_cycled_keeps_its_logits_and_learns(embedded_base: Path, tmp_path: Path) -> None:
    base, ids = upcycle(embedded_base, tmp_path / "mixtral"), torch.arange(1000, 1040)[None]
    logits = []
    for folder in (embedded_base, base):
        model = load_base(folder, "float32", "cpu")
        model.set_attn_implementation("eager")
        with torch.no_grad():
            logits.append(model(input_ids=ids, use_cache=False).logits)
        del model
    assert float((logits[0] - logits[1]).abs().max()) < 5e-5
    rows = [{"text": f"invoice {i} is {'paid' if i % 2 else 'open'}", "label": "yn"[i % 2]} for i in range(12)]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = build_corpus(CorpusRequest(str(file), 0.2, None, None, "error", "all", 0), Renderer(base), 512)
    changes = {**CHANGES, "training__gradient_checkpointing": True, "training__max_steps": 2}
    done = train(base, corpus, tmp_path / "run", **changes)
    assert verify_adapter(done.adapter, identify_base(base), read_anatomy(base)) == []
    losses = [e["loss"] for e in read_events(tmp_path / "run" / "events.jsonl") if e["event"] == "held_out"]
    assert losses[-1] != losses[0] or len(losses) == 1
