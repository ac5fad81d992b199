"""Break a project for some minutes: ``python -m tests.faults --seed 7 --minutes 5``.

People label in a Label Studio in memory; a backend and two workers, processes of their own, do
their work. They, and the training, are killed or frozen at random moments, webhooks are lost,
doubled and late, Label Studio goes down, the clock jumps an hour ahead and back, and PostgreSQL
throws everybody out. After each restart and at rest everything is counted. Ends with a line of
JSON; exit code 1 and one line if anything that must hold did not.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from postgres_server import running_postgres

from faults.clock import run_under_a_clock
from faults.story import tell_story


def main() -> int:
    """Tell one story."""
    parser = argparse.ArgumentParser(prog="tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--folder", type=Path, help="Kept; by default a new temporary one.")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="annotator-faults-"))
    run_under_a_clock(folder, "--seed", str(given.seed), "--folder", str(folder))
    print(f"seed {given.seed}; logs in {folder}", file=sys.stderr)
    with ExitStack() as stack:
        url = stack.enter_context(running_postgres()) if given.database == "postgres" else None
        try:
            found = tell_story(
                folder,
                seed=given.seed,
                minutes=given.minutes,
                database_url=url,
                queue_url=url,
                say=lambda line: print(line, file=sys.stderr, flush=True),
            )
        except AssertionError as error:
            print(f"seed {given.seed}: {error}; look into {folder}", file=sys.stderr)
            return 1
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
