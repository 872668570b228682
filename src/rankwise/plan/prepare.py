"""What a recipe speaks of, read and checked: base, domain, rows, and the adapter it continues from."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from rankwise.catalog import locate_adapter
from rankwise.data.corpus import Corpus, CorpusRequest, build_corpus
from rankwise.data.estimate import BYTES_PER_TOKEN
from rankwise.data.plain import make_renderer
from rankwise.data.read import read_table
from rankwise.data.render import Renderer
from rankwise.data.request import corpus_request
from rankwise.doctrine import find_doctrine
from rankwise.errors import AdapterError, DataError, Problem, RankwiseError, RecipeError
from rankwise.events import Observer
from rankwise.facts import (
    Anatomy,
    Located,
    as_classifier,
    fetch_base,
    fetch_facts,
    identify_base,
    locate_base,
    read_anatomy,
    require_body,
)
from rankwise.facts.classifier import MULTI, SINGLE
from rankwise.facts.counts import UNATTACHED
from rankwise.facts.encoder_decoder import require_start
from rankwise.facts.folder import weight_files
from rankwise.plan.continued import Continued, read_continued
from rankwise.plan.objective import require_tracker, require_trl
from rankwise.plan.problem_type import problem_type_of
from rankwise.recipe import Asked
from rankwise.recipe.domains import Domain, find_domain

T = TypeVar("T")

_KINDS = {"causal": "a causal base", "encoder": "an encoder", "encoder-decoder": "an encoder-decoder"}


@dataclass(frozen=True)
class Prepared:
    """A recipe with the facts it speaks of."""

    located: Located
    path: Path
    anatomy: Anatomy
    renderer: Renderer
    domain: Domain | None
    corpus: Corpus
    continued: Continued | None


def prepare(asked: Asked, observer: Observer, to_train: bool = False) -> Prepared:
    """All that the recipe speaks of; what is wrong with base, domain and data is raised together.

    To plan, a base's config.json is enough: what then is estimated is among the corpus' problems. `to_train`: weights
    and tokenizer must be there, and the base must have all that its task needs.
    """
    recipe, faults = asked.recipe, list[RankwiseError]()
    if to_train:
        _attempt(faults, lambda: require_trl(recipe.objective, asked.where("objective")))
        _attempt(faults, lambda: require_tracker(recipe.tracking, asked.where("tracking")))
    base = _attempt(faults, lambda: _read_base(asked, observer, to_train))
    domain = request = corpus = continued = None
    if recipe.domain is not None:
        name = recipe.domain
        domain = _attempt(faults, lambda: find_domain(name))
    if recipe.domain is None or domain is not None or recipe.data.train is not None:
        request = _attempt(faults, lambda: corpus_request(asked, domain))
    if base is not None:
        continued = _attempt(faults, lambda: _read_continued(asked, base))
    if base is not None and request is not None:
        corpus = _attempt(faults, lambda: _read_corpus(asked, request, base, domain))
    elif request is not None:
        for source in (request.train, request.held_out):
            if isinstance(source, str):
                _attempt(faults, partial(read_table, source))
    if faults:
        _attempt(faults, lambda: find_doctrine(recipe.doctrine, asked.where("doctrine")))
        raise _together(faults)
    assert base is not None and corpus is not None
    corpus = replace(corpus, problems=(*_shortcomings(base), *corpus.problems))
    headed = base.anatomy.kind == "encoder" and recipe.method not in UNATTACHED
    anatomy = base.anatomy if not headed else as_classifier(base.anatomy, len(corpus.labels))
    if to_train and headed:
        require_body(base.anatomy, anatomy)
    if to_train and anatomy.kind == "encoder-decoder":
        require_start(base.path)
    if continued is not None and anatomy.kind == "encoder":
        _require_labels(continued, corpus)
    return Prepared(base.located, base.path, anatomy, base.renderer, domain, corpus, continued)


def _read_corpus(asked: Asked, request: CorpusRequest, base: _Base, domain: Domain | None) -> Corpus:
    """The rows under the domain's prompt, or under the default one where theirs are not the domain's labels; an encoder
    reads the text without any."""
    if base.anatomy.kind == "encoder":
        return _read_texts(asked, request, base)
    corpus = build_corpus(request, base.renderer, base.anatomy.max_length)
    own = asked.recipe.data.instruction is not None or domain is None or domain.kind != "labels"
    if own or domain is None or not corpus.labels or set(corpus.labels) <= set(domain.labels):
        return corpus
    message = (
        f"these labels are not the {domain.name} domain's ({', '.join(domain.labels)}), so its prompt, which lists "
        "them, is not used but a default one; data.instruction sets another"
    )
    corpus = build_corpus(replace(request, instruction=None), base.renderer, base.anatomy.max_length)
    return replace(corpus, problems=(*corpus.problems, Problem("warning", "domain-labels", request.train, message)))


def _read_texts(asked: Asked, request: CorpusRequest, base: _Base) -> Corpus:
    """Rows for an encoder, which chooses among labels and writes nothing. Raises DataError for open answers."""
    corpus = build_corpus(request, base.renderer, base.anatomy.max_length)
    lists = corpus.shape == "label_lists"
    if len(corpus.labels) < (1 if lists else 2):
        found = f"{corpus.shape} rows with open answers" if not corpus.labels else f"one label, {corpus.labels[0]}"
        found = "rows whose lists of labels are all empty" if lists else found
        message = (
            f"{found}, and {base.anatomy.architecture} is an encoder, which can only choose among labels: give "
            "text/label rows of two labels or more, or a base that writes its answers (a causal one)"
        )
        raise DataError(problems=[Problem("error", "encoder-needs-labels", request.train, message)])
    problems = list(corpus.problems)
    if asked.recipe.data.instruction is not None:
        message = "an encoder reads the text alone, so this prompt is not used"
        problems.append(Problem("warning", "instruction-not-used", asked.where("data.instruction"), message))
    if not any(row.told_by(corpus.labels) for row in corpus.held_out_rendered):
        message = "no held-out row has a label that is trained on, so the head could not be judged; give others"
        problems.append(Problem("error", "held-out-labels-unknown", str(request.held_out), message))
        raise DataError(problems=problems)
    return replace(corpus, problems=tuple(problems))


def _require_labels(continued: Continued, corpus: Corpus) -> None:
    """AdapterError unless the head that is trained on was made for the labels of these rows, in their order."""
    made_for = continued.problem_type or SINGLE
    if (made_for, continued.labels) == (problem_type_of(corpus), corpus.labels):
        return
    if made_for != problem_type_of(corpus):
        gives, have = ("any number of labels", "one each") if made_for == MULTI else ("one label", "lists of them")
        message = (
            f"its head gives a text {gives} and these rows have {have}; give rows of its kind, or leave adapter out to "
            "train a fresh head"
        )
        raise AdapterError(problems=[Problem("error", "adapter-of-other-labels", str(continued.folder), message)])
    message = (
        f"its head tells {', '.join(continued.labels)} apart and these rows have {', '.join(corpus.labels)}; give rows "
        "of its labels, or leave adapter out to train a fresh head"
    )
    raise AdapterError(problems=[Problem("error", "adapter-of-other-labels", str(continued.folder), message)])


def _attempt(faults: list[RankwiseError], make: Callable[[], T]) -> T | None:
    try:
        return make()
    except RankwiseError as fault:
        faults.append(fault)
        return None


def _together(faults: Sequence[RankwiseError]) -> RankwiseError:
    """One error, of the first's kind, with the problems of all."""
    if len(faults) == 1:
        return faults[0]
    return type(faults[0])(problems=dict.fromkeys(problem for fault in faults for problem in problems_of(fault)))


