"""A generated world against an oracle written from the rules: does every message go where it may?

Worlds of 20,000 messages each, told to the recorder, the routing table and a real PostgreSQL; docs/decisions/0022 says
what is in them. The reference is what the rules allow: no message to the wrong landlord, none lost, none doubled. The
exit status is 1 if anything is not so; then the seed tells that world again, and the shortest story of it is printed.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time

from report import Report, note

MUST_BE_ZERO = ("to the wrong landlord", "violations")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="script/bench world", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1_000_000, help="messages in all worlds together (1000000)")
    parser.add_argument("--seed", type=int, default=None, help="of the first world; the others count on (random)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="worlds at once (one a processor)")
    return parser.parse_args()


def tell(options: argparse.Namespace, seed: int) -> tuple[dict, int]:
    """What came of the worlds, and the exit status of the test."""
    environment = os.environ | {
        "WORLD_SEED": str(seed), "WORLD_MESSAGES": str(options.messages), "WORLD_WORKERS": str(options.workers)}
    process = subprocess.Popen(
        ["swift", "test", "--skip-build", "--filter", "WorldTests.WorldTests"], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    result: dict = {}
    for line in process.stdout:
        if not line.startswith("world: "):
            if "✘" in line or "error:" in line:
                note(line.rstrip())
            continue
        text = line.removeprefix("world: ").rstrip()
        if text.startswith("result "):
            result = json.loads(text.removeprefix("result "))
        else:
            note(text)
    return result, process.wait()


def main() -> None:
    options = arguments()
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    note(f"--seed {seed}, {options.messages:,} messages")
    note("building (swift build --build-tests)")
    subprocess.run(["swift", "build", "--build-tests"], check=True, stdout=sys.stderr)
    started = time.monotonic()
    result, status = tell(options, seed)
    if not result:
        raise SystemExit("bench: the worlds were not told to their end")
    report = Report("world")
    seconds = result.pop("seconds")
    for case, count in result.items():
        report.add(case, count, "", 0 if case in MUST_BE_ZERO else None)
    report.add("messages a second", result["messages"] / max(seconds, 0.001), "1/s")
    report.show()
    note(f"{time.monotonic() - started:.0f} s, seed {seed}")
    sys.exit(1 if status else 0)


main()
