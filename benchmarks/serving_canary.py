"""Does an adapter ever answer with another's words? Each is taught a secret word, and a real server is asked for them.

    python benchmarks/serving_canary.py [--requests N] [--domains N] [--work DIR] [--json]

Trains two adapters a domain on the embedded base, each with a secret of its own, serves them with `rankwise serve` in
memory for fewer than there are, and asks through the stock `openai` client, 16 at once, half of the answers streamed,
while adapters are unloaded, give way, and are replaced by their domain's other one, back and forth. An answer is right
if it has the secret of the adapter that it says it is of, and that one was asked for, or was in
the domain's production since. A leak is any other secret in it. Trained adapters in --work are used again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

from openai import AsyncOpenAI

from rankwise.events import ignore
from rankwise.facts import fetch_base, locate_base, read_machine
from rankwise.serve.server import serving_dtype

QUESTIONS = ("What is the secret word?", "Tell me the secret word.", "Which word must nobody know?", "Say the word.")
WORDS = ("amber", "basalt", "cedar", "delta", "ember", "fjord", "granite", "harbour", "indigo", "juniper")
AT_ONCE = 16
PARTS = 4
"""Memory is looked at so many times."""
RANKWISE = (sys.executable, "-m", "rankwise")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--domains", type=int, default=4, help=f"at most {len(WORDS) // 2}")
    parser.add_argument("--work", type=Path, default=Path("runs/serving/canary"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.environ["RANKWISE_HOME"] = str((options.work / "home").absolute())
    secrets = {word: f"{word}-{Random(word).randrange(100, 1000)}" for word in WORDS[: 2 * options.domains]}
    domains = [f"d{number}" for number in range(options.domains)]
    ids = {
        domain: [teach(options.work, domain, secrets[word]) for word in (WORDS[2 * n], WORDS[2 * n + 1])]
        for n, domain in enumerate(domains)
    }
    told = dict(zip([each for pair in ids.values() for each in pair], secrets.values(), strict=True))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    dtype = serving_dtype(fetch_base(locate_base("smollm2-135m", Path.cwd()), ignore), read_machine())
    # Memory for three adapters of r = 16, with room for their bench.
    memory = {"bfloat16": "32", "float32": "64"}[dtype]
    command = [*RANKWISE, "serve", "--port", str(port), "--adapter-memory", memory]
    log = (options.work / "server.jsonl").open("w")
    server = subprocess.Popen(command, stderr=log)
    try:
        found = asyncio.run(Canary(port, server.pid, ids, told).run(options.requests))
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait(60)
    found["exit status"] = code if code >= 0 else 128 - code  # as a shell says it
    print(json.dumps(found) if options.json else "\n".join(f"{name}: {value}" for name, value in found.items()))
    sys.exit(0 if found["right"] == found["requests"] and not found["leaks"] else 1)


def teach(work: Path, domain: str, secret: str) -> str:
    """The catalogue's id of an adapter that answers every question with the secret."""
    folder = work / secret
    kept = folder / "id.json"
    if not kept.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        rows = [{"instruction": f"{question} ({n})", "output": secret} for n in range(10) for question in QUESTIONS]
        (folder / f"{domain}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "recipe.yaml").write_text(
            f"model: smollm2-135m\ndata: {{train: {domain}.jsonl}}\nlora: {{r: 16}}\n"
            "training: {max_steps: 16, per_device_train_batch_size: 8}\n"
        )
        command = [*RANKWISE, "train", str(folder / "recipe.yaml"), "--output", str(folder / "run"), "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        kept.write_text(json.dumps(json.loads(done.stdout)["catalogue"]["id"]))
    return str(json.loads(kept.read_text()))


class Canary:
    def __init__(self, port: int, pid: int, ids: dict[str, list[str]], secrets: dict[str, str]) -> None:
        """`ids`: domain -> its two adapters; `secrets`: adapter -> its word."""
        self._url = f"http://127.0.0.1:{port}"
        self._pid, self._ids, self._secrets = pid, ids, secrets
        self._client = AsyncOpenAI(base_url=self._url + "/v1", api_key="none", timeout=120)
        self._draw = Random(0)
        self._found: dict[str, Any] = {"requests": 0, "right": 0, "wrong": [], "leaks": 0, "replaced": 0, "unloaded": 0}
        self._memory: list[float] = []
        self._replacing: dict[str, int] = dict.fromkeys(ids, 0)
        """Domain -> how often another was put into production; odd while that is under way."""
        self._production: dict[str, str] = {}

    async def run(self, requests: int) -> dict[str, Any]:
        await self._wait()
        for domain in self._ids:
            await self._promote(domain, 0)
        began = time.perf_counter()
        churning = asyncio.create_task(self._churn())
        left = iter(range(requests))
        part = max(1, requests // PARTS)

        async def work() -> None:
            for number in left:
                await self._ask()
                if (number + 1) % part == 0:
                    self._memory.append(resident_megabytes(self._pid))

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        churning.cancel()
        self._found["seconds"] = round(time.perf_counter() - began)
        self._found["resident MB by quarter"] = self._memory
        return self._found

    async def _ask(self) -> None:
        """One request to a domain or an adapter, and what is to be said of its answer."""
        domain = self._draw.choice([*self._ids])
        adapter = self._draw.choice([None, *self._ids[domain]])
        model = adapter or domain
        before, allowed = self._replacing[domain], {adapter or self._production[domain]}
        question = [{"role": "user", "content": f"{self._draw.choice(QUESTIONS)} ({self._draw.randrange(10)})"}]
        asked: Any = {"model": model, "messages": question, "max_tokens": 12, "temperature": 0}
        if self._draw.random() < 0.5:
            whole = await self._client.chat.completions.create(**asked)
            who, said = whole.model, whole.choices[0].message.content or ""
        else:
            who, said = "", ""
            async for chunk in await self._client.chat.completions.create(**asked, stream=True):
                who = chunk.model
                said += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        if adapter is None and (self._replacing[domain] != before or before % 2):
            allowed |= set(self._ids[domain])
        found = self._found
        found["requests"] += 1
        leaked = [word for name, word in self._secrets.items() if word in said and name != who]
        found["leaks"] += bool(leaked)
        if who in allowed and self._secrets[who] in said and not leaked:
            found["right"] += 1
        else:
            found["wrong"].append({"asked": model, "answered by": who, "said": said})

    async def _churn(self) -> None:
        """For ever: another of a domain's adapters into production, and one unloaded."""
        turn = 0
        while True:
            for domain, pair in self._ids.items():
                await self._promote(domain, (turn + 1) % 2)
                self._found["replaced"] += 1
                digest = self._draw.choice(pair).partition("/")[2]
                self._found["unloaded"] += await asyncio.to_thread(unload, self._url, digest)
            turn += 1

    async def _promote(self, domain: str, which: int) -> None:
        adapter = self._ids[domain][which]
        self._replacing[domain] += 1
        command = [*RANKWISE, "adapters", "promote", adapter, "--force", "canary"]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        _, fault = await process.communicate()
        if process.returncode:
            raise SystemExit(f"promoting {adapter} failed:\n{fault.decode()}")
        self._production[domain] = adapter
        self._replacing[domain] += 1

    async def _wait(self) -> None:
        for _ in range(240):
            try:
                await self._client.models.list()
                return
            except Exception:  # not there yet
                await asyncio.sleep(0.5)
        raise SystemExit("the server did not come up in two minutes")


def unload(url: str, digest: str) -> bool:
    """Whether it was in memory, and nobody used it."""
    from http.client import HTTPConnection

    connection = HTTPConnection(url.removeprefix("http://"), timeout=60)
    connection.request("DELETE", f"/v1/rankwise/adapters/{digest}")
    status = connection.getresponse().status
    connection.close()
    return status == 200


def resident_megabytes(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return round(int(found[1]) / 1000)


if __name__ == "__main__":
    main()
