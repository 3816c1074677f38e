"""What our template adds to Copier's own cost, and how many files a project has."""

import itertools
import shutil
import statistics
import sys
from pathlib import Path

from bench import shell
from bench.pairs import Measure, alternate, ratio
from bench.report import Findings, Table
from bench.shell import step
from bench.workshop import Workshop, commit, files, remove

PAIRS = 11
COPIER = (sys.executable, "-m", "copier")

ANSWERS = ".copier-answers.yml"

QUESTION = """\
_subdirectory: template
stage:
  type: int
  default: 1
_exclude:
"""
LAST = 5


def measure(workshop: Workshop) -> Findings:
    """Compare with a bare template, in pairs."""
    with step("Making a bare template with as many files"):
        templates = {"ours": workshop.template, "bare": bare_template(workshop)}
        for template in templates.values():
            # As a repository is that was cloned: an update clones it, and removes it, five times.
            shell.run("git", "gc", "--quiet", cwd=template)
    findings = Findings()
    rows = []
    for command, make in (("copy", copy), ("update", update)):
        measures = {
            name: make(template, workshop.folder / f"{command}-{name}")
            for name, template in templates.items()
        }
        with step(f"copier {command}"):
            taken = alternate(PAIRS, measures)
        compared = ratio(taken["ours"], taken["bare"])
        findings.values[f"copier {command} by a bare template's"] = compared.median
        seconds = [f"{statistics.median(taken[name]):.2f} s" for name in templates]
        rows.append([f"`copier {command}`", *seconds, str(compared)])
    findings.tables = [
        Table(
            "Copying and updating",
            f"Whole processes, {PAIRS} alternating pairs, beside a template that has the same files"
            " as plain files, leaves out those of later stages just so, and asks one question."
            " Both are in packed repositories. Copied at stage 1, updated to stage 2.",
            ["command", "ours", "bare", "ours by bare"],
            rows,
        )
    ]
    return findings


def bare_template(workshop: Workshop) -> Path:
    """A template of the very files that ours generates, as plain files, and one question."""
    stages = {stage: workshop.project(stage) for stage in (1, 2, LAST)}
    folder = workshop.folder / "bare"
    for file in files(stages[LAST]):
        if str(file) != ANSWERS:
            (folder / "template" / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(stages[LAST] / file, folder / "template" / file)
    answers = folder / "template" / "{{ _copier_conf.answers_file }}.jinja"
    answers.write_text("{{ _copier_answers | to_nice_yaml }}\n", encoding="utf-8")
    question = QUESTION
    for before, stage in itertools.pairwise(stages):
        later = [
            f"    /{file}" for file in files(stages[stage]) if not (stages[before] / file).exists()
        ]
        block = [f"    {{% if stage < {stage} %}}", *later, "    {% endif %}"]
        question += "  - |\n" + "\n".join(block) + "\n"
    (folder / "copier.yml").write_text(question, encoding="utf-8")
    commit(folder, tag="v1.0.0")
    return folder


def copy(template: Path, project: Path) -> Measure:
    """The measure gives the seconds of one copy, into a new folder."""

    def seconds() -> float:
        remove(project)
        taken, _ = shell.run(
            *COPIER, "copy", "--quiet", "--defaults", template, project, cwd=template.parent
        )
        return taken

    seconds()
    return seconds


def update(template: Path, project: Path) -> Measure:
    """The measure gives the seconds of one update from stage 1 to 2."""
    copy(template, project)
    commit(project)
    options = ("--quiet", "--defaults", "--vcs-ref=:current:", "--data=stage=2")

    def seconds() -> float:
        shell.run("git", "reset", "--quiet", "--hard", cwd=project)
        shell.run("git", "clean", "--quiet", "--force", "-dx", cwd=project)
        before = len(files(project))
        taken, _ = shell.run(*COPIER, "update", *options, cwd=project)
        assert len(files(project)) > before, "the update brought nothing"
        return taken

    seconds()
    return seconds


def count(workshop: Workshop) -> Findings:
    """Count the files of generated projects."""
    counts = {f"files, stage {stage}": len(files(workshop.project(stage))) for stage in (1, 2, 5)}
    return Findings(dict(counts))
