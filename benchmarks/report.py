"""What every benchmark prints: one JSON object, which `present.py` shows to people."""

import json
import sys


class Report:
    def __init__(self, name: str):
        self.name = name
        self.results = []

    def add(self, case: str, value: float, unit: str, reference: float | None = None) -> None:
        """A measured value, and what the reference reached in the same run."""
        ratio = value / reference if reference else None
        self.results.append({
            "case": case, "value": round(value, 3), "unit": unit,
            "reference": None if reference is None else round(reference, 3),
            "ratio": None if ratio is None else round(ratio, 3),
        })

    def show(self) -> None:
        print(json.dumps({"name": self.name, "results": self.results}), flush=True)


def note(text: str) -> None:
    """Progress, where it is not in the way of the result."""
    print(f"bench: {text}", file=sys.stderr, flush=True)
