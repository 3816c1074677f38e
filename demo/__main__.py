"""Copy a project, deploy it, call it; grow it, deploy over it, call it again, up to the car.

All of it happens in a temporary folder, on an emulator of AWS, with nothing but what a
user would type. ``--keep`` leaves the project there, to go on with.
"""

import argparse
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from demo.ride import Ride
from demo.snapshot import ROOT
from demo.up import seconds

BY_HAND = f"""
The same by hand, in an empty folder, with Copier and tox (pipx install copier tox):

  copier copy {ROOT} vehicles
  cd vehicles && git init -b main && git add . && git commit -m "Start"
  tox -e up                                      and, in a second terminal, for each stage:
  copier update --defaults --vcs-ref=:current: --data stage=2
  git add . && git commit -m "Grow into the scooter"
  tox -e deploy -- --stage local
"""


def main() -> None:
    """Ride, and end with the times and how to do the same by hand."""
    parser = argparse.ArgumentParser(prog="tox -e demo --", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the project in its folder")
    keep = parser.parse_args().keep
    folder = Path(tempfile.mkdtemp(prefix="skateboard-"))
    ride = Ride(folder)
    try:
        ride.whole()
    except subprocess.CalledProcessError as error:
        print(f"\nError: {shlex.join(error.cmd)} failed; its output is above.", file=sys.stderr)
        sys.exit(1)
    except FileNotFoundError as error:
        if Path(str(error.filename)).is_absolute():
            raise
        print(f"\nError: {error.filename} is not on this machine.", file=sys.stderr)
        print("  Next: install it, then the same command again.", file=sys.stderr)
        sys.exit(1)
    except RuntimeError as error:
        print(f"\nError: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\nStopped; nothing is left running.", file=sys.stderr)
        sys.exit(130)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    print("\n== Done\n")
    for command, took in ride.timings:
        if not command.startswith("git"):
            print(f"  {took:>8}  {command}")
    print(f"  {seconds(ride.start):>8}  in all")
    if keep:
        print(f"\nThe project is in {ride.project}")
    print(BY_HAND)


if __name__ == "__main__":
    main()
