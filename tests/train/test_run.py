"""From plan and rows to an adapter folder that plain transformers and PEFT can load."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from rankwise.data.corpus import Corpus, CorpusRequest, build_corpus
from rankwise.data.render import Renderer
from rankwise.errors import AdapterError, PlanError
from rankwise.events import ignore, read_events
from rankwise.facts import identify_base, read_adapter, read_anatomy, verify_adapter
from rankwise.files import sha256_file
from rankwise.plan import Capacity, Decision, Plan
from rankwise.plan.adapted import adapted
from rankwise.train.run import Trained, execute
from rankwise.train.settings import BaseFolder

TARGETS = ["q_proj", "v_proj", "down_proj"]
VALUES: dict[str, object] = {
    "model": "tiny",
    "domain": None,
    "adapter": None,
    "device": "cpu",
    "threads": 1,
    "shared_prefix": True,
    "lora.r": 4,
    "lora.lora_alpha": 8.0,
    "lora.lora_dropout": 0.1,
    "lora.target_modules": TARGETS,
    "lora.bias": "none",
    "lora.use_rslora": False,
    "lora.init_lora_weights": True,
    "lora.layers_to_transform": None,
    "lora.rank_pattern": None,
    "lora.alpha_pattern": None,
    "lora.target_parameters": None,
    "lora.rank_per_expert": None,
    "training.learning_rate": 0.01,
    "training.weight_decay": 0.0,
    "training.optim": "adamw_torch",
    "training.adam_beta1": 0.9,
    "training.adam_beta2": 0.999,
    "training.adam_epsilon": 1e-8,
    "training.lr_scheduler_type": "linear",
    "training.warmup_ratio": 0.1,
    "training.max_grad_norm": 1.0,
    "training.max_steps": 6,
    "training.per_device_train_batch_size": 2,
    "training.gradient_accumulation_steps": 2,
    "training.eval_steps": 2,
    "training.early_stopping_patience": None,
    "training.gradient_checkpointing": False,
    "training.save_steps": 2,
    "training.logging_steps": 1,
    "training.bf16": False,
    "training.seed": 0,
    "training.on_nonfinite": "stop",
    "training.loraplus_lr_ratio": 1.0,
}


def as_read(corpus: Corpus) -> dict[str, object]:
    """What a plan says of rows that are read already, and of what this build does."""
    request = corpus.request
    return {
        "task": "causal_lm",
        "objective": "sft",
        "method": "lora",
        "quantization": "none",
        "doctrine": "test",
        "chat_template": "the base's own",
        "scorer": "accuracy",
        "data.train": request.train,
        "data.held_out": request.held_out,
        "data.max_length": corpus.max_length,
        "data.too_long": request.too_long,
        "data.assistant_turns": request.assistant_turns,
        "data.instruction": corpus.instruction,
        "training.num_train_epochs": 1.0,
    }


def make_plan(base: Path, corpus: Corpus, **changes: object) -> Plan:
    values = VALUES | as_read(corpus) | {key.replace("__", "."): value for key, value in changes.items()}
    anatomy = read_anatomy(base)
    return Plan(
        decisions={key: Decision(value=value, reason="", source="test") for key, value in values.items()},
        trainable_parameters=adapted(values).trainable(anatomy, str(values["method"])),
        total_parameters=anatomy.total_parameters,
        capacity=Capacity(status="AMPLE", message="", capacity_bits=1, required_bits=1, suggested_rank=1),
        memory_bytes=0,
        seconds=None,
        problems=(),
    )


@pytest.fixture(scope="module")
def corpus(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    file = tmp_path_factory.mktemp("data") / "notes.jsonl"
    kinds = ("good", "bad")
    rows = [{"text": f"quarterly revenue {kinds[i % 2]} number {i * 7919}", "label": kinds[i % 2]} for i in range(24)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return build_corpus(CorpusRequest(str(file), 0.2, None, None, "error", "all", 0), Renderer(tiny_base), 512)


def train(
    base: Path, corpus: Corpus, run: Path, resume: bool = False, observer=ignore, plan: Plan | None = None, **changes
) -> Trained:
    run.mkdir(exist_ok=True)
    folder = BaseFolder("tiny", base, identify_base(base))
    return execute(plan or make_plan(base, corpus, **changes), corpus, folder, run, observer, resume)


def weights(run: Path) -> str:
    return sha256_file(run / "adapter" / "adapter_model.safetensors")


def test_a_run_leaves_no_more_files_than_was_planned(tiny_base: Path, corpus: Corpus, tmp_path: Path) -> None:
    plan = make_plan(tiny_base, corpus, training__max_steps=8, training__save_steps=1)
    train(tiny_base, corpus, tmp_path / "run", plan=plan)
    written = sum(file.stat().st_size for file in (tmp_path / "run").rglob("*") if file.is_file())
    needed = plan.on_disk()
    adapter = sum(file.stat().st_size for file in (tmp_path / "run" / "adapter").iterdir())
    assert written <= needed.run and adapter <= needed.catalogue


def test_plain_transformers_and_peft_load_what_was_saved(tiny_base: Path, corpus: Corpus, tmp_path: Path) -> None:
    """A process without rankwise gives the logits that rankwise gives."""
    from rankwise.model.open import open_adapter
    from rankwise.model.packing import Packing

    done = train(tiny_base, corpus, tmp_path / "run")
    ids = list(corpus.held_out_rendered[0].ids)
    opened = open_adapter(done.adapter, tiny_base, "float32", "cpu")
    packing = Packing([len(ids)])
    with torch.no_grad():
        ours = opened.model(
            input_ids=torch.tensor([ids]), position_ids=packing.positions(), packing=packing, use_cache=False
        ).logits[0]
    script = (
        "import sys, json, torch\n"
        "from transformers import AutoModelForCausalLM\nfrom peft import PeftModel\n"
        "base = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)\n"
        "ids = torch.tensor([json.loads(sys.argv[3])])\n"
        "with torch.no_grad():\n"
        "    plain = base(ids).logits[0].clone()\n"
        "    model = PeftModel.from_pretrained(base, sys.argv[2]).eval()\n"
        "    torch.save((plain, model(ids).logits[0]), sys.argv[4])\n"
        "assert 'rankwise' not in sys.modules\n"
    )
    out = tmp_path / "logits.pt"
    command = [sys.executable, "-c", script, str(tiny_base), str(done.adapter), json.dumps(ids), str(out)]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
    plain, theirs = torch.load(out)
    difference = float((ours - theirs).abs().max())
    assert difference < 1e-5, difference
    assert float((plain - theirs).abs().max()) > 0.01  # the adapter does something


def test_the_folder_tells_what_was_trained(tiny_base: Path, corpus: Corpus, tmp_path: Path) -> None:
    plan = make_plan(tiny_base, corpus)
    done = train(tiny_base, corpus, tmp_path / "run", plan=plan)
    assert verify_adapter(done.adapter, identify_base(tiny_base), read_anatomy(tiny_base)) == []
    record = read_adapter(done.adapter).record
    assert record is not None
    assert (record.name, record.task.kind, record.task.labels) == ("notes", "labels", ("bad", "good"))
    assert record.plan_digest == plan.digest() and record.data.rows == len(corpus.train)
    assert record.metrics["held_out_loss"] == done.finished.progress.best_loss
    config = json.loads((done.adapter / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["target_modules"]) == (4, 8, sorted(TARGETS))
    assert config["base_model_name_or_path"] == "tiny"
    assert str(tmp_path) not in (done.adapter / "adapter_config.json").read_text()
    assert done.peak_memory_bytes > 1 << 20
    assert read_events(tmp_path / "run" / "events.jsonl")[-1]["event"] == "adapter"


def test_one_seed_gives_one_file_and_another_seed_another(tiny_base: Path, corpus: Corpus, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.rand(3)  # whatever was drawn before must not matter
        train(tiny_base, corpus, tmp_path / name, training__seed=seed)
    assert weights(tmp_path / "a") == weights(tmp_path / "b") != weights(tmp_path / "c")
    configs = [(tmp_path / name / "adapter" / "adapter_config.json").read_bytes() for name in "ab"]
    assert configs[0] == configs[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_step_and_resuming_gives_the_same_file(
    number: signal.Signals, tiny_base: Path, corpus: Corpus, tmp_path: Path
) -> None:
    before = signal.getsignal(number)
    train(tiny_base, corpus, tmp_path / "whole")

    def interrupt(event: dict) -> None:
        if event["event"] == "step" and event["step"] == 3:
            os.kill(os.getpid(), number)

    stopped = train(tiny_base, corpus, tmp_path / "run", observer=interrupt)
    assert stopped.finished.stopped_by == number and stopped.finished.progress.step == 3
    assert not stopped.adapter.exists() and signal.getsignal(number) is before
    done = train(tiny_base, corpus, tmp_path / "run", resume=True)
    assert done.finished.stopped_by is None
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


RANKS = {r"layers\.1\..*v_proj": 6, "v_proj": 1, r".*\.0\.mlp\.down_proj": 2}
WAYS: dict[str, dict[str, object]] = {
    "dora": {"method": "dora"},
    "dora without dropout": {"method": "dora", "lora__lora_dropout": 0.0},
    "nf4": {"method": "qlora", "quantization": "nf4"},
    "int8": {"method": "qlora", "quantization": "int8"},
    "dora on nf4": {"method": "dora", "quantization": "nf4"},
    "pissa": {"lora__init_lora_weights": "pissa"},
    "olora": {"lora__init_lora_weights": "olora"},
    "lora+": {"training__loraplus_lr_ratio": 4.0},
    "adalora": {"method": "adalora", "adalora__init_r": 6, "training__max_steps": 10},
    "one layer": {"lora__layers_to_transform": [1]},
    "ranks and alphas": {"lora__rank_pattern": RANKS, "lora__alpha_pattern": {"v_proj": 12.5}},
    "ranks from pissa": {"lora__init_lora_weights": "pissa", "lora__rank_pattern": RANKS, "lora__use_rslora": True},
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_lora_resumes_to_the_same_file_and_is_opened_as_it_was_trained(
    way: str, tiny_base: Path, corpus: Corpus, tmp_path: Path
) -> None:
    from rankwise.data.batch import pack
    from rankwise.model.loss import target_losses
    from rankwise.model.open import open_adapter

    changes = WAYS[way]
    whole = train(tiny_base, corpus, tmp_path / "whole", **changes)

    def interrupt(event: dict) -> None:
        if event["event"] == "step" and event["step"] == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    train(tiny_base, corpus, tmp_path / "run", observer=interrupt, **changes)
    train(tiny_base, corpus, tmp_path / "run", resume=True, **changes)
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")
    assert verify_adapter(whole.adapter, identify_base(tiny_base), read_anatomy(tiny_base)) == []
    record = read_adapter(whole.adapter).record
    assert record is not None and record.method == changes.get("method", "lora")
    assert record.base.quantization == changes.get("quantization", "none")
    opened = open_adapter(whole.adapter, tiny_base, "float32", "cpu")
    with torch.no_grad():
        losses = torch.cat([target_losses(opened.model, pack([row], False)) for row in corpus.held_out_rendered])
    assert float(losses.mean()) == pytest.approx(whole.finished.progress.best_loss, rel=1e-3)


def test_patterns_are_saved_in_the_order_in_which_they_were_trained(
    tiny_base: Path, corpus: Corpus, tmp_path: Path
) -> None:
    """PEFT sorts them when it saves, and takes the first that matches when it loads."""
    ranks = {r"layers\.1\..*v_proj": 6, "[qv]_proj": 2}
    done = train(tiny_base, corpus, tmp_path / "run", lora__rank_pattern=ranks)
    config = json.loads((done.adapter / "adapter_config.json").read_text())
    assert list(config["rank_pattern"].items()) == list(ranks.items())
    found = {module.removeprefix("model."): pair.r for module, pair in read_adapter(done.adapter).pairs.items()}
    assert found == {
        **{"layers.0.self_attn.q_proj": 2, "layers.0.self_attn.v_proj": 2, "layers.0.mlp.down_proj": 4},
        **{"layers.1.self_attn.q_proj": 2, "layers.1.self_attn.v_proj": 6, "layers.1.mlp.down_proj": 4},
    }
    again = train(tiny_base, corpus, tmp_path / "again", adapter=str(done.adapter), lora__rank_pattern=ranks)
    assert verify_adapter(again.adapter, identify_base(tiny_base), read_anatomy(tiny_base)) == []
    config = json.loads((again.adapter / "adapter_config.json").read_text())
    assert list(config["rank_pattern"]) == list(ranks)


def test_methods_and_quantizations_that_contradict_each_other_train_nothing(
    tiny_base: Path, corpus: Corpus, tmp_path: Path
) -> None:
    for method, kept in (("full", "nf4"), ("lora", "nf4"), ("qlora", "none"), ("qlora", "gptq")):
        with pytest.raises(PlanError, match="not as planned"):
            train(tiny_base, corpus, tmp_path / "run", method=method, quantization=kept)


def test_resuming_on_a_damaged_checkpoint_says_so_and_gives_the_same_file(
    tiny_base: Path, corpus: Corpus, tmp_path: Path
) -> None:
    train(tiny_base, corpus, tmp_path / "whole")

    def interrupt(event: dict) -> None:
        if event["event"] == "step" and event["step"] == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    train(tiny_base, corpus, tmp_path / "run", observer=interrupt)
    (tmp_path / "run" / "checkpoints" / "step-00000003" / "adapter.safetensors").write_bytes(b"torn")
    train(tiny_base, corpus, tmp_path / "run", resume=True)
    events = read_events(tmp_path / "run" / "events.jsonl")
    assert [e["path"] for e in events if e["event"] == "checkpoint_damaged"] == ["step-00000003"]
    assert [e["checkpoint"] for e in events if e["event"] == "resume"] == ["step-00000002"]
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


def test_it_runs_outside_the_main_thread(tiny_base: Path, corpus: Corpus, tmp_path: Path) -> None:
    done: list[Trained] = []
    worker = threading.Thread(target=lambda: done.append(train(tiny_base, corpus, tmp_path / "run")))
    worker.start()
    worker.join()
    assert done and done[0].finished.stopped_by is None


def test_an_adapter_is_trained_on(tiny_base: Path, corpus: Corpus, tmp_path: Path) -> None:
    first = train(tiny_base, corpus, tmp_path / "first")
    second = train(tiny_base, corpus, tmp_path / "second", adapter=str(first.adapter))
    record, parent = read_adapter(second.adapter).record, read_adapter(first.adapter)
    assert record is not None and record.parent == parent.digest
    looked_at = [
        [e["step"] for e in read_events(tmp_path / run / "events.jsonl") if e["event"] == "held_out"]
        for run in ("first", "second")
    ]
    assert looked_at == [[2, 4, 6], [0, 2, 4, 6]]
    opening = next(e["loss"] for e in read_events(tmp_path / "second" / "events.jsonl") if e["event"] == "step")
    fresh = next(e["loss"] for e in read_events(tmp_path / "first" / "events.jsonl") if e["event"] == "step")
    assert opening < fresh


def test_a_plan_that_does_not_fit_the_model_trains_nothing(tiny_base: Path, corpus: Corpus, tmp_path: Path) -> None:
    plan = make_plan(tiny_base, corpus)
    wrong = plan.model_copy(update={"trainable_parameters": plan.trainable_parameters + 1})
    with pytest.raises(PlanError, match="nothing was trained"):
        train(tiny_base, corpus, tmp_path / "run", plan=wrong)
    assert not (tmp_path / "run" / "adapter").exists()


def test_a_key_that_nothing_reads_is_an_error(tiny_base: Path, corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"nothing in this build reads training\.neftune_noise_alpha"):
        train(tiny_base, corpus, tmp_path / "run", training__neftune_noise_alpha=5)
    plan = make_plan(tiny_base, corpus)
    short = plan.model_copy(update={"decisions": {k: v for k, v in plan.decisions.items() if k != "lora.r"}})
    with pytest.raises(PlanError, match=r"the plan has no lora\.r"):
        train(tiny_base, corpus, tmp_path / "run", plan=short)


def test_an_adapter_of_another_shape_is_an_adapter_error(tiny_base: Path, corpus: Corpus, tmp_path: Path) -> None:
    done = train(tiny_base, corpus, tmp_path / "run")
    config = json.loads((done.adapter / "adapter_config.json").read_text())
    (done.adapter / "adapter_config.json").write_text(json.dumps({**config, "r": 3}))
    with pytest.raises(AdapterError, match="PEFT cannot load it"):
        train(tiny_base, corpus, tmp_path / "second", adapter=str(done.adapter))
