"""Opening an adapter on its base: verified first, refused on a base it was not trained on."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftModel

from rankwise.data.plain import make_renderer
from rankwise.data.render import Renderer
from rankwise.errors import AdapterError, raise_if_errors
from rankwise.facts import AdapterFacts, identify_base, read_adapter, read_anatomy, verify_adapter
from rankwise.model.attach import attach_existing
from rankwise.model.classifier import load_classifier
from rankwise.model.load import load_base


@dataclass(frozen=True)
class OpenAdapter:
    model: PeftModel
    renderer: Renderer
    facts: AdapterFacts
    max_length: int
    """Most tokens the base takes."""
    base_biases: tuple[tuple[torch.nn.Parameter, torch.Tensor], ...]
    """Biases that the adapter replaced, each with the base's own values."""

    @contextmanager
    def base_alone(self) -> Iterator[None]:
        """The base as it is without the adapter. PEFT switches its matrices off but leaves trained biases in place."""
        trained = [(bias, bias.detach().clone()) for bias, _ in self.base_biases]
        _copy(self.base_biases)
        try:
            with ExitStack() as stack:
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", "Careful, disabling adapter layers", UserWarning)
                    stack.enter_context(self.model.disable_adapter())
                yield
        finally:
            _copy(trained)


@torch.no_grad()
def _copy(values: Iterable[tuple[torch.nn.Parameter, torch.Tensor]]) -> None:
    for parameter, value in values:
        parameter.copy_(value)


def open_adapter(folder: Path, base: Path, dtype: str, device: str) -> OpenAdapter:
    """The adapter in `folder` on the base in `base`, quantised as it was in training.

    AdapterError naming every fault of either.
    """
    anatomy = read_anatomy(base)
    raise_if_errors(AdapterError, verify_adapter(folder, identify_base(base), anatomy))
    facts = read_adapter(folder)
    record = facts.record
    quantization = "none" if record is None else record.base.quantization
    if record is not None and record.task.task == "seq_cls":
        # Any seed will do: the head it draws is replaced by the adapter's.
        model = load_classifier(base, record.task.labels, dtype, device, 0, quantization)
    else:
        model = load_base(base, dtype, device, quantization)
    biases = [(p, p.detach().clone()) for name, p in model.named_parameters() if name.endswith("bias")]
    adapted = attach_existing(model, folder, trainable=False)
    replaced = tuple((p, own) for p, own in biases if not torch.equal(p, own))
    return OpenAdapter(adapted, make_renderer(base, anatomy.kind), facts, anatomy.max_length, replaced)
