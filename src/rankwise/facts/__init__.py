"""What is there: the base, the machine, the adapter folder. Nothing here imports torch."""

from rankwise.facts.adapter import (
    AdapterFacts,
    AdapterRecord,
    BaseRecord,
    DataRecord,
    TaskRecord,
    adapter_digest,
    read_adapter,
    write_record,
)
from rankwise.facts.base import NO_LIMIT, Anatomy, Projection, Targets, read_anatomy
from rankwise.facts.classifier import as_classifier, require_body
from rankwise.facts.embedded import EMBEDDED, Located, fetch_base, fetch_facts, locate_base
from rankwise.facts.identity import BaseIdentity, compare_identity, identify_base, read_chat_template
from rankwise.facts.machine import Machine, Measurement, load_measurement, read_machine, save_measurement
from rankwise.facts.modules import ExpertParameter, Module
from rankwise.facts.verify import verify_adapter

__all__ = [
    "EMBEDDED",
    "NO_LIMIT",
    "AdapterFacts",
    "AdapterRecord",
    "Anatomy",
    "BaseIdentity",
    "BaseRecord",
    "DataRecord",
    "ExpertParameter",
    "Located",
    "Machine",
    "Measurement",
    "Module",
    "Projection",
    "Targets",
    "TaskRecord",
    "adapter_digest",
    "as_classifier",
    "compare_identity",
    "fetch_base",
    "fetch_facts",
    "identify_base",
    "load_measurement",
    "locate_base",
    "read_adapter",
    "read_anatomy",
    "read_chat_template",
    "read_machine",
    "require_body",
    "save_measurement",
    "verify_adapter",
    "write_record",
]
