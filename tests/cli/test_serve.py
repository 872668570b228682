"""`rankwise serve` as a process: whom it starts for, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from urllib.request import urlopen

from tests.cli.conftest import PROGRAM, Cli


def test_the_network_is_served_only_with_keys(cli: Cli, tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    refused = cli("serve", "--host", "0.0.0.0", cwd=tmp_path, RANKWISE_HOME=home)
    assert refused.code == 2 and "no API keys" in refused.err
    made = cli("serve", "--new-key", "chat", cwd=tmp_path, RANKWISE_HOME=home)
    assert made.code == 0 and made.out.startswith("rw-")
    assert made.out.strip() not in (tmp_path / "home" / "api-keys.json").read_text()


def test_it_answers_and_ends_on_a_signal(tiny_base: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "RANKWISE_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [PROGRAM, "serve", tiny_base, "--port", str(port)], cwd=tmp_path, env=environment, stderr=subprocess.PIPE
    )
    try:
        until = time.monotonic() + 120
        while True:
            try:
                with urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                    assert answer.status == 200
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < until
                time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in (0, 143, -signal.SIGTERM)
    finally:
        process.kill()
    assert process.stderr is not None and b"Traceback" not in process.stderr.read()
