"""What is asked: the recipe's schema, its reading and its writing."""

from __future__ import annotations

from rankwise.recipe.parse import Asked, load_recipe, parse_recipe, with_overrides
from rankwise.recipe.schema import Recipe
from rankwise.recipe.write import commented_recipe

__all__ = ["Asked", "Recipe", "commented_recipe", "load_recipe", "parse_recipe", "with_overrides"]
