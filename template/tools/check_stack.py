"""Check what would be deployed: cfn-lint, and the house rules of ``house_rules.py``.

osls compiles the CloudFormation template of the deployment ``dev``. Nothing is deployed,
and no AWS account is needed.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import house_rules
from tools import emulator, osls
from tools.console import Stop, clear_errors, say, step
from tools.install import ROOT
from tools.lock import held, intact
from tools.package import BUILD

DEPLOYMENT = "dev"
COMPILED = BUILD / "stack"
LOCK = "the compiled stack"
TEMPLATE = COMPILED / "cloudformation-template-update-stack.json"
STATE = COMPILED / "serverless-state.json"

# W3005: osls writes dependencies down that CloudFormation would find by itself.
IGNORED = "W3005"


def compile_stack() -> house_rules.Stack:
    """Let osls compile the template, and read it.

    Raises:
        Stop: osls could not.
    """
    # For this machine, which no other Python is needed for. osls asks AWS nothing.
    emulator.point_environment_at(emulator.NOWHERE)
    shutil.rmtree(COMPILED, ignore_errors=True)
    with step("Compiling the CloudFormation template"):
        osls.run("package", "--stage", DEPLOYMENT, "--package", str(COMPILED))
    resources = json.loads(TEMPLATE.read_text())["Resources"]
    return house_rules.Stack(resources, provider().get("stackTags", {}))


def provider() -> dict[str, Any]:
    """The settings under ``provider`` in serverless.yml, as osls has resolved them."""
    found: dict[str, Any] = json.loads(STATE.read_text())["service"]["provider"]
    return found


def cfn_lint() -> None:
    """Check the template against the schemas of CloudFormation.

    Raises:
        Stop: it breaks one.
    """
    program = str(Path(sys.executable).with_name("cfn-lint"))
    region = provider()["region"]
    command = [program, "--regions", region, "--ignore-checks", IGNORED, "--", str(TEMPLATE)]
    with step("Checking it with cfn-lint"):
        if subprocess.run(command, cwd=ROOT).returncode != 0:
            raise Stop(
                "cfn-lint found the above in the compiled template.",
                "CloudFormation would refuse it, or do something else than is meant.",
                "look for the resource's name in infra/, correct it, then: tox -e lint",
            )


def check_house_rules(stack: house_rules.Stack) -> None:
    """Check the template against every house rule.

    Raises:
        Stop: it breaks one.
    """
    broken = 0
    with step(f"Checking it against {len(house_rules.RULES)} house rules"):
        for rule in house_rules.RULES:
            for resource in rule.broken_by(stack):
                broken += 1
                say()
                say(f"  {resource}: {rule.says}")
                say(f"    Why: {rule.reason}")
                say(f"    Fix: {rule.fix}")
    if broken:
        raise Stop(
            f"House rules broken: {broken}.",
            "house_rules.py lists what this company expects of every stack.",
            "apply the fixes above in infra/ and serverless.yml, then: tox -e lint",
        )


def main() -> None:
    """Compile, then check."""
    with clear_errors():
        with held(LOCK), intact(BUILD):
            stack = compile_stack()
            cfn_lint()
        check_house_rules(stack)


if __name__ == "__main__":
    main()
