"""What the server counts, for Prometheus: read from the service when it is asked, so that no step pays for it."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from rankwise.serve.service import Service


class _Numbers(Collector):
    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        batcher, pool = self._service.batcher, self._service.pool
        counts = batcher.counts
        for name, help_text, value in (
            ("rankwise_requests", "Answers begun.", counts.requests),
            ("rankwise_failures", "Answers given up.", counts.failures),
            ("rankwise_steps", "Steps of the batch.", counts.steps),
            ("rankwise_prompt_tokens", "Prompt tokens computed.", counts.prompt_tokens),
            ("rankwise_reused_tokens", "Prompt tokens that were known.", batcher.prefixes.reused),
            ("rankwise_tokens", "Tokens written.", counts.tokens),
        ):
            yield CounterMetricFamily(name, help_text, value=value)
        for name, help_text, value in (
            ("rankwise_running", "Answers in the batch.", batcher.running),
            ("rankwise_waiting", "Answers that wait for a slot.", batcher.waiting),
            ("rankwise_adapters_in_memory", "Adapters that have a seat.", len(pool.describe())),
            ("rankwise_adapter_bytes", "Memory of all seats.", pool.bytes),
            ("rankwise_prefix_bytes", "Memory of prompts kept.", batcher.prefixes.bytes),
        ):
            yield GaugeMetricFamily(name, help_text, value=value)


def make_registry(service: Service) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(_Numbers(service))
    return registry


def exposition(registry: CollectorRegistry) -> bytes:
    return generate_latest(registry)
