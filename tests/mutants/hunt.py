"""Run seeds of a campaign until one fails: `python -m tests.mutants.hunt core:4:400`."""

import sys

from potp2p.simulation.core.campaign import CorePlan, run_seed


def main(target: str) -> int:
    """Return 1 and say which seed, if one does."""
    level, validators, seeds = target.split(":")
    plan = CorePlan(int(validators), level="twins" if level == "twins" else "core")
    for seed in range(int(seeds)):
        try:
            report = run_seed(seed, plan)
        except AssertionError as error:
            print(f"caught seed {seed}: assertion {str(error)[:60]}")
            return 1
        if report.violations:
            print(f"caught seed {seed}: {report.violations[0][:70]}")
            return 1
        if not report.converged:
            print(f"caught seed {seed}: stands at height {report.heights} after healing")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
