"""Another tool's configuration, or a guide's, becomes a recipe: what it says, in a recipe's words."""

from __future__ import annotations

from rankwise.recipe.dialects import AXOLOTL, SECTIONED, why_not
from rankwise.recipe.draft import Draft, KnownBase, LeftOut
from rankwise.recipe.foreign import Foreign, Translation, says_nothing
from rankwise.recipe.rules import RULES


def translate(foreign: Foreign, base: KnownBase | None) -> Draft:
    """The draft of a recipe; `base` is the one it is for, None where that cannot be looked at here.

    Without it layers keep the names they have in the file, and what depends on the base's size is left out.
    """
    work, dialect = Translation(foreign, base), foreign.dialect
    rules = RULES[dialect.name]
    for key, node in foreign.entries.items():
        if key in rules:
            if not says_nothing(node.plain()):
                rules[key](work, key, node)
        elif dialect is SECTIONED:
            work.own(key, node, "")
        elif work.asks_nothing(key, node.plain()):
            continue
        elif key in dialect.same:
            work.offer(dialect.same[key], node.plain(), key, node)
        else:
            work.leave(key, node, why_not(key))
    if dialect is AXOLOTL and not work.names("adapter"):
        listed = LeftOut(foreign.source, "adapter", None, "")
        work.draft.leave(listed, "without it Axolotl trains the whole base; this build trains an adapter")
    return work.draft
