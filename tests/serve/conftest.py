"""A tiny base with a chat template, and adapters of it in a catalogue of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@pytest.fixture(scope="module", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("serving")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RANKWISE_HOME", str(folder))
        yield folder


def write_adapter(
    folder: Path,
    base: Path,
    seed: int,
    r: int = 4,
    domain: str = "financial",
    labels: Sequence[str] = (),
    targets: Sequence[str] = TARGETS,
    system: str | None = None,
) -> Path:
    """An adapter whose B is large enough that it says something else than the base."""
    import torch

    from rankwise.facts import (
        AdapterRecord,
        BaseRecord,
        DataRecord,
        TaskRecord,
        identify_base,
        write_record,
    )
    from rankwise.model.attach import LoraSettings, attach_new
    from rankwise.model.load import load_base

    settings = LoraSettings(r, 2 * r, 0.0, list(targets), "none", False, True)
    adapted = attach_new(load_base(base, "float32", "cpu"), "tiny", settings, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in adapted.named_parameters():
            if "lora_B" in name:
                p.copy_(torch.randn(p.shape, generator=generator) * 0.3)
    adapted.save_pretrained(str(folder), save_embedding_layers=False)
    record = AdapterRecord(
        name=domain,
        domain=domain,
        base=BaseRecord(name="tiny", identity=identify_base(base)),
        task=TaskRecord(
            kind="labels" if labels else "open",
            scorer="auto",
            labels=tuple(labels),
            shape="labels" if labels else "instruction",
            system=system,
        ),
        data=DataRecord(train="train.jsonl", train_sha256="00", rows=1, seed=0),
        plan={"lora.r": r},
        plan_digest="00",
        versions={},
        machine={},
        created=f"2026-01-01T00:{seed:02d}:00Z",
    )
    write_record(folder, record)
    return folder


@pytest.fixture(scope="module")
def adapter(own_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write an adapter (`write_adapter`'s arguments after the folder) and return its folder."""

    def make(base: Path, seed: int, **fields) -> Path:
        return write_adapter(tmp_path_factory.mktemp("adapters") / f"adapter-{seed}", base, seed, **fields)

    return make
