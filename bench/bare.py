"""A template that does nothing: what Copier itself costs for as many files."""

import shutil
from pathlib import Path

from bench.workshop import Workshop, commit, files

ANSWERS = ".copier-answers.yml"

QUESTION = """\
_subdirectory: template
stage:
  type: int
  default: 1
_exclude:
  - |
    {% if stage < 2 %}
"""


def template(workshop: Workshop) -> Path:
    """A template of the very files that ours generates, as plain files, and one question."""
    one, two = workshop.project(1), workshop.project(2)
    folder = workshop.folder / "bare"
    for file in files(two):
        if str(file) != ANSWERS:
            (folder / "template" / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(two / file, folder / "template" / file)
    answers = folder / "template" / "{{ _copier_conf.answers_file }}.jinja"
    answers.write_text("{{ _copier_answers | to_nice_yaml }}\n", encoding="utf-8")
    later = [f"    /{file}\n" for file in files(two) if not (one / file).exists()]
    question = QUESTION + "".join(later) + "    {% endif %}\n"
    (folder / "copier.yml").write_text(question, encoding="utf-8")
    commit(folder, tag="v1.0.0")
    return folder