def problems_of(fault: RankwiseError) -> tuple[Problem, ...]:
    """Its problems; of one that is a message alone, a single problem named after its kind."""
    kind = re.sub(r"\B([A-Z])", r"-\1", type(fault).__name__).lower()  # `base-error` of BaseError
    return fault.problems or (Problem("error", kind, "", str(fault)),)


@dataclass(frozen=True)
class _Base:
    located: Located
    path: Path
    anatomy: Anatomy
    renderer: Renderer


def _read_base(asked: Asked, observer: Observer, to_train: bool) -> _Base:
    model = asked.recipe.model
    located = locate_base(model, asked.folder)
    path = fetch_base(located, observer) if to_train else fetch_facts(located, observer)
    anatomy = read_anatomy(path, located.name)
    faults = list[RankwiseError]()
    renderer = _attempt(faults, lambda: make_renderer(path, anatomy.kind, estimate=not to_train))
    if asked.recipe.task not in ("auto", anatomy.task):
        message = _why_not(asked.recipe.task, anatomy)
        faults.append(RecipeError(problems=[Problem("error", "task-of-another-base", asked.where("task"), message)]))
    if to_train:
        _attempt(faults, lambda: weight_files(path))
    if renderer is None or faults:
        raise _together(faults)
    return _Base(located, path, anatomy, renderer)


def _why_not(task: str, anatomy: Anatomy) -> str:
    """Why a base is not trained for a task that is not of its kind."""
    told = f"{task}, but {_described(anatomy)}, whose task is {anatomy.task}"
    if task == "seq_cls" and anatomy.kind == "causal":
        return (
            f"{told}: this build puts no classification head on it, and scores every label of text/label rows instead; "
            "leave task out, or take an encoder (minilm-l6)"
        )
    return f"{told}; leave task out"


def _described(anatomy: Anatomy) -> str:
    return f"{anatomy.architecture} is {_KINDS[anatomy.kind]}"


def _shortcomings(base: _Base) -> list[Problem]:
    """What is planned for a base without being known of it."""
    anatomy, found = base.anatomy, list[Problem]()
    if anatomy.source != "headers":
        origin = "config.json alone" if anatomy.source == "config" else "transformers' own model of config.json"
        here = base.located.kind == "folder"
        advice = "add them to train" if here else "training fetches them, as `rankwise models fetch` does"
        message = f"no weights in {base.path} yet: shapes are from {origin}, and no speed can be measured; {advice}"
        found.append(Problem("note", "base-without-weights", "model", message))
    if base.renderer.estimated:
        message = (
            f"no tokenizer.json in {base.path}: tokens are estimated, one for {BYTES_PER_TOKEN} bytes of text, and "
            "lengths, steps' cost and capacity with them; add it to count them"
        )
        found.append(Problem("note", "tokens-estimated", "model", message))
    return found


def _read_continued(asked: Asked, base: _Base) -> Continued | None:
    """The adapter to continue from: a run or adapter folder beside the recipe, else a name in the catalogue."""
    adapter = asked.recipe.adapter
    if adapter is None:
        return None
    if asked.recipe.method in UNATTACHED:
        message = f"method {asked.recipe.method} trains nothing that could be gone on from; leave adapter out"
        raise RecipeError(
            problems=[Problem("error", f"not-with-{asked.recipe.method}", asked.where("adapter"), message)]
        )
    path = asked.path(adapter)
    folder = locate_adapter(str(path) if path.exists() else adapter).absolute()
    return read_continued(folder, identify_base(base.path), base.anatomy)
