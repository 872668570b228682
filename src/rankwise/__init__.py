"""LoRA adapters without regret. The command line is `rankwise`; the same from Python is `rankwise.api`."""

TYPE_CHECKING = False  # typing's own costs more than the rest of this module
if TYPE_CHECKING:
    from rankwise.plan.capacity import count_tokens, min_rank_for_dataset, validate_capacity

__all__ = ["count_tokens", "min_rank_for_dataset", "validate_capacity"]


def __getattr__(name: str) -> object:
    """What `__all__` names, brought when it is first asked for: `import rankwise` itself imports nothing."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rankwise.plan import capacity

    return getattr(capacity, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
