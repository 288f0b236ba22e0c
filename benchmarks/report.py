"""What every benchmark prints: a table for people, or one JSON object."""

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

    def show(self, as_json: bool) -> None:
        if as_json:
            print(json.dumps({"name": self.name, "results": self.results}))
            return
        width = max(len(row["case"]) for row in self.results)
        print(f"{'case':<{width}}  {'value':>12}  {'unit':<10}  {'reference':>12}  {'ratio':>7}")
        for row in self.results:
            reference = "–" if row["reference"] is None else f"{row['reference']:,.2f}"
            ratio = "–" if row["ratio"] is None else f"{row['ratio']:.2f}"
            print(f"{row['case']:<{width}}  {row['value']:>12,.2f}  {row['unit']:<10}  {reference:>12}  {ratio:>7}")


def note(text: str) -> None:
    """Progress, where it is not in the way of the result."""
    print(f"bench: {text}", file=sys.stderr, flush=True)
