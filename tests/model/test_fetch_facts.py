"""A base on the hub, its weights left there: against a server that speaks the hub's protocol."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rankwise.facts import fetch_facts, locate_base, read_anatomy

CONFIG = Path(__file__).parents[1] / "facts" / "configs" / "llama-3.1-70b.json"
FILES = {
    "config.json": CONFIG.read_bytes(),
    "tokenizer_config.json": b'{"eos_token": "<|end_of_text|>"}',
    "model.safetensors.index.json": b"{}",
    "model-00001-of-00001.safetensors": b"weights that nobody may ask for",
}
COMMIT = "0" * 40


class Hub(BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        file = self.path.rpartition("/")[2]
        self.asked.append(self.path)
        if self.path.startswith("/api/models/"):
            siblings = [{"rfilename": name, "size": len(content)} for name, content in FILES.items()]
            self.answer(json.dumps({"id": "some/model", "sha": COMMIT, "siblings": siblings}).encode())
        elif file in FILES:
            self.answer(FILES[file])
        else:
            self.send_error(404)

    do_HEAD = do_GET

    def answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hash(content):x}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """The paths asked of a hub that holds `some/model`."""
    Hub.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("RANKWISE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    yield Hub.asked
    server.shutdown()
    server.server_close()


def test_a_plan_leaves_the_weights_on_the_hub(hub: list[str], tmp_path: Path) -> None:
    located = locate_base("some/model", tmp_path)
    folder = fetch_facts(located)
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "tokenizer_config.json"]
    assert not [path for path in hub if "safetensors" in path]
    anatomy = read_anatomy(folder, located.name)
    assert (anatomy.source, anatomy.total_parameters) == ("config", 70_553_706_496)
    assert not located.path.exists() and not locate_base("some/model", tmp_path).ready
    hub.clear()
    assert fetch_facts(located) == folder and not hub


def test_a_hub_id_is_planned_from_its_config(hub: list[str], tmp_path: Path) -> None:
    rows = [{"instruction": f"Sum up report {i}", "output": f"Revenue rose by {i} percent."} for i in range(12)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "recipe.yaml").write_text("model: some/model\ndata: {train: rows.jsonl}\n")
    program = Path(sys.executable).with_name("rankwise")
    done = subprocess.run([program, "plan", "recipe.yaml", "--json"], cwd=tmp_path, capture_output=True, text=True)
    plan = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert plan["total_parameters"] == 70_553_706_496
    assert {"base-without-weights", "tokens-estimated"} <= {p["code"] for p in plan["problems"]}
