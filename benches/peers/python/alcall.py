"""What a job costs with lionagi's alcall, with gather and a Semaphore, and with a TaskGroup and a Semaphore.

    python3 -m venv venv
    venv/bin/pip install lionagi==0.36.0
    venv/bin/python alcall.py [--jobs 20000] [--limit 64] [--runs 5]

The jobs do nothing. The three take turns, run after run, after one run each that is not counted. Writes JSON to standard
output: for each the microseconds per job of every run and their median. The bench target exec_overhead runs this with
the interpreter that THRONG_LIONAGI_PYTHON names.
"""

import argparse
import asyncio
import json
import platform
import statistics
import sys
import time
from importlib.metadata import version

from lionagi.ln import alcall


async def job(item):
    return item


async def with_alcall(jobs, limit):
    return await alcall(list(range(jobs)), job, max_concurrent=limit)


async def with_gather(jobs, limit):
    permits = asyncio.Semaphore(limit)

    async def one(item):
        async with permits:
            return await job(item)

    return await asyncio.gather(*(one(item) for item in range(jobs)))


async def with_task_group(jobs, limit):
    permits = asyncio.Semaphore(limit)

    async def one(item):
        async with permits:
            return await job(item)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(item)) for item in range(jobs)]
    return [task.result() for task in tasks]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--limit", type=int, default=64)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()

    subjects = {"alcall": with_alcall, "gather": with_gather, "task_group": with_task_group}
    samples = {name: [] for name in subjects}
    for run in range(args.runs + 1):
        for name, subject in subjects.items():
            began = time.perf_counter()
            results = asyncio.run(subject(args.jobs, args.limit))
            took = time.perf_counter() - began
            assert results == list(range(args.jobs)), name
            if run > 0:
                samples[name].append(took / args.jobs * 1e6)
    report = {
        "jobs": args.jobs,
        "limit": args.limit,
        "lionagi": version("lionagi"),
        "python": platform.python_version(),
        "us_per_job": {
            name: {"median": statistics.median(values), "runs": values} for name, values in samples.items()
        },
    }
    json.dump(report, sys.stdout, indent=2, sort_keys=True)
    sys.stdout.write("\n")


main()
