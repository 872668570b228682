"""What a run survives, counted: `kill -9`, a failing disk call, a damaged file.

    python benchmarks/reliability.py [--kills 500] [--seed 0] [--output docs/evidence/reliability.md]

A parent imports everything once and forks; the child runs the real `rankwise train` or `rankwise train --resume` on a
tiny random base with one thread, and is killed at a random instant: half of the time just after a draft of a
checkpoint appeared, a tenth of the time once the adapter is being written. A run is killed up to five times and then
left to finish; its adapter file must be that of a run never stopped, to the last byte. The last line printed is all
counts as JSON.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import peft  # noqa: F401  (imported before forking, so that no child has to)
import torch
import transformers

import rankwise.train.run  # noqa: F401
from rankwise.catalog import index  # noqa: F401
from rankwise.cli import app
from rankwise.events import read_events
from rankwise.facts import read_machine
from rankwise.files import clear_drafts, sha256_file
from rankwise.train import state
from rankwise.train.optim import OptimSettings, make_optimizer

STEPS, EVAL_STEPS, SAVE_STEPS = 12, 3, 2
MOST_KILLS = 5
"""Of one run, before it is left to finish."""
RECIPE = f"""\
model: ./base
data: {{train: train.jsonl, held_out: held_out.jsonl}}
lora: {{r: 4, lora_dropout: 0.1}}
training:
  max_steps: {STEPS}
  eval_steps: {EVAL_STEPS}
  save_steps: {SAVE_STEPS}
  per_device_train_batch_size: 4
  gradient_accumulation_steps: 2
  early_stopping_patience: null
"""
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
OPTIM = OptimSettings("adamw_torch", 1e-2, 0.0, 0.9, 0.999, 1e-8, "constant", 0.0, 1.0)


@dataclass
class Kills:
    """What came of the killed runs."""

    kills: int = 0
    fell: Counter[str] = field(default_factory=Counter)
    """What was being done -> kills."""
    resumes: int = 0
    begun_again: int = 0
    """Lives after a kill that came before the plan was written."""
    runs: int = 0
    identical: int = 0
    faults: list[str] = field(default_factory=list)
    """What must not be: a damaged checkpoint, an exit code, another adapter."""


@dataclass
class Counted:
    """Faults that were injected, and those after which all was as it must be."""

    injected: int = 0
    well: int = 0
    faults: list[str] = field(default_factory=list)

    def count(self, well: bool, what: str) -> None:
        self.injected += 1
        self.well += well
        if not well:
            self.faults.append(what)


# -- the project


def lay_out(folder: Path) -> None:
    """A user's folder on a tiny random base."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(["a clause about payment and notice is of low medium or high risk"], trainer)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=special[1], pad_token=special[1])
    fast.chat_template = CHATML
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(fast),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        eos_token_id=1,
        pad_token_id=1,
        bos_token_id=None,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder / "base")
    fast.save_pretrained(folder / "base")
    for name, start, count in (("train", 0, 64), ("held_out", 100, 24)):
        risks = ("low", "medium", "high")
        rows = [
            {"text": f"clause {i} about payment, notice {i * 37 % 101}", "label": risks[i % 3]}
            for i in range(start, start + count)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "recipe.yaml").write_text(RECIPE)


@contextmanager
def project() -> Iterator[Path]:
    """A project in a temporary folder, with a home of its own."""
    where, home = Path.cwd(), os.environ.get("RANKWISE_HOME")
    with tempfile.TemporaryDirectory(prefix="rankwise-reliability-") as name:
        folder = Path(name)
        lay_out(folder)
        os.environ["RANKWISE_HOME"] = str(folder / "home")
        os.chdir(folder)
        try:
            yield folder
        finally:
            os.chdir(where)
            os.environ.pop("RANKWISE_HOME")
            if home is not None:
                os.environ["RANKWISE_HOME"] = home


