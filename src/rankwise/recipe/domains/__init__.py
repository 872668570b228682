"""The twelve kinds of task rankwise knows by name; `rows/` holds sample rows for those that have some."""

from rankwise.recipe.domains.profiles import DOMAINS, Domain, find_domain

__all__ = ["DOMAINS", "Domain", "find_domain"]
