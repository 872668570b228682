"""Bodies of advice on how to fine-tune, each from one source."""

from __future__ import annotations

from difflib import get_close_matches

from rankwise.doctrine.best_practices import BEST_PRACTICES
from rankwise.doctrine.configuration_guide import CONFIGURATION_GUIDE
from rankwise.doctrine.defaults import DEFAULTS
from rankwise.doctrine.honest_choice import HONEST_CHOICE
from rankwise.doctrine.rankwise import RANKWISE
from rankwise.doctrine.rule import Advice, Doctrine, Situation, Value
from rankwise.doctrine.tinker import TINKER
from rankwise.doctrine.trl_defaults import TRL_DEFAULTS
from rankwise.doctrine.unsloth_defaults import UNSLOTH_DEFAULTS
from rankwise.doctrine.without_regret import WITHOUT_REGRET
from rankwise.doctrine.working_notes import WORKING_NOTES
from rankwise.errors import Problem, RecipeError

DOCTRINES = {
    doctrine.name: doctrine
    for doctrine in (
        RANKWISE,
        BEST_PRACTICES,
        WITHOUT_REGRET,
        HONEST_CHOICE,
        CONFIGURATION_GUIDE,
        WORKING_NOTES,
        TINKER,
        DEFAULTS,
        TRL_DEFAULTS,
        UNSLOTH_DEFAULTS,
    )
}

__all__ = ["DEFAULTS", "DOCTRINES", "Advice", "Doctrine", "Situation", "Value", "find_doctrine"]


def find_doctrine(name: str, where: str = "doctrine") -> Doctrine:
    """The doctrine called `name`; RecipeError with the nearest name if there is none."""
    if name in DOCTRINES:
        return DOCTRINES[name]
    near = get_close_matches(name, DOCTRINES, n=1)
    hint = f'; did you mean "{near[0]}"?' if near else ""
    message = f'no doctrine is called "{name}"{hint} Known: {", ".join(DOCTRINES)}'
    raise RecipeError(problems=[Problem("error", "unknown-doctrine", where, message)])
