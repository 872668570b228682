"""The stock `openai` client with every domain of a running `rankwise serve`, in parallel and streaming.

rankwise serve &
python examples/serve_domains.py [--url http://127.0.0.1:8000/v1] [--key KEY] [--prompt TEXT]
"""

from __future__ import annotations

import argparse
import asyncio

from openai import AsyncOpenAI


async def ask(client: AsyncOpenAI, model: str, prompt: str) -> str:
    """The answer of `model`, put together from its stream."""
    parts = []
    stream = await client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": prompt}], max_tokens=64, temperature=0, stream=True
    )
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            parts.append(chunk.choices[0].delta.content)
    return "".join(parts)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000/v1")
    parser.add_argument("--key", default="none")
    parser.add_argument("--prompt", default="The Supplier may raise the fees at any time by notice to the Client.")
    options = parser.parse_args()
    client = AsyncOpenAI(base_url=options.url, api_key=options.key)
    names = [model.id async for model in client.models.list() if "/" not in model.id]
    answers = await asyncio.gather(*(ask(client, name, options.prompt) for name in names))
    for name, answer in zip(names, answers, strict=True):
        print(f"{name}: {answer}")


if __name__ == "__main__":
    asyncio.run(main())
