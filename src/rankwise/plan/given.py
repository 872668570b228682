"""What no doctrine decides: the values the recipe names outright, and what follows from base and rows."""

from __future__ import annotations

from rankwise.data.corpus import Corpus
from rankwise.data.render import DEFAULT_TEMPLATE_NAME
from rankwise.doctrine import Doctrine
from rankwise.facts import Anatomy
from rankwise.facts.counts import UNATTACHED
from rankwise.plan.ledger import Ledger
from rankwise.plan.prepare import Prepared
from rankwise.plan.problem_type import decide_problem_type
from rankwise.recipe.domains import Domain


def decide_what(ledger: Ledger, prepared: Prepared, doctrine: Doctrine) -> None:
    """Base, domain, task, scorer, objective, doctrine."""
    recipe, anatomy, corpus = ledger.asked.recipe, prepared.anatomy, prepared.corpus
    where = ledger.asked.where("model") if ledger.is_given("model") else "rankwise"
    described = f"{anatomy.architecture}, {anatomy.total_parameters:,} parameters"
    ledger.settle("model", prepared.located.source, described, where)
    ledger.given("domain", recipe.domain, "none named" if recipe.domain is None else "")
    ledger.given("task", anatomy.task, _task_reason(anatomy, corpus))
    decide_problem_type(ledger, anatomy, corpus)
    ledger.settle("scorer", *_scorer(corpus, prepared.domain), "rankwise")
    ledger.given("objective", recipe.objective, "the rows have answers to learn from")
    ledger.given("doctrine", recipe.doctrine, f"{doctrine.title}; the default")
    continued = prepared.continued
    ledger.given("adapter", str(continued.folder) if continued else None, "a fresh adapter")
    if recipe.tracking is not None:
        ledger.given("tracking", recipe.tracking, "")
    if recipe.method not in UNATTACHED:
        _decide_shared_prefix(ledger, anatomy)


def decide_data(ledger: Ledger, prepared: Prepared) -> None:
    """Files, lengths, prompt, chat template."""
    corpus, request = prepared.corpus, prepared.corpus.request
    ledger.given("data.train", request.train, "the domain's sample rows")
    if isinstance(request.held_out, str):
        reason = "the domain's held-out rows"
    else:
        in_proportion = ", each label in proportion" if corpus.labels else ""
        in_proportion += ", a row by its rarest" if corpus.shape == "label_lists" else ""
        reason = f"{len(corpus.held_out)} rows held out, drawn by seed{in_proportion}"
    ledger.given("data.held_out", request.held_out, reason)
    longest = max(corpus.inspection.train_lengths.max, corpus.inspection.held_out_lengths.max)
    longest_is = f"the longest row has {longest} tokens"
    if prepared.anatomy.kind == "encoder-decoder":
        longest_is = f"the longest prompt or answer has {longest} tokens; the two are read and written apart"
    ledger.given("data.max_length", corpus.max_length, longest_is)
    ledger.given("data.too_long", request.too_long, "no row is cut or dropped unless you choose so")
    causal = prepared.anatomy.kind == "causal"
    turns = "every answer of a conversation is trained on" if causal else "a row has one answer, its last"
    if ledger.asked.recipe.objective == "sft":
        ledger.given("data.assistant_turns", request.assistant_turns, turns)
    else:
        reason = "the last answer of a conversation is the one that is preferred or rewarded"
        ledger.settle("data.assistant_turns", request.assistant_turns, reason, "rankwise")
    _decide_instruction(ledger, corpus, prepared.domain, prepared.anatomy.kind == "encoder")
    template = prepared.renderer.template_name
    if prepared.anatomy.kind != "causal":
        reason = f"an {prepared.anatomy.kind} reads the text as its tokenizer has it, without a chat template"
        ledger.settle("chat_template", None, reason, "rankwise")
        return
    if template == DEFAULT_TEMPLATE_NAME:
        reason = "this base brings no chat template, so a plain default one is used"
        ledger.report("warning", "no-chat-template", "model", f'{reason}: "{template}"; serve with it too')
    else:
        reason = "rows are laid out as the base was taught"
    ledger.settle("chat_template", template, reason, str(prepared.anatomy.name))


def _task_reason(anatomy: Anatomy, corpus: Corpus) -> str:
    if anatomy.kind == "encoder":
        return (
            f"an encoder gives each of the {len(corpus.labels)} labels a score, by a head of "
            f"{anatomy.classifier_parameters:,} parameters that is trained whole beside the adapter"
        )
    if anatomy.kind == "encoder-decoder":
        return "the encoder reads the prompt, and the decoder writes the answer"
    if corpus.shape == "labels":
        return f"text/label rows on a causal base: every one of the {len(corpus.labels)} labels is scored"
    return "the base generates the answer"


def _decide_shared_prefix(ledger: Ledger, anatomy: Anatomy) -> None:
    key, asked = "shared_prefix", ledger.asked.recipe.shared_prefix
    objective = ledger.asked.recipe.objective
    if anatomy.kind == "causal" and objective == "sft":
        reason = "what the rows of a batch begin with is computed once (from 16 tokens on); exact"
        ledger.given(key, asked is not False, reason)
        return
    reason = "an encoder's tokens see what comes after them, so no beginning is the same in two rows"
    if anatomy.kind == "causal":
        reason = f"{objective} is trained by TRL, which pads rows and shares nothing between them"
    if asked is True and anatomy.kind != "encoder-decoder":  # where it is an error (plan/encoder_decoder)
        ledger.report("warning", "prefix-not-shared", ledger.asked.where(key), f"{reason}; nothing is shared")
    ledger.settle(key, False, reason, "rankwise")


def _decide_instruction(ledger: Ledger, corpus: Corpus, domain: Domain | None, encoder: bool) -> None:
    key, reason = "data.instruction", _instruction_reason(corpus, domain)
    if encoder:
        ledger.settle(key, None, "an encoder reads the text alone", "rankwise")
        return
    if corpus.shape == "labels" or not ledger.is_given(key):
        ledger.given(key, corpus.instruction, reason)
        return
    message = f"{corpus.shape} rows bring their own prompt, so this one is not used; it is for text/label rows"
    ledger.report("warning", "instruction-not-used", ledger.asked.where(key), message)
    ledger.settle(key, corpus.instruction, reason, "rankwise")


def _scorer(corpus: Corpus, domain: Domain | None) -> tuple[str, str]:
    if corpus.shape == "label_lists":
        return "micro_f1", "an answer is a set of labels, which may be right in part"
    if corpus.labels:
        return "accuracy", "the answer is one of the labels"
    if domain is not None and domain.kind == "open":
        return domain.scorer, f"the {domain.name} domain's"
    return "auto", "by what the reference answers look like: fields, short values or text"


def _instruction_reason(corpus: Corpus, domain: Domain | None) -> str:
    if corpus.shape != "labels":
        return "the rows bring their own"
    if domain is not None and corpus.instruction == domain.instruction:
        return f"the {domain.name} domain's prompt"
    if domain is not None and domain.kind != "labels":
        return f"a default prompt: the {domain.name} domain's is for open answers and your rows have labels"
    if domain is not None:
        return f"a default prompt: your labels are not the {domain.name} domain's"
    return "a default prompt" + (" that lists the labels" if len(corpus.labels) <= 30 else "")
