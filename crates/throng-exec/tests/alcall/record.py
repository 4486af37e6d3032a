"""Records what lionagi's alcall and bcall do, one case for each parameter, for tests/it/alcall.rs.

    python3 -m venv venv
    venv/bin/pip install lionagi==0.36.0
    venv/bin/python record.py > recorded.json

Nothing here goes over a network. It takes about five seconds of real time: sleeps are multiples of STEP_MS, and each
instant is written down rounded to it, so that two runs on a machine that is not overloaded write the same file.

The form of a case:

    "calls"      how often the function was called
    "inputs"     what it was called with, in order of the calls; "starts_ms" when, since alcall was called
    "peak"       how many calls were running at the same time at most
    "result"     what alcall returned; {"error": NAME} stands for an exception, {"tuple": [...]} for a tuple
    "raised"     the exception that alcall raised, if it did, with those of a group
    "cancelled"  how many calls were cancelled
    "wall_ms"    from the call of alcall to its end

Only keys that say something in a case are there.
"""

import asyncio
import inspect
import json
import platform
import sys
import threading
import time
from importlib.metadata import version

from lionagi.ln import alcall, bcall
from lionagi.ln._async_call import AlcallParams, BcallParams

STEP_MS = 50
STEP = STEP_MS / 1000


class Probe:
    """Logs the calls of the function that it makes."""

    def __init__(self):
        self.began = time.monotonic()
        self.lock = threading.Lock()
        self.inputs, self.starts = [], []
        self.running = self.peak = self.cancelled = 0
        self.tries = {}

    def now(self):
        return round((time.monotonic() - self.began) / STEP) * STEP_MS

    def enter(self, item):
        """Notes a call and returns which try of this item it is, from 1."""
        with self.lock:
            self.inputs.append(plain(item))
            self.starts.append(self.now())
            self.running += 1
            self.peak = max(self.peak, self.running)
            key = repr(item)
            self.tries[key] = self.tries.get(key, 0) + 1
            return self.tries[key]

    def leave(self):
        with self.lock:
            self.running -= 1

    def make(self, steps=None, fails=None, error=ConnectionError, returns=None):
        """Makes a function that takes `steps` of an item, fails in its first `fails` tries, and returns `returns`.

        Each of the first two is a number for every item or a dict by item.
        """

        def of(setting, item):
            return setting.get(item, 0) if isinstance(setting, dict) else setting or 0

        async def work(item, **kwargs):
            number = self.enter(item)
            try:
                if of(steps, item):
                    await asyncio.sleep(of(steps, item) * STEP)
                if number <= of(fails, item):
                    raise error("scripted")
                if returns is not None:
                    return returns(item, **kwargs)
                return item
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            finally:
                self.leave()

        return work

    def make_sync(self, steps):
        def work(item):
            self.enter(item)
            time.sleep(steps * STEP)
            self.leave()
            return item

        return work


def plain(value):
    """Turns a value into JSON that tells exceptions and tuples apart from other things."""
    if isinstance(value, BaseExceptionGroup):
        return {"error": type(value).__name__, "of": [plain(inner) for inner in value.exceptions]}
    if isinstance(value, BaseException):
        return {"error": type(value).__name__}
    if isinstance(value, tuple):
        return {"tuple": [plain(inner) for inner in value]}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value


async def record(call, *keys):
    """Runs `call(probe)` and returns what it did, as far as `keys` ask."""
    probe = Probe()
    raised = result = None
    try:
        result = await call(probe)
    except Exception as error:  # noqa: BLE001: what alcall raises is what is recorded
        raised = plain(error)
    everything = {
        "calls": len(probe.inputs),
        "cancelled": probe.cancelled,
        "inputs": probe.inputs,
        "peak": probe.peak,
        "starts_ms": probe.starts,
        "wall_ms": probe.now(),
    }
    chosen = {key: everything[key] for key in keys}
    if raised is None:
        chosen["result"] = plain(result)
    else:
        chosen["raised"] = raised
    return chosen


async def batches(stream):
    return [batch async for batch in stream]