def start(*arguments: str) -> int:
    """Fork a child that is `rankwise` with these arguments; returns its process id."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        screen = os.open("screen.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(screen, 1)
        os.dup2(screen, 2)
        sys.argv = ["rankwise", *arguments]
        app()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    finally:
        with suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def wait(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


# -- kill -9


def kill_runs(kills: int, seed: int, tell: Callable[[str], None] = print) -> Kills:
    """Kill runs until `kills` kills hit one alive. Call in a project folder."""
    draw, counted = random.Random(seed), Kills()
    if wait(start("train", "recipe.yaml", "--output", "warm-up")) != 0:
        raise RuntimeError(f"the first run failed: {Path('screen.txt').read_text()}")
    began = time.monotonic()  # the first also measured the machine
    if wait(start("train", "recipe.yaml", "--output", "never-stopped")) != 0:
        raise RuntimeError(f"the run to compare with failed: {Path('screen.txt').read_text()}")
    seconds = time.monotonic() - began
    expected = sha256_file(Path("never-stopped/adapter/adapter_model.safetensors"))
    while counted.kills < kills:
        run = Path(f"run-{counted.runs}")
        for _ in range(min(MOST_KILLS, kills - counted.kills)):
            killed = kill_once(run, seconds, draw, counted)
            damaged = state.latest_checkpoint(run / "checkpoints")[1]
            counted.faults += [f"{run}: {path.name}: {reason}" for path, reason in damaged.items()]
            if not killed:
                break
        finish(run, expected, counted)
        if counted.runs % 10 == 0:
            tell(f"{counted.kills} kills, {counted.identical} of {counted.runs} adapters identical")
    return counted


def go_on(run: Path, counted: Kills) -> int:
    if (run / "plan.json").is_file():
        counted.resumes += (run / "events.jsonl").exists()
        return start("train", "--resume", str(run))
    counted.begun_again += run.exists()
    return start("train", "recipe.yaml", "--output", str(run))


def kill_once(run: Path, seconds: float, draw: random.Random, counted: Kills) -> bool:
    """One life of `run`, ended by SIGKILL; False if it was over before."""
    aim, delay = draw.random(), draw.uniform(0, seconds)
    patience, after = draw.randint(1, 3), draw.uniform(0, 0.004)
    child, began, drafts = go_on(run, counted), time.monotonic(), set[str]()
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            if os.waitstatus_to_exitcode(status) != 0:
                counted.faults.append(f"{run}: ended with {os.waitstatus_to_exitcode(status)}")
            return False
        if aim < 0.5:
            with suppress(OSError):
                drafts |= {name for name in os.listdir(run / "checkpoints") if name.startswith(".")}
            if len(drafts) >= patience:
                time.sleep(after)
                break
        elif aim < 0.6:
            with suppress(OSError):
                if any("adapter" in name for name in os.listdir(run)):
                    time.sleep(after * 10)
                    break
        elif time.monotonic() - began >= delay:
            break
        time.sleep(0.0005)
    os.kill(child, signal.SIGKILL)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != -signal.SIGKILL:
        return False
    counted.kills += 1
    counted.fell[doing(run)] += 1
    return True


def doing(run: Path) -> str:
    """What a killed run was at, by what it left."""
    if any(path.name.startswith(".step-") for path in (run / "checkpoints").glob(".*")):
        return "save"
    events = read_events(run / "events.jsonl") if (run / "events.jsonl").exists() else []
    last = events[-1] if events else {"event": "none"}
    if last["event"] in ("train_end", "adapter") or any(run.glob(".adapter.*")):
        return "finish"
    if last["event"] == "step":
        return "evaluation" if last["step"] % EVAL_STEPS == 0 or last["step"] == STEPS else "step"
    if last["event"] in ("held_out", "checkpoint", "train_begin"):
        return "step"
    return "start"


def finish(run: Path, expected: str, counted: Kills) -> None:
    """Let the run come to its end; its adapter must be the one of a run never stopped."""
    counted.runs += 1
    code = wait(go_on(run, counted))
    adapter = run / "adapter" / "adapter_model.safetensors"
    drafts = [path.name for place in (run, run / "checkpoints") for path in place.glob(".*.*")]
    if code != 0 or not adapter.is_file() or not (run / "result.json").is_file():
        counted.faults.append(f"{run}: exit code {code}, adapter {'there' if adapter.is_file() else 'absent'}")
    elif sha256_file(adapter) != expected:
        counted.faults.append(f"{run}: another adapter")
    elif drafts:
        counted.faults.append(f"{run}: left behind {', '.join(drafts)}")
    else:
        counted.identical += 1
        shutil.rmtree(run)


# -- damaged files


def damage_files(checkpoints: Path, offsets: int, seed: int) -> Counted:
    """Change every file of the newest checkpoint in every way; the one before must be chosen."""
    draw, counted = random.Random(seed), Counted()
    newest, before = (state.committed(checkpoints)[i] for i in (-1, -2))

    def expect(what: str) -> None:
        found, damaged = state.latest_checkpoint(checkpoints)
        counted.count(found == before and list(damaged) == [newest], what)

    for file in sorted(newest.iterdir()):
        whole = file.read_bytes()
        places = [0, len(whole) - 1, *(draw.randrange(len(whole)) for _ in range(offsets))]
        for place in places:
            flipped = bytearray(whole)
            flipped[place] ^= 1 << draw.randrange(8)
            file.write_bytes(flipped)
            expect(f"{file.name}: a bit of byte {place} flipped")
            file.write_bytes(whole[:place])
            expect(f"{file.name}: cut at {place}")
        file.write_bytes(whole + b"\n")
        expect(f"{file.name}: a byte added")
        file.unlink()
        expect(f"{file.name}: missing")
        file.write_bytes(whole)
    (newest / "more.safetensors").write_bytes(b"")
    expect("a file too many")
    (newest / "more.safetensors").unlink()
    manifest = newest / state.MANIFEST
    whole = manifest.read_bytes()
    named = json.loads(whole)
    outside = {**named, f"../{before.name}/state.json": sha256_file(before / "state.json")}
    fewer = {name: digest for name, digest in named.items() if name != "state.json"}
    for text in ("{}", "[]", "null", json.dumps(outside), json.dumps(fewer), json.dumps(named, indent=1)):
        manifest.write_text(text)
        expect(f"a manifest that says {text[:40]}")
    manifest.write_bytes(whole)
    if state.latest_checkpoint(checkpoints) != (newest, {}):
        counted.faults.append("the undamaged checkpoint is not taken")
    return counted


# -- failing calls

CALLS = ("fsync", "replace", "rename", "unlink", "rmdir", "mkdir", "open")
"""Of `os`, by which a save reaches the disk; and safetensors' save_file."""


