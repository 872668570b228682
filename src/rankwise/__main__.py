"""`python -m rankwise`, the same as the `rankwise` command."""

from rankwise.cli import app

if __name__ == "__main__":
    app()
