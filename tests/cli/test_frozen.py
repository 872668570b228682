"""The command line, whole. A new verb or flag is a decision: what varies from run to run goes into the recipe."""

from __future__ import annotations

import typer

from rankwise.cli import app

FROZEN = {
    "demo": ["--set", "--json"],
    "init": ["--domain", "--preset", "--from", "--model", "--list", "--output", "--json"],
    "check": ["RECIPE", "--set", "--json"],
    "plan": [
        *("[RECIPE]", "--domain", "--model", "--doctrine", "--explain", "--compare"),
        *("--measure", "--fit", "--set", "--json"),
    ],
    "train": ["[RECIPE]", "--output", "--resume", "--set", "--json"],
    "evaluate": ["ADAPTER|RUN", "--data", "--json"],
    "experiment ablation": [
        *("RECIPE", "--budget", "--seeds", "--rows", "--full", "--targets", "--layers", "--alpha", "--dropout"),
        *("--doctrines", "--output", "--set", "--json"),
    ],
    "experiment regret": ["RECIPE", "--budget", "--seeds", "--rows", "--full", "--output", "--set", "--json"],
    "experiment claims": ["RECIPE", "--budget", "--seeds", "--rows", "--full", "--output", "--set", "--json"],
    "experiment search": ["RECIPE", "--budget", "--seeds", "--rows", "--full", "--output", "--set", "--json"],
    "chat": ["ADAPTER", "--prompt", "--json"],
    "serve": ["[MODEL]", "--host", "--port", "--slots", "--adapter-memory", "--new-key"],
    "adapters list": ["--json"],
    "adapters show": ["ADAPTER", "--json"],
    "adapters verify": ["ADAPTER", "--json"],
    "adapters rebuild": ["--json"],
    "adapters compare": ["ADAPTER", "OTHER", "--data", "--json"],
    "adapters promote": ["ADAPTER", "--data", "--force", "--json"],
    "adapters import": ["FOLDER", "--base", "--domain", "--json"],
    "adapters merge": ["ADAPTER", "--output", "--data", "--json"],
    "adapters rollback": ["DOMAIN", "--json"],
    "adapters remove": ["ADAPTER", "--force", "--json"],
    "selftest": ["[MODEL]", "--json"],
    "models list": ["--json"],
    "models fetch": ["MODEL", "--json"],
    "models show": ["MODEL", "--json"],
}


def walk(command, name=()):
    """(verb, its arguments and flags in order) of every verb below `command`."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield " ".join(name), [p.metavar if p.param_type_name == "argument" else p.opts[0] for p in command.params]
        return
    assert [option for p in command.params for option in p.opts] == [], f"{name} has options of its own"
    for verb, below in inner.items():
        yield from walk(below, (*name, verb))


def test_verbs_and_flags_are_these_and_no_others():
    assert dict(walk(typer.main.get_command(app))) == FROZEN


def test_flags_have_one_spelling_each_and_every_one_is_explained():
    root = typer.main.get_command(app)
    verbs = [*root.commands.values()]
    verbs = [leaf for verb in verbs for leaf in getattr(verb, "commands", {"": verb}).values()]
    assert len(verbs) == len(FROZEN)
    params = [param for verb in verbs for param in verb.params]
    assert len(params) == sum(map(len, FROZEN.values()))
    for param in params:
        assert len(param.opts) == 1 and not param.secondary_opts, param.opts
        assert param.help, param.opts
        assert not getattr(param, "prompt", None), param.opts
    for verb in verbs:
        assert verb.help and len(verb.help) < 72