@contextmanager
def failing_at(k: int, fail: Callable[[], None]) -> Iterator[list[str]]:
    """The k-th of the calls does `fail` first; yields the names of the calls made."""
    made: list[str] = []
    originals = {name: getattr(os, name) for name in CALLS}
    save_file = state.save_file

    def wrapped(name: str, original: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            made.append(name)
            if len(made) == k:
                fail()
            return original(*arguments, **named)

        return call

    for name, original in originals.items():
        setattr(os, name, wrapped(name, original))
    state.save_file = wrapped("save_file", save_file)  # type: ignore[assignment]
    try:
        yield made
    finally:
        for name, original in originals.items():
            setattr(os, name, original)
        state.save_file = save_file


def refuse() -> None:
    raise OSError(errno.EIO, "Input/output error")


def fail_saves(folder: Path) -> Counted:
    """Fail, and die, at every call of a save: of a new step, and of a step that is there already."""
    counted = Counted()
    model = torch.nn.Linear(16, 16)
    optimizer = make_optimizer(dict(model.named_parameters()), OPTIM)
    model(torch.ones(1, 16)).sum().backward()
    optimizer.step()

    def save(where: Path, step: int) -> None:
        state.save_checkpoint(where, model, optimizer, state.Progress(step=step), None)

    for step in (5, 4):
        calls = 1
        k = 1
        while k <= calls:
            for dies in (False, True):
                where = folder / f"{step}-{k}-{dies}"
                for earlier in (2, 3, 4):
                    save(where, earlier)
                if dies:
                    child = os.fork()
                    if not child:
                        with failing_at(k, lambda: os._exit(9)):
                            save(where, step)
                        os._exit(0)
                    wait(child)
                else:
                    with failing_at(k, refuse) as made, suppress(OSError):
                        save(where, step)
                    calls = max(calls, len(made))
                clear_drafts(where, lambda name: name.startswith("step-"))
                found, damaged = state.latest_checkpoint(where)
                sound = found is not None and found.name >= "step-00000004" and not damaged
                if sound and found is not None:
                    state.load_checkpoint(found, model, optimizer)
                save(where, 6)  # and it goes on
                left = [path.name for path in where.glob(".*")]
                sound = sound and state.latest_checkpoint(where)[0] == where / "step-00000006" and not left
                counted.count(sound, f"save of step {step}, call {k}, {'died' if dies else 'failed'}")
                shutil.rmtree(where)
            k += 1
    return counted


# -- the page


def page(kills: Kills, damage: Counted, calls: Counted, seconds: float, command: str) -> str:
    machine = read_machine()
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    fell = "\n".join(f"| {name} | {count} |" for name, count in kills.fell.most_common())
    faults = "\n".join(f"- {fault}" for fault in (*kills.faults, *damage.faults, *calls.faults)) or "None."
    return f"""# A run that is never lost

Made by `{command}` in {seconds / 60:.0f} minutes. {date.today()}; {machine.cpu}, {machine.usable_cores} of \
{machine.physical_cores} cores usable, {machine.memory_bytes / 2**30:.0f} GiB; {versions}.

The base is a random Llama of two layers, so that a run takes seconds; {STEPS} steps with dropout and accumulation, a
held-out evaluation every {EVAL_STEPS} steps, a checkpoint every {SAVE_STEPS}. `kill -9` comes at a random instant: half
of the time just after a draft of a checkpoint appeared, a tenth of the time once the adapter is being written. A run is
killed up to {MOST_KILLS} times, then left to finish.

| `kill -9` | |
|---|---|
| kills that hit a living process | {kills.kills} |
| runs | {kills.runs} |
| resumes | {kills.resumes} |
| begun again, killed before the plan was written | {kills.begun_again} |
| adapters identical, to the byte, to that of a run never stopped | {kills.identical} of {kills.runs} |

Where the kills fell, by what they left behind ("save": a draft of a checkpoint; "start": planning and loading):

| at | kills |
|---|---|
{fell}

| faults | injected | found, or survived |
|---|---|---|
| a file of the newest checkpoint changed, cut, lengthened, missing or added: the one before is taken | \
{damage.injected} | {damage.well} |
| a save whose k-th call to the disk fails or is its last, for every k: the last good checkpoint is taken | \
{calls.injected} | {calls.well} |

What went wrong: {faults}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--offsets", type=int, default=200, help="bytes of each file that are damaged in turn")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    output = options.output.absolute() if options.output else None
    torch.set_num_threads(1)
    began = time.monotonic()
    with project() as folder:
        calls = fail_saves(folder / "saves")
        print(f"failing calls: {calls.well} of {calls.injected} survived", flush=True)
        kills = kill_runs(options.kills, options.seed, lambda text: print(text, flush=True))
        damage = damage_files(folder / "never-stopped" / "checkpoints", options.offsets, options.seed)
        print(f"damaged files: {damage.well} of {damage.injected} found", flush=True)
    command = f"python benchmarks/reliability.py --kills {options.kills} --seed {options.seed}"
    text = page(kills, damage, calls, time.monotonic() - began, command)
    if output is not None:
        output.write_text(text, encoding="utf-8")
    print(json.dumps({**vars(kills), "damage": vars(damage), "calls": vars(calls)}))
    bad = (*kills.faults, *damage.faults, *calls.faults)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
