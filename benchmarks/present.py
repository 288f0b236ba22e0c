"""Shows a benchmark's result, and what got worse: reads the JSON object a benchmark printed.

Ratios are compared with those of `baseline.json`, which --save-baseline writes. A ratio may be MARGIN times as bad before
it counts; the slowest of many, which a busy neighbour moves most, TAIL_MARGIN times. Rates (1/s) are good when large,
everything else when small.
"""

import argparse
import json
import pathlib
import re
import sys

BASELINE = pathlib.Path(__file__).resolve().parent / "baseline.json"
MARGIN, TAIL_MARGIN = 1.25, 2.0


def table(results: list[dict]) -> str:
    width = max(len(row["case"]) for row in results)
    lines = [f"{'case':<{width}}  {'value':>12}  {'unit':<10}  {'reference':>12}  {'ratio':>7}"]
    for row in results:
        reference = "–" if row["reference"] is None else f"{row['reference']:,.2f}"
        ratio = "–" if row["ratio"] is None else f"{row['ratio']:.2f}"
        lines.append(f"{row['case']:<{width}}  {row['value']:>12,.2f}  {row['unit']:<10}  {reference:>12}  {ratio:>7}")
    return "\n".join(lines)


def worsening(row: dict, before: float) -> float:
    """How many times as bad as before."""
    return before / row["ratio"] if row["unit"] == "1/s" else row["ratio"] / before


def margin(case: str) -> float:
    return TAIL_MARGIN if re.search(r"\b(p99|max)\b", case) else MARGIN


def judge(results: list[dict], before: dict[str, float]) -> list[str]:
    known = [row for row in results if row["ratio"] and before.get(row["case"])]
    if not known:
        return ["nothing of this is in the baseline; --save-baseline puts it there"]
    worse = [row for row in known if worsening(row, before[row["case"]]) > margin(row["case"])]
    lines = [f"WORSE than the baseline: {row['case']}: ratio {row['ratio']:.2f}, was {before[row['case']]:.2f}"
             for row in worse]
    return lines or [f"no worse than the baseline ({len(known)} ratios)"]


def save(name: str, results: list[dict], baseline: dict) -> None:
    """Cases that were not measured this time keep what they have."""
    baseline.setdefault(name, {}).update({row["case"]: row["ratio"] for row in results if row["ratio"]})
    BASELINE.write_text(json.dumps(baseline, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="present.py", description=__doc__)
    parser.add_argument("--json", action="store_true", help="pass the object on; what got worse goes to standard error")
    parser.add_argument("--save-baseline", action="store_true", help="make these ratios the baseline")
    options = parser.parse_args()
    text = sys.stdin.read()
    if not text.strip():
        sys.exit("bench: there is no result")
    result = json.loads(text)
    print(text.strip() if options.json else table(result["results"]))
    baseline = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    if options.save_baseline:
        save(result["name"], result["results"], baseline)
    else:
        print("\n".join(judge(result["results"], baseline.get(result["name"], {}))),
              file=sys.stderr if options.json else sys.stdout)


main()
