"""Small adapter folders, written without torch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from rankwise.facts.adapter import AdapterRecord, BaseRecord, DataRecord, TaskRecord, write_record
from rankwise.facts.identity import BaseIdentity


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    monkeypatch.setenv("RANKWISE_HOME", str(home))
    return home


@pytest.fixture
def make_adapter(tmp_path: Path) -> Callable[..., Path]:
    """Write an adapter with weights drawn from `seed`; further names are fields of its record."""

    def make(seed: int = 0, r: int = 4, **fields) -> Path:
        folder = tmp_path / f"adapter-{seed}-{r}-{fields.get('domain', 'financial')}"
        folder.mkdir()
        rng = np.random.default_rng(seed)
        layer = "base_model.model.model.layers.0.self_attn.q_proj"
        tensors = {
            f"{layer}.lora_A.weight": rng.standard_normal((r, 32), dtype=np.float32),
            f"{layer}.lora_B.weight": rng.standard_normal((16, r), dtype=np.float32),
        }
        save_file(tensors, folder / "adapter_model.safetensors")
        config = {"peft_type": "LORA", "r": r, "lora_alpha": 2 * r, "target_modules": ["q_proj"]}
        (folder / "adapter_config.json").write_text(json.dumps(config))
        record = AdapterRecord(
            name="reports",
            domain="financial",
            base=BaseRecord(name="tiny", identity=BaseIdentity("sha256:aa", "sha256:bb", "sha256:cc", "none")),
            task=TaskRecord(
                kind="labels", scorer="accuracy", labels=("up", "down"), instruction="Say.", shape="labels"
            ),
            data=DataRecord(
                train="/data/train.jsonl", train_sha256="00", rows=80, held_out_rows=20, seed=0, fraction=0.2
            ),
            plan={"lora.r": r},
            plan_digest="0123456789ab",
            versions={"torch": "2.13.0", "peft": "0.21.2"},
            machine={"cpu": "any"},
            created=f"2026-01-01T00:00:{seed:02d}Z",
        )
        write_record(folder, record.model_copy(update=fields))
        return folder

    return make
