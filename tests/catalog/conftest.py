"""Small adapter folders, written without torch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
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


DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """The URL of a real PostgreSQL of this session, on a socket of its own."""
    initdb = shutil.which("initdb", path=os.pathsep.join([os.environ["PATH"], *map(str, DEBIAN)]))
    if initdb is None:
        pytest.skip("no initdb here; apt-get install postgresql")
    programs = Path(initdb).resolve().parent
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # a socket's path is short, and the server's user must reach it
    user = []
    if os.getuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("PostgreSQL does not run as root, and there is no setpriv to become its user")
        shutil.chown(folder, "postgres", "postgres")
        user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]

    def run(program: str, *arguments: object) -> None:
        command = [*user, programs / program, "-D", folder / "data", *arguments]
        done = subprocess.run(command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 0, done.stderr

    run("initdb", "--auth=trust", "--username=postgres", "--no-sync")
    settings = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
    run("pg_ctl", "start", "--wait", "--log", folder / "log", "--options", settings)
    try:
        yield f"postgresql://postgres@/postgres?host={folder}"
    finally:
        run("pg_ctl", "stop", "--mode", "immediate")
        shutil.rmtree(folder)


@pytest.fixture
def postgres(cluster: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The catalogue's index in an empty database, by RANKWISE_CATALOG_URL."""
    import psycopg

    name = f"db_{abs(hash(tmp_path))}"
    with psycopg.connect(cluster, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    url = cluster.replace("/postgres?", f"/{name}?")
    monkeypatch.setenv("RANKWISE_CATALOG_URL", url)
    return url
