"""Opening an adapter on its base: verified first, refused on a base it was not trained on."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel

from rankwise.data.few_shot import ExampleRenderer
from rankwise.data.plain import make_renderer
from rankwise.data.render import Renderer
from rankwise.errors import AdapterError, raise_if_errors
from rankwise.facts import AdapterFacts, Anatomy, identify_base, read_adapter, read_anatomy, verify_adapter
from rankwise.facts.classifier import SINGLE
from rankwise.facts.payload import CLASSIFIER, PROMPT
from rankwise.facts.prefix import virtual_tokens
from rankwise.facts.unattached import Examples, read_content
from rankwise.model.attach import attach_existing
from rankwise.model.classifier import load_classifier
from rankwise.model.encoder_decoder import load_encoder_decoder
from rankwise.model.full import add_delta
from rankwise.model.linear import LinearClassifier, load_head, load_reader
from rankwise.model.load import load_base


@dataclass(frozen=True)
class OpenAdapter:
    model: PeftModel | PreTrainedModel | LinearClassifier
    """The base itself where the adapter is a delta of all weights, which is then in them, or examples to show it."""
    renderer: Renderer
    facts: AdapterFacts
    max_length: int
    """Most tokens the base takes, behind a learnt prefix if the adapter is one."""
    replaced: tuple[tuple[torch.nn.Parameter, torch.Tensor], ...]
    """Weights of the base in whose place the adapter has its own, each with the base's: trained biases, or all."""
    asking: Renderer | None = None
    """How the adapter is asked, where that is not as the base is: after its examples."""

    @property
    def base(self) -> nn.Module:
        """What answers within `base_alone`."""
        return self.model.base if isinstance(self.model, LinearClassifier) else self.model

    @property
    def asked_by(self) -> Renderer:
        return self.renderer if self.asking is None else self.asking

    @contextmanager
    def base_alone(self) -> Iterator[None]:
        """The base as it is without the adapter. PEFT switches its matrices off but leaves trained biases in place."""
        trained = [(parameter, parameter.data) for parameter, _ in self.replaced]
        _put(self.replaced)
        try:
            with ExitStack() as stack:
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", "Careful, disabling adapter layers", UserWarning)
                    if isinstance(self.model, PeftModel):
                        stack.enter_context(self.model.disable_adapter())
                yield
        finally:
            _put(trained)


def _put(values: Iterable[tuple[torch.nn.Parameter, torch.Tensor]]) -> None:
    """The values themselves, no copies: of a whole base there need not be room for a third."""
    for parameter, value in values:
        parameter.data = value


def open_adapter(folder: Path, base: Path, dtype: str, device: str) -> OpenAdapter:
    """The adapter in `folder` on the base in `base`, quantised as it was in training.

    AdapterError naming every fault of either.
    """
    anatomy = read_anatomy(base)
    raise_if_errors(AdapterError, verify_adapter(folder, identify_base(base), anatomy))
    facts = read_adapter(folder)
    if facts.is_delta:
        return _open_delta(facts, base, device)
    if facts.payload in (PROMPT, CLASSIFIER):
        return _open_unattached(facts, base, anatomy, dtype, device)
    record = facts.record
    quantization = "none" if record is None else record.base.quantization
    if record is not None and record.task.task == "seq_cls":
        # Any seed will do: the head it draws is replaced by the adapter's.
        problem_type = record.task.problem_type or SINGLE
        model = load_classifier(base, record.task.labels, dtype, device, 0, quantization, problem_type)
    elif anatomy.kind == "encoder-decoder":
        model = load_encoder_decoder(base, dtype, device)
    else:
        model = load_base(base, dtype, device, quantization)
    biases = [(p, p.detach().clone()) for name, p in model.named_parameters() if name.endswith("bias")]
    adapted = attach_existing(model, folder, trainable=False)
    replaced = tuple((p, own) for p, own in biases if not torch.equal(p, own))
    room = anatomy.max_length - virtual_tokens(facts.config)
    return OpenAdapter(adapted, make_renderer(base, anatomy.kind), facts, room, replaced)


def _open_delta(facts: AdapterFacts, base: Path, device: str) -> OpenAdapter:
    """In float32, in which the delta is kept and was trained, whatever the base's files have."""
    model, anatomy = load_base(base, "float32", device), read_anatomy(base)
    own = tuple((p, p.detach().clone()) for p in model.parameters())
    moved = add_delta(model, facts.path)
    return OpenAdapter(moved, make_renderer(base, anatomy.kind), facts, anatomy.max_length, own)


def _open_unattached(facts: AdapterFacts, base: Path, anatomy: Anatomy, dtype: str, device: str) -> OpenAdapter:
    renderer = make_renderer(base, anatomy.kind)
    if facts.payload == CLASSIFIER:
        packs = anatomy.kind == "causal"
        model = LinearClassifier(load_reader(base, packs, dtype, device), packs, load_head(facts))
        return OpenAdapter(model, renderer, facts, anatomy.max_length, ())
    examples = [[turn.model_dump() for turn in example] for example in read_content(facts, Examples).examples]
    asking = ExampleRenderer(base, examples)
    return OpenAdapter(load_base(base, dtype, device), renderer, facts, anatomy.max_length, (), asking)
