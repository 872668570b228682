import rankwise.model  # noqa: F401  (before peft, whose remarks at its import it quiets)