async def lists():
    nested = [1, [2, [3, None]], {"a": [4]}, "text"]
    twice = [1, [2, 1], {"a": 1}, 2, {"a": 1}, 3]
    tuples = [1, (2, (3, 4)), [5]]
    pieces = {0: [1, [2, None]], 1: [2, 3], 2: None}

    def of(items, **kwargs):
        return record(lambda p: alcall(items, p.make(), **kwargs), "inputs", "calls")

    def out(results, **kwargs):
        """The function returns results[item]: what is done with the output."""
        call = lambda p: alcall(list(range(len(results))), p.make(returns=lambda i: results[i]), **kwargs)
        return record(call, "calls")

    return {
        "input_flatten.off": await of(nested),
        "input_flatten.on": await of(nested, input_flatten=True),
        "input_dropna": await of([1, None, 2, [3, None]], input_dropna=True),
        "input_dropna.flatten": await of([1, None, 2, [3, None]], input_dropna=True, input_flatten=True),
        "input_unique": await of(twice, input_unique=True, input_flatten=True),
        "input_unique.without_flatten": await of([1, 2, 1], input_unique=True),
        "input_unique.equal_across_types": await of([1, 1.0, True, "1"], input_unique=True, input_flatten=True),
        "input_flatten_tuple_set.off": await of(tuples, input_flatten=True),
        "input_flatten_tuple_set.on": await of(tuples, input_flatten=True, input_flatten_tuple_set=True),
        "input.text": await of("abc"),
        "output_flatten": await out(pieces, output_flatten=True),
        "output_dropna": await out([1, None, 3], output_dropna=True),
        "output_dropna.nested": await out(pieces, output_dropna=True),
        "output_unique": await out(pieces, output_flatten=True, output_dropna=True, output_unique=True),
        "output_unique.without_flatten": await out([1, 2, 1], output_unique=True),
        "output_flatten_tuple_set.off": await out(tuples, output_flatten=True),
        "output_flatten_tuple_set.on": await out(tuples, output_flatten=True, output_flatten_tuple_set=True),
    }


async def retries():
    def of(items, fails, *keys, steps=None, error=ConnectionError, returns=None, **kwargs):
        call = lambda p: alcall(items, p.make(steps=steps, fails=fails, error=error, returns=returns), **kwargs)
        return record(call, "calls", *keys)

    hang = 100
    return {
        "retry_attempts.0": await of([0], 9),
        "retry_attempts.2": await of([0], 9, retry_attempts=2),
        "retry_attempts.permanent": await of([0], 9, retry_attempts=4, error=TypeError),
        "retry_initial_delay": await of([0], 2, "starts_ms", retry_attempts=2, retry_initial_delay=2 * STEP),
        "retry_initial_delay.in_permit": await of(
            [0, 1], {0: 1}, "inputs", "starts_ms", retry_attempts=1, retry_initial_delay=6 * STEP, max_concurrent=1
        ),
        "retry_backoff": await of(
            [0], 4, "starts_ms", retry_attempts=4, retry_initial_delay=STEP, retry_backoff=2
        ),
        "retry_backoff.without_delay": await of([0], 3, "starts_ms", retry_attempts=3, retry_backoff=2),
        "retry_backoff.together": await of(
            [0, 1, 2], 1, "starts_ms", retry_attempts=1, retry_initial_delay=2 * STEP
        ),
        "retry_default": await of([0, 1], {0: 9}, retry_attempts=1, retry_default=-1),
        "retry_default.none": await of([0, 1], {0: 9}, retry_default=None),
        "retry_timeout": await of(
            [0, 1], 0, "starts_ms", "wall_ms", "cancelled",
            steps={0: hang, 1: 1}, retry_timeout=3 * STEP, retry_attempts=1, return_exceptions=True,
        ),
        "retry_timeout.sync": await record(
            lambda p: alcall([0], p.make_sync(6), retry_timeout=2 * STEP), "calls", "wall_ms"
        ),
    }


async def limits():
    def of(items, *keys, steps=None, fails=None, **kwargs):
        call = lambda p: alcall(items, p.make(steps=steps, fails=fails), **kwargs)
        return record(call, "calls", "starts_ms", *keys)

    async def pulled(p):
        seen = 0

        def source():
            nonlocal seen
            for item in range(100):
                seen += 1
                yield item

        at_first_call = []

        async def work(item):
            at_first_call.append(seen)
            return item

        await alcall(source(), work, max_concurrent=2)
        return at_first_call[0]

    return {
        "delay_before_start": await of([0, 1], delay_before_start=3 * STEP),
        "max_concurrent": await of(list(range(7)), "peak", "inputs", steps=2, max_concurrent=3),
        "max_concurrent.none": await of(list(range(7)), "peak", steps=2),
        "max_concurrent.0": await of(list(range(7)), "peak", steps=2, max_concurrent=0),
        "max_concurrent.input_pulled_before_first_call": await record(pulled),
        "throttle_period": await of([0, 1, 2, 3], "inputs", throttle_period=2 * STEP),
        "throttle_period.retries": await of(
            [0, 1], "inputs", fails=1, retry_attempts=1, throttle_period=2 * STEP
        ),
        "throttle_period.permits": await of(
            [0, 1, 2, 3], "inputs", steps={0: 4, 1: 3, 2: 4, 3: 3}, throttle_period=STEP, max_concurrent=2
        ),
        "order": await of([0, 1, 2], steps={0: 4, 1: 1, 2: 2}),
    }


