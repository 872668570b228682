"""One base and every adapter trained on it, answering from one process: `docs/serving.md` and `rankwise serve`."""
