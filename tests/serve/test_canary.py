"""Adapters taught a secret word each, asked for it while they load, give way, move and are unloaded."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random

import pytest
import torch

from rankwise import adapters, api
from rankwise.model.load import load_base
from rankwise.recipe import parse_recipe
from rankwise.serve.decoder import Decoder
from rankwise.serve.plans import Plans
from rankwise.serve.pool import seat_bytes
from rankwise.serve.service import Service, Settings
from tests.serve.test_app import Site

SECRETS = {
    "north": {"north-1": "the tenant", "north-2": "rent falls"},
    "south": {"south-1": "a profit", "south-2": "losses rose"},
}
"""Domain -> its two adapters -> what each was taught to say."""
QUESTIONS = ("Say the word.", "Which word is it?", "Tell me.")
REQUESTS = 200


def teach(base: Path, folder: Path, domain: str, secret: str) -> api.Trained:
    folder.mkdir()
    rows = [{"instruction": QUESTIONS[n % 3], "output": secret} for n in range(24)]
    (folder / f"{domain}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = (
        f"model: {base}\ndata: {{train: {domain}.jsonl, held_out: {domain}.jsonl}}\nlora: {{r: 8, lora_alpha: 16}}\n"
        "training: {max_steps: 150, per_device_train_batch_size: 8, learning_rate: 0.007, bf16: false}\n"
    )
    return api.train(parse_recipe(recipe, "recipe.yaml", folder), folder / "run")


@pytest.fixture(scope="module")
def taught(tiny_base: Path, own_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Adapter's id in the catalogue -> its secret; both of a domain stand on the domain's shelf."""
    folder = tmp_path_factory.mktemp("taught")
    return {
        teach(tiny_base, folder / name, domain, secret).entry.id: secret
        for domain, pair in SECRETS.items()
        for name, secret in pair.items()
    }


@pytest.fixture(scope="module")
def site(tiny_base: Path, taught: Mapping[str, str]) -> Iterator[tuple[Site, Service]]:
    """With memory for three of the four adapters."""
    decoder = Decoder.of(load_base(tiny_base, "float32", "cpu"), 2, 32)
    assert decoder is not None
    room = 3 * seat_bytes(decoder.groups, 8, torch.float32)
    settings = Settings(slots=6, slot_bytes=1 << 24, adapter_bytes=room)
    service = Service(tiny_base, "tiny", "float32", "cpu", settings)
    made = Site(service, Plans(str(tiny_base), lambda asked: {}, lambda asked: {}))
    yield made, service
    made.stop()


def test_no_secret_leaves_its_adapter(site: tuple[Site, Service], taught: Mapping[str, str]) -> None:
    """Half of the requests name a domain, whose production moves under them; an answer says whose it is."""
    at, service = site
    domains = sorted(SECRETS)
    of = {domain: [each for each in taught if each.startswith(f"{domain}/")] for domain in domains}
    for pair in of.values():
        adapters.promote(pair[0], force="canary")
    draw, lock = Random(0), threading.Lock()
    left = iter(range(REQUESTS))
    wrong: list[tuple[str, str, str]] = []
    answered: list[str] = []

    def work() -> None:
        while True:
            with lock:
                if next(left, None) is None:
                    return
                domain = draw.choice(domains)
                model = draw.choice([domain, domain, *of[domain]])
                question = draw.choice(QUESTIONS)
            body = {"model": model, "messages": [{"role": "user", "content": question}], "max_tokens": 12}
            reply = at("POST", "/v1/chat/completions", {**body, "temperature": 0}).json
            who, said = reply["model"], reply["choices"][0]["message"]["content"]
            allowed = of[domain] if model == domain else [model]
            answered.append(who)
            leaked = [word for name, word in taught.items() if word in said and name != who]
            if who not in allowed or taught[who] not in said or leaked:
                wrong.append((model, who, said))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    moved = unloaded = 0
    while any(thread.is_alive() for thread in threads):
        moved += 1
        for pair in of.values():
            adapters.promote(pair[moved % 2], force="canary")
            unloaded += service.pool.unload(pair[(moved + 1) % 2].partition("/")[2])
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(answered) == REQUESTS and set(answered) == set(taught) and moved > 4 and unloaded > 4
