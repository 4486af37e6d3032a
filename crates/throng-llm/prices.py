#!/usr/bin/env python3
"""Makes prices.json, the price table that throng-llm carries, out of the one in a wheel of litellm.

    pip download --no-deps litellm==VERSION
    python3 crates/throng-llm/prices.py litellm-VERSION-....whl

The result keeps LiteLLM's names of members, so that both files are read alike. Prices for other service tiers, batches,
images and audio are left out.
"""

import json
import re
import sys
import zipfile
from pathlib import Path

TABLE = "litellm/model_prices_and_context_window_backup.json"
MODES = {"chat", "responses"}
PROVIDERS = {"openai", "anthropic", "gemini", "deepseek", "groq", "mistral", "xai", "openrouter", "together_ai", "fireworks_ai"}
# Of a router with hundreds of models, those of the makers that are asked for most.
ROUTED = ("anthropic", "openai")
PRICE = re.compile(
    r"(input_cost_per_token|output_cost_per_token|cache_read_input_token_cost)(_above_\d+k_tokens)?|output_cost_per_reasoning_token"
)


def entry(name, model):
    provider = model.get("litellm_provider")
    if model.get("mode") not in MODES or provider not in PROVIDERS:
        return None
    if provider == "openrouter" and name.split("/")[1] not in ROUTED:
        return None
    prices = {key: value for key, value in sorted(model.items()) if PRICE.fullmatch(key) and isinstance(value, (int, float))}
    if "cache_read_input_token_cost" not in prices and "input_cost_per_token_cache_hit" in model:
        prices["cache_read_input_token_cost"] = model["input_cost_per_token_cache_hit"]
    if not {"input_cost_per_token", "output_cost_per_token"} <= prices.keys():
        return None
    # A model that costs nothing is one whose price LiteLLM does not know, unless its name says that it is free.
    if not prices["input_cost_per_token"] and not prices["output_cost_per_token"] and not name.endswith(":free"):
        return None
    return {"litellm_provider": provider, **prices}


def main():
    (wheel,) = sys.argv[1:]
    version = Path(wheel).name.split("-")[1]
    with zipfile.ZipFile(wheel) as archive:
        info = archive.getinfo(TABLE)
        table = json.loads(archive.read(info))
    about = {
        "source": f"model_prices_and_context_window_backup.json of litellm {version} on PyPI",
        "licence": "MIT, Copyright (c) 2023 Berri AI",
        "date": "{:04}-{:02}-{:02}".format(*info.date_time),
        "made_by": "prices.py",
    }
    models = {name: found for name, model in sorted(table.items()) if (found := entry(name, model))}
    lines = [f'"": {json.dumps(about)}']
    lines += [f"{json.dumps(name)}: {json.dumps(model, separators=(',', ':'))}" for name, model in models.items()]
    path = Path(__file__).with_name("prices.json")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{len(models)} models, {path.stat().st_size} bytes")


main()
