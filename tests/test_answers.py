"""Good answers are taken; bad ones, and steps that would lose something, are refused."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.snapshot import VERSION
from tests.conftest import STAGES, Project, Render, copier, run

CHARACTERS = "Use a-z, 0-9 and single dashes, with a letter first and no dash at the end."
TOO_LONG = "Use at most 32 characters: AWS allows 64 for the names made from it."
S3 = "Choose another name: S3 keeps amzn-s3 and sthree for itself."
NO_NAME = "Choose another name: in YAML this word is no name."
WORD = "Write at least one word."
CONTROL = "Leave out tabs and other control characters: configuration files cannot hold them."
TAG_START = "Start with a letter or a digit."
TAG = "Use letters, digits, spaces or .:/=+-@_ alone: AWS allows no others in a tag."
TAG_TOO_LONG = "Use at most 64 characters: AWS allows no more in a tag."
TAG_END = "Leave out the space at the end."
TAG_OF_AWS = "Do not begin with aws: because AWS keeps it for its own tags."
REGION = "Write an AWS region, such as ap-northeast-1 or eu-central-1."
PYTHON = "Choose one of: 3.12, 3.13."
STAGE = f"Choose a whole number from 1 to {STAGES[-1]}."

GOOD = [
    ("service_name", "a"),
    ("service_name", "no-null"),
    ("service_name", "quotes2-api"),
    ("service_name", "a" * 32),
    ("description", "🛹"),
    ("service_name", "sthreeway"),
    ("service_name", "aws-orders"),
    ("team", "7"),
    ("team", "awsome:aws:x"),
    ("team", "車輪 Team/a.b:c=d+e-f@g_h"),
    ("team", "a" * 64),
    ("region", "us-gov-west-1"),
    ("region", "ap-southeast-7"),
    ("python_version", "3.12"),
]
BAD = [
    ("service_name", "", CHARACTERS),
    ("service_name", "my service", CHARACTERS),
    ("service_name", " quotes", CHARACTERS),
    ("service_name", "Quotes", CHARACTERS),
    ("service_name", "1quotes", CHARACTERS),
    ("service_name", "quotes-", CHARACTERS),
    ("service_name", "quo--tes", CHARACTERS),
    ("service_name", "-quotes", CHARACTERS),
    ("service_name", "quo_tes", CHARACTERS),
    ("service_name", 'quo"tes', CHARACTERS),
    ("service_name", "quo'tes", CHARACTERS),
    ("service_name", "quo:tes", CHARACTERS),
    ("service_name", "quo{{tes}}", CHARACTERS),
    ("service_name", "${self:x}", CHARACTERS),
    ("service_name", "見積", CHARACTERS),
    ("service_name", "quotes\n", CHARACTERS),
    ("service_name", "a" * 33, TOO_LONG),
    ("service_name", "a" * 60, TOO_LONG),
    ("service_name", "null", NO_NAME),
    ("service_name", "on", NO_NAME),
    ("service_name", "sthree", S3),
    ("service_name", "sthree-configurator", S3),
    ("service_name", "amzn-s3-demo-orders", S3),
    ("description", "", WORD),
    ("description", "  ", WORD),
    ("description", "a\tb", CONTROL),
    ("description", "a\x7fb", CONTROL),
    ("description", "a" * 301, "Use at most 300 characters."),
    ("team", "", TAG_START),
    ("team", "a ", TAG_END),
    ("team", "-a", TAG_START),
    ("team", "a" * 65, TAG_TOO_LONG),
    ("team", "a${b}", TAG),
    ("team", "a\nb", TAG),
    ("team", "aws:platform", TAG_OF_AWS),
    ("team", "aWs:", TAG_OF_AWS),
    ("region", "xx-nowhere-9", REGION),
    ("region", "eu-centrl-1", REGION),
    ("region", "tokyo", REGION),
    ("region", "eu-nowhere-1", REGION),
    ("region", "us-norteast-1", REGION),
    ("region", "us-central-north-1", REGION),
    ("region", "us-east-1a", REGION),
    ("region", "us-east-0", REGION),
    ("region", "us-east-9", REGION),
    ("region", "us-east", REGION),
    ("region", "US-EAST-1", REGION),
    ("region", "aws-global", REGION),
    ("region", "ap-northeast-1\n", REGION),
    ("python_version", "3.11", PYTHON),
    ("python_version", "4", PYTHON),
    ("stage", "0", STAGE),
    ("stage", "6", STAGE),
    ("stage", "scooter", STAGE),
    ("stage", "1.5", STAGE),
]


@pytest.mark.parametrize(("question", "answer"), GOOD)
def test_a_good_answer_is_taken(render: Render, question: str, answer: str) -> None:
    project = render(1, **{question: answer})
    answers = yaml.safe_load((project.folder / ".copier-answers.yml").read_text("utf-8"))
    assert answers[question] == answer


def first_of_each(cases: list[tuple[str, str, str]]) -> list[Any]:
    """The first two answers that break a rule; what breaks it as well is for the long proofs."""
    seen: Counter[tuple[str, str]] = Counter()
    marked = []
    for question, answer, rule in cases:
        seen[question, rule] += 1
        marks = pytest.mark.full if seen[question, rule] > 2 else ()
        marked.append(pytest.param(question, answer, rule, marks=marks))
    return marked


@pytest.mark.parametrize(("question", "answer", "rule"), first_of_each(BAD))
def test_a_bad_answer_is_refused_with_its_rule(
    template: Path, tmp_path: Path, question: str, answer: str, rule: str
) -> None:
    said = refused("copy", "--defaults", f"--data={question}={answer}", template, cwd=tmp_path)
    assert f"{question} is refused. {rule}" in said
    assert not (tmp_path / "project").exists()


@pytest.mark.parametrize("data", [["stag=2"], ["was=2"], ["stage=2", "ladder=[]"]])
def test_an_answer_to_no_question_is_refused(
    template: Path, tmp_path: Path, data: list[str]
) -> None:
    given = [f"--data={each}" for each in data]
    said = refused("copy", "--defaults", *given, template, cwd=tmp_path)
    name = data[-1].split("=")[0]
    assert f"{name} is refused: there is no such question. There are service_name," in said
    assert not (tmp_path / "project").exists()


def refused(*arguments: str | Path, cwd: Path) -> str:
    """What Copier says when it refuses to make a project: one line, and no traceback."""
    done = run("copier", *arguments, cwd / "project", cwd=cwd, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout
    return done.stdout


def test_a_relative_path_to_the_template_is_refused(template: Path, tmp_path: Path) -> None:
    (tmp_path / "template").symlink_to(template)
    said = refused("copy", "--defaults", "template", cwd=tmp_path)
    assert "Give an absolute path or a URL instead of template" in said


def test_a_copy_without_git_is_refused(template: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    run("cp", "-r", template, tmp_path / "plain", cwd=tmp_path)
    run("rm", "-rf", tmp_path / "plain" / template.name / ".git", cwd=tmp_path)
    said = refused("copy", "--defaults", tmp_path / "plain" / template.name, cwd=tmp_path)
    assert "Copier found no git, or no git repository" in said


def test_a_folder_with_files_in_it_keeps_them(template: Path, tmp_path: Path) -> None:
    mine = tmp_path / "project" / "README.md"
    mine.parent.mkdir()
    mine.write_text("mine")
    said = refused("copy", "--defaults", template, cwd=tmp_path)
    assert "README.md" in said
    assert "--overwrite" in said
    assert mine.read_text() == "mine"


@pytest.fixture
def scooter(render: Render) -> Project:
    return render(2)


def untouched(project: Project) -> bool:
    return project.run("git", "status", "--porcelain").stdout == ""


def test_a_mistyped_question_changes_nothing(scooter: Project) -> None:
    said = copier(
        *("update", "--defaults", "--vcs-ref=:current:", "--data=stag=3"),
        cwd=scooter.folder,
        check=False,
    )
    assert "stag is refused" in said
    assert "Traceback" not in said
    assert untouched(scooter)


def test_answers_to_questions_of_another_release_do_not_disturb(scooter: Project) -> None:
    scooter.edit(".copier-answers.yml", "team: workshop", "team: workshop\ncolour: red")
    scooter.commit()
    assert "From stage 2 to stage 3" in scooter.advance(3)


def test_a_stage_is_not_taken_back(scooter: Project) -> None:
    said = scooter.advance(1, check=False)
    assert "This project is at stage 2, and a stage cannot be taken back" in said
    assert "git log -- docs/2-scooter.md tells" in said
    assert "Traceback" not in said
    assert untouched(scooter)


@pytest.mark.parametrize("data", [[], ["--data=stage=2"]])
def test_a_stage_edited_by_hand_is_found(render: Render, data: list[str]) -> None:
    project = render(1)
    project.edit(".copier-answers.yml", "stage: 1", "stage: 2")
    project.commit()
    said = copier(
        "update", "--defaults", "--vcs-ref=:current:", *data, cwd=project.folder, check=False
    )
    assert "says stage 2, but the project was made at stage 1: it was edited by hand" in said
    assert "copier update --vcs-ref=:current: --data stage=2" in said
    assert "Traceback" not in said
    assert untouched(project)


def test_a_bad_answer_written_by_hand_is_found(scooter: Project) -> None:
    scooter.edit(".copier-answers.yml", "service_name: vehicles", "service_name: My Service")
    scooter.commit()
    assert CHARACTERS in scooter.advance(2, check=False)
    assert untouched(scooter)


@pytest.mark.parametrize("value", ["7", "null", "[]"])
def test_an_answer_of_another_type_written_by_hand_is_found(scooter: Project, value: str) -> None:
    scooter.edit(".copier-answers.yml", "team: workshop", f"team: {value}")
    scooter.commit()
    said = scooter.advance(2, check=False)
    assert f"team is refused. {TAG_START}" in said
    assert "Traceback" not in said
    assert untouched(scooter)


def test_uncommitted_work_stops_an_update(render: Render) -> None:
    project = render(1)
    project.edit("service/pricing.py", "8_000", "9_000")
    before = project.files()
    assert "Please commit or stash your local changes" in project.advance(2, check=False)
    assert project.files() == before


def test_an_update_outside_git_is_refused(template: Path, tmp_path: Path) -> None:
    copier("copy", "--quiet", "--defaults", template, "project", cwd=tmp_path)
    said = refused("update", "--defaults", cwd=tmp_path)
    assert "Updating is only supported in git-tracked subprojects" in said


def test_without_a_name_git_says_so_and_an_update_still_works(render: Render) -> None:
    project = render(1)
    nobody = {
        "GIT_AUTHOR_NAME": "",
        "GIT_AUTHOR_EMAIL": "",
        "GIT_COMMITTER_NAME": "",
        "GIT_COMMITTER_EMAIL": "",
        "EMAIL": "",
    }
    copier(
        *("update", "--defaults", "--vcs-ref=:current:", "--data=stage=2"),
        cwd=project.folder,
        environ=nobody,
    )
    project.run("git", "add", "--all")
    said = project.run("git", "commit", "--message=scooter", check=False, environ=nobody)
    assert said.returncode != 0
    assert "ident name" in said.stdout
    assert (project.folder / "infra/api.yml").exists()


def test_after_a_copy_the_next_commands_are_shown(template: Path, tmp_path: Path) -> None:
    said = copier("copy", "--defaults", template, "project", cwd=tmp_path)
    assert "at stage 1: the skateboard, one function" in said
    for command in ("git init", "git add", "git commit", "tox -e up", "pipx install tox"):
        assert command in said


def test_after_a_step_it_is_said_what_has_come(render: Render) -> None:
    project = render(1)
    said = project.advance(2)
    assert "From stage 1 to stage 2: the scooter." in said
    assert "new: an HTTP API (docs/2-scooter.md)" in said
    assert "what callers notice: Nothing." in said
    project.commit()
    said = project.advance(2)
    assert "Still at stage 2, the scooter" in said
    assert "new:" not in said
    assert "nothing? Then the template had nothing new" in said
    assert untouched(project)


def test_pretending_says_that_nothing_was_done(
    template: Path, scooter: Project, tmp_path: Path
) -> None:
    said = copier("copy", "--defaults", "--pretend", template, "other", cwd=tmp_path)
    assert "Nothing was written (--pretend)" in said
    assert not (tmp_path / "other").exists()
    command = ("update", "--defaults", "--pretend", "--vcs-ref=:current:", "--data=stage=3")
    assert "Nothing was changed (--pretend)" in copier(*command, cwd=scooter.folder)
    assert untouched(scooter)


def test_the_version_of_the_template_is_remembered(scooter: Project) -> None:
    answers = yaml.safe_load((scooter.folder / ".copier-answers.yml").read_text())
    assert answers["_commit"] == VERSION
    assert answers["stage"] == answers["was"] == 2
