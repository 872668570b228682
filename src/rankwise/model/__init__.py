"""The base, its adapter, and what both compute: torch begins here."""

import logging

# At its import it remarks that a kernel is missing which nothing here uses; PEFT imports it wherever it is installed.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