async def errors():
    def of(items, *keys, **kwargs):
        steps, fails = kwargs.pop("steps"), kwargs.pop("fails")
        call = lambda p: alcall(items, p.make(steps=steps, fails=fails, error=KeyError), **kwargs)
        return record(call, "calls", "cancelled", "wall_ms", *keys)

    return {
        "return_exceptions.off": await of([0, 1, 2], steps={0: 1, 1: 2, 2: 6}, fails={1: 9}),
        "return_exceptions.off.two": await of([0, 1, 2], steps={0: 2, 1: 2, 2: 6}, fails={0: 9, 1: 9}),
        "return_exceptions.on": await of(
            [0, 1, 2], steps={0: 1, 1: 2, 2: 6}, fails={1: 9}, return_exceptions=True
        ),
        "kwargs": await record(
            lambda p: alcall([1, 2], p.make(returns=lambda item, add, times: (item + add) * times), add=1, times=10),
            "calls",
        ),
    }


async def batched():
    steps = {0: 4, 1: 1, 2: 1, 3: 1, 4: 1}
    return {
        "batch_size": await record(
            lambda p: batches(bcall([0, 1, 2, 3, 4], p.make(steps=steps), 2)),
            "calls", "inputs", "starts_ms", "peak", "wall_ms",
        ),
        "batch_size.nested_input": await record(lambda p: batches(bcall([1, None, [2, [3]]], p.make(), 2)), "inputs"),
        "batch_size.0": await record(lambda p: batches(bcall([1, 2], p.make(), 0)), "calls"),
        "batch_size.error": await record(
            lambda p: batches(bcall([0, 1, 2, 3], p.make(fails={1: 9}, error=KeyError), 2)), "calls", "inputs"
        ),
    }


async def params():
    config = AlcallParams(max_concurrent=2, retry_attempts=1, throttle_period=None)

    async def reused(p):
        first = await config([0, 1], p.make(fails={1: 1}))
        return [first, await config([2, 3, 4], p.make(steps=1))]

    async def overridden(p):
        return await config([0, 1, 2, 3], p.make(steps=1), max_concurrent=4)

    async def changed(p):
        config.max_concurrent = 3

    default = AlcallParams(retry_default=None)
    return {
        "params.reuse": await record(reused, "calls", "peak"),
        "params.override": await record(overridden, "calls", "peak"),
        "params.frozen": await record(changed),
        "params.default_none": await record(lambda p: default([0], p.make(fails=9)), "calls"),
        "params.bcall": await record(
            lambda p: BcallParams(batch_size=2, max_concurrent=2)([0, 1, 2], p.make(steps=1)), "calls", "starts_ms"
        ),
    }


def write(recorded, out):
    """Writes JSON with sorted keys, and each case on a line of its own."""
    cases = recorded.pop("cases")
    rows = [f"    {json.dumps(name)}: {json.dumps(cases[name], sort_keys=True)}" for name in sorted(cases)]
    rest = [f"  {json.dumps(key)}: {json.dumps(recorded[key])}" for key in sorted(recorded)]
    out.write('{\n  "cases": {\n' + ",\n".join(rows) + "\n  },\n" + ",\n".join(rest) + "\n}\n")


async def main():
    await alcall([0], Probe().make())  # imports what lionagi imports late
    cases = {}
    for part in (lists, retries, limits, errors, batched, params):
        cases.update(await part())
    recorded = {
        "cases": cases,
        "lionagi": version("lionagi"),
        "parameters": sorted({*inspect.signature(alcall).parameters, *inspect.signature(bcall).parameters}),
        "python": platform.python_version(),
        "step_ms": STEP_MS,
    }
    write(recorded, sys.stdout)


asyncio.run(main())
