"""How many parameters each method trains on a base, in closed form: what PEFT 0.21 makes of the same settings."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from rankwise.facts.base import Anatomy

LOW_RANK = ("lora", "qlora", "dora", "adalora")
UNATTACHED = ("prompt", "classifier")
"""Methods that leave the base as it is and attach nothing to it."""
METHODS = (*LOW_RANK, "prefix", "full", *UNATTACHED)


def trainable_parameters(
    anatomy: Anatomy,
    method: str,
    modules: Iterable[str],
    r: int,
    bias: str = "none",
    *,
    rank_pattern: Mapping[str, int] | None = None,
    layers: Collection[int] | None = None,
    target_parameters: Iterable[str] = (),
    expert_r: int | None = None,
    virtual_tokens: int = 0,
    prefix_projection: bool = False,
    encoder_hidden_size: int | None = None,
    labels: int = 0,
    features: int | None = None,
) -> int:
    """Trainable parameters of `method`, one of METHODS; ValueError for another, or where a method cannot be counted.

    lora, qlora     r x (in + out) for each targeted layer, and the biases that `bias` trains; of a sequence classifier
                    its head too. `layers`: PEFT's layers_to_transform, `rank_pattern`: its patterns of other ranks than
                    r, which adalora does not take. `target_parameters`: names of fused experts, adapted with `expert_r`
                    (else r) for each expert.
    dora            and a magnitude for each output.
    adalora         at its initial rank, `r`: A, B and r singular values for each layer.
    prefix          keys and values of `virtual_tokens` for every layer, or with `prefix_projection` an embedding and
                    the network of `encoder_hidden_size` (else the keys' width) that makes them.
    full            every weight.
    prompt          nothing: examples in the prompt.
    classifier      a linear one on `features` numbers a row (else the hidden size); of two labels one is enough.
    """
    if method == "full":
        return anatomy.total_parameters
    if method == "prompt":
        return 0
    if method == "classifier":
        if labels < 2:
            raise ValueError(f"a classifier of {labels} labels; at least 2 are needed")
        return (1 if labels == 2 else labels) * ((features or anatomy.hidden_size) + 1)
    if method == "prefix":
        if virtual_tokens < 1:
            raise ValueError(f"a prefix of {virtual_tokens} tokens; at least 1 is needed")
        made = _prefix(anatomy, virtual_tokens, encoder_hidden_size, prefix_projection)
        return made + anatomy.classifier_parameters
    if method not in LOW_RANK:
        raise ValueError(f"no method is called {method!r}; one of {', '.join(METHODS)}")
    modules, parameters = tuple(modules), tuple(target_parameters)
    if parameters and method in ("dora", "adalora"):
        raise ValueError(f"{method} does not take target_parameters; lora does")
    ranks = rank_pattern if method != "adalora" else None
    count = anatomy.trainable_parameters(modules, r, bias, ranks, layers) + anatomy.classifier_parameters
    count += anatomy.expert_trainable_parameters(parameters, r if expert_r is None else expert_r, ranks)
    adapted = anatomy.targeted(modules, layers)
    if method == "dora":
        count += sum(layer.out_features for layer in adapted)
    elif method == "adalora":
        count += r * len(adapted)
    return count


def _prefix(anatomy: Anatomy, tokens: int, inner: int | None, projection: bool) -> int:
    width, made = anatomy.key_width, 2 * anatomy.num_layers * anatomy.key_width
    if not projection:
        return tokens * made
    inner = inner or width
    return tokens * width + (width + 1) * inner + (inner + 1) * made
