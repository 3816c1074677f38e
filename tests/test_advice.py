"""What people are told fits the place where they are, and what they type then works."""

import hashlib
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from demo.snapshot import ROOT, environment
from tests.conftest import STAGES, Project, Render, copier, run
from tests.merging import DEFAULT_CONTEXT, WHOLE_FILE, update
from tests.newer import copied, release, twin

Fresh = Callable[[int], Project]

STEP = ("update", "--defaults", "--vcs-ref=:current:", "--data=stage=2")
SKATE = ".copier-answers.skate.yml"


def advised(said: str, *programs: str) -> list[str]:
    """The commands in a message, without what is said of them."""
    found = [line.strip() for line in said.splitlines() if line.startswith("  ")]
    return [re.split(r" {3,}", line)[0] for line in found if line.startswith(programs)]


def settings(**values: str | Path) -> dict[str, str]:
    """Settings of git for one run, ``core_excludesFile`` for ``core.excludesFile``."""
    environ = {"GIT_CONFIG_COUNT": str(len(values))}
    for number, (name, value) in enumerate(values.items()):
        environ[f"GIT_CONFIG_KEY_{number}"] = name.replace("_", ".", 1)
        environ[f"GIT_CONFIG_VALUE_{number}"] = str(value)
    return environ


@pytest.fixture
def project(fresh: Fresh, tmp_path: Path) -> Project:
    """A skateboard of one's own."""
    return twin(fresh(1), tmp_path)


# --- After a copy


FOLDERS = [
    "plain",
    "deep/er",
    "with space",
    "it's",
    '"$HOME" `id` (1)',
    "-dash",
    "~",
    "a[b]*?",
    "車",
]


@pytest.mark.parametrize(
    "folder",
    [
        pytest.param(
            name, marks=() if name in {"it's", "-dash", '"$HOME" `id` (1)'} else pytest.mark.full
        )
        for name in FOLDERS
    ],
)
def test_what_is_advised_after_a_copy_can_be_typed(
    template: Path, tmp_path: Path, folder: str
) -> None:
    said = copier("copy", "--defaults", template, "--", folder, cwd=tmp_path)
    commands = advised(said, "cd ", "git ")
    assert len(commands) == 2
    run("sh", "-ec", "\n".join(commands), cwd=tmp_path)
    assert "README.md" in Project(tmp_path / folder).run("git", "ls-files").stdout


def test_who_is_in_the_folder_is_not_sent_there(template: Path, tmp_path: Path) -> None:
    said = copier("copy", "--defaults", template, ".", cwd=tmp_path)
    [command] = advised(said, "cd ", "git ")
    run("sh", "-ec", command, cwd=tmp_path)
    assert "README.md" in Project(tmp_path).run("git", "ls-files").stdout


def outer(folder: Path, kind: str) -> Path:
    """A repository, a worktree of one, or a submodule, with a commit in it."""
    Project(folder).run("git", "init", "--quiet")
    Project(folder).run("git", "commit", "--quiet", "--allow-empty", "--message=outer")
    if kind == "worktree":
        Project(folder).run("git", "worktree", "add", "--quiet", "tree")
    elif kind == "submodule":
        allowed = ("-c", "protocol.file.allow=always")
        Project(folder).run("git", *allowed, "submodule", "--quiet", "add", str(folder), "tree")
    else:
        return folder
    return folder / "tree"


@pytest.mark.parametrize(
    "kind", ["repository", "submodule", pytest.param("worktree", marks=pytest.mark.full)]
)
def test_inside_another_repository_no_other_one_is_made(
    template: Path, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "o[u]ter").mkdir()
    whole = outer(tmp_path / "o[u]ter", kind)
    Project(whole).write("other.txt", "staged, and of another work\n")
    Project(whole).run("git", "add", "other.txt")
    said = copier("copy", "--defaults", template, "services/skate", cwd=whole)
    assert "git init" not in said
    assert str(whole) in said
    run("sh", "-ec", "\n".join(advised(said, "cd ", "git ")), cwd=whole)
    committed = Project(whole).run("git", "show", "--name-only", "--format=", "HEAD").stdout
    assert "services/skate/README.md" in committed
    assert "other.txt" not in committed
    assert Project(whole / "services/skate").advance(2)


def test_in_a_repository_that_is_there_none_is_made(template: Path, tmp_path: Path) -> None:
    whole = outer(tmp_path, "repository")
    said = copier("copy", "--defaults", template, ".", cwd=whole)
    assert "git init" not in said
    assert "a part of the repository" not in said
    run("sh", "-ec", "\n".join(advised(said, "cd ", "git ")), cwd=whole)
    assert Project(whole).run("git", "status", "--porcelain").stdout == ""


def test_an_update_of_another_folder_says_where_to_type(project: Project) -> None:
    moved = project.folder.rename(project.folder.parent / "my project")
    said = copier(*STEP, moved.name, cwd=moved.parent)
    assert advised(said, "cd ") == ["cd 'my project'"] * 2  # to undo, and to go on


# --- An answers file of another name


@pytest.fixture
def skate(template: Path, tmp_path: Path) -> Project:
    copier("copy", "--quiet", "--defaults", "-a", SKATE, template, "skate", cwd=tmp_path)
    project = Project(tmp_path / "skate")
    project.run("git", "init", "--quiet")
    project.commit()
    return project


def commands_of_copier(text: str) -> list[str]:
    return re.findall(r"copier (update\b[^'\n]*)", text)


def test_an_answers_file_of_another_name_is_in_each_command(skate: Project) -> None:
    memory = (skate.folder / SKATE).read_text()
    said = copier(*STEP, "-a", SKATE, cwd=skate.folder)
    skate.commit()
    skate.edit(SKATE, "stage: 2", "stage: 3")
    skate.commit()
    refused = copier(*STEP, "-a", SKATE, cwd=skate.folder, check=False)
    assert f"{SKATE} says stage 3" in refused
    for text in (memory, said, refused):
        commands = commands_of_copier(text)
        assert commands
        assert all(f" -a {SKATE} " in command for command in commands)
        assert ".copier-answers.yml" not in text
    skate.edit(SKATE, "stage: 3", "stage: 2")
    skate.commit()
    [command] = commands_of_copier(refused)
    copier(*shlex.split(command), "--defaults", cwd=skate.folder)
    assert "infra/queue.yml" in skate.files()


def test_the_name_of_the_answers_file_is_quoted(template: Path, tmp_path: Path) -> None:
    said = copier("copy", "--defaults", "-a", "my answers.yml", template, "p", cwd=tmp_path)
    assert commands_of_copier((tmp_path / "p/my answers.yml").read_text())
    assert "copier update -a 'my answers.yml' --" in (tmp_path / "p/my answers.yml").read_text()
    assert ".copier-answers.yml" not in said


# --- A service under another name


@pytest.mark.parametrize(
    "stage", [pytest.param(stage, marks=pytest.mark.full) for stage in (1, 3)] + [STAGES[-1]]
)
def test_another_name_is_another_service_to_aws(fresh: Fresh, tmp_path: Path, stage: int) -> None:
    project = twin(fresh(stage), tmp_path)
    renamed = (*STEP[:-1], "--data=service_name=rides", "--data=region=eu-central-1")
    said = copier(*renamed, cwd=project.folder)
    assert "vehicles in ap-northeast-1 is now rides in eu-central-1" in said
    new = ["functions of its own", "another address", "an empty queue", "an empty table"]
    assert ", ".join([*new, "no users"][:stage]) + "." in said
    assert [word for word in new if word in said] == new[:stage]
    project.commit()
    assert "For AWS" not in copier(*STEP[:-1], cwd=project.folder)


def test_the_old_service_can_be_removed_as_advised(project: Project) -> None:
    """Before the new one is deployed: what is typed runs in the project as it was."""
    said = copier(*STEP, "--data=region=eu-central-1", cwd=project.folder)
    after = project.files()
    [remove] = [line for line in advised(said, "git reset") if "remove" in line]
    assert "tox -e osls -- remove --stage dev" in remove
    look = remove.replace("tox -e osls -- remove --stage dev", "cat serverless.yml")
    assert "region: ap-northeast-1" in project.run("sh", "-ec", look).stdout
    assert "git stash pop" in advised(said, "git stash")
    project.run("git", "stash", "pop")
    assert project.files() == after


def test_without_a_change_of_name_nothing_is_said(project: Project) -> None:
    assert "For AWS" not in project.advance(2)


def test_a_project_that_does_not_remember_is_told_what_to_watch_for(project: Project) -> None:
    answers = project.folder / ".copier-answers.yml"
    answers.write_text(re.sub(r"made_as.*\n", "", answers.read_text()))
    project.commit()
    assert "Has service_name or region changed? For AWS that is a new service" in project.advance(2)
    assert "made_as: {service_name: vehicles, region: ap-northeast-1}" in answers.read_text()


@pytest.mark.parametrize(
    "data", [[], pytest.param(["--data=region=eu-central-1"], marks=pytest.mark.full)]
)
def test_a_name_edited_by_hand_is_found(project: Project, data: list[str]) -> None:
    """Copier would take it for the name that the files have, and never change them."""
    project.edit(".copier-answers.yml", "\nregion: ap-northeast-1", "\nregion: eu-central-1")
    project.commit()
    said = copier(*STEP, *data, cwd=project.folder, check=False)
    assert "says region eu-central-1, but the project was made with ap-northeast-1" in said
    assert "Traceback" not in said
    assert project.run("git", "status", "--porcelain").stdout == ""
    project.edit(".copier-answers.yml", "\nregion: eu-central-1", "\nregion: ap-northeast-1")
    project.commit()
    [command] = commands_of_copier(said)
    copier(*shlex.split(command), cwd=project.folder)
    assert b"eu-central-1" in project.files()["serverless.yml"]


# --- A template that Copier cannot take, and where Copier itself stops


def test_a_template_of_another_user_is_told_from_none(template: Path, tmp_path: Path) -> None:
    done = run(
        *("copier", "copy", "--defaults", template, "p"),
        cwd=tmp_path,
        check=False,
        environ={"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"},
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stdout
    assert "another user owns it" in done.stdout
    assert "safe.directory" in done.stdout
    [command] = re.findall(r"again: (git .*)'$", done.stdout.strip())
    asked = run(
        *shlex.split(command),
        cwd=tmp_path,
        check=False,
        environ={"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"},
    )
    assert "git config --global --add safe.directory" in asked.stdout


ADDRESSES = [
    "ssh://host/name",
    "https://dev.azure.com/org/project/_git/repo",
    "https://git-codecommit.ap-northeast-1.amazonaws.com/v1/repos/name",
    "codecommit::ap-northeast-1://name",
    "codecommit://name",
]


def remedy(project: Project, said: str) -> str:
    """What the README says to do, in the first row of its table that has Copier's last words."""
    last = "\n".join(said.splitlines()[-6:])
    readme = (project.folder / "README.md").read_text(encoding="utf-8")
    [table] = re.findall(r"\| Copier says .*\n\|---\|---\|\n((?:\|.*\n)+)", readme)
    for words, then in re.findall(r"(?m)^\| (.*?) \| (.*) \|$", table):
        if any(word.split("...")[0] in last for word in re.findall(r"`(.+?)`", words)):
            return str(then)
    pytest.fail(f"the README has no advice for this:\n{said}")


def test_an_address_that_copier_takes_for_a_folder(
    template: Path, fresh: Fresh, project: Project
) -> None:
    """Copier stops before it has read anything of ours; the README has its last words."""
    answers = project.folder / ".copier-answers.yml"
    text = answers.read_text()
    for address in ADDRESSES:
        answers.write_text(text.replace(f"_src_path: {template}", f"_src_path: {address}"))
        project.commit()
        said = copier(*STEP, cwd=project.folder, check=False)
        assert "Write `git+` in front of an address" in remedy(project, said)
    project.edit(".copier-answers.yml", "_src_path: ", "_src_path: git+")
    project.commit()
    # Git itself lets the template stand for the server, which nobody can reach from here.
    here = settings(**{f"url_{template}.insteadOf": ADDRESSES[-1]})
    here["COPIER_CACHE_DIR"] = str(project.folder.parent / "cache")
    copier(*STEP, cwd=project.folder, environ=here)
    assert project.files() == fresh(2).files()


def test_words_of_copier_that_ask_for_both_colons(project: Project) -> None:
    for ref in (":current", "current:", "current"):
        said = copier("update", "--defaults", f"--vcs-ref={ref}", cwd=project.folder, check=False)
        if ref == ":current":
            assert "both colons" in remedy(project, said)
    assert project.run("git", "status", "--porcelain").stdout == ""


@pytest.mark.full
def test_words_of_copier_about_an_answers_file_of_another_name(skate: Project) -> None:
    said = copier(*STEP, cwd=skate.folder, check=False)
    assert "add `-a`" in remedy(skate, said)
    copier(*STEP, "-a", SKATE, cwd=skate.folder)


@pytest.mark.parametrize(
    "hook", ["prepare-commit-msg", pytest.param("post-checkout", marks=pytest.mark.full)]
)
def test_words_of_copier_when_a_hook_refuses(project: Project, tmp_path: Path, hook: str) -> None:
    (tmp_path / hook).write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / hook).chmod(0o755)
    (tmp_path / "gitconfig").write_text(f"[core]\nhooksPath = {tmp_path}\n")
    environ = {"GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig")}
    said = copier(*STEP, cwd=project.folder, check=False, environ=environ)
    assert project.run("git", "status", "--porcelain").stdout == ""
    typed_with(remedy(project, said), project, environ)


@pytest.mark.full
def test_words_of_copier_about_a_sha_256_repository(project: Project) -> None:
    project.run("rm", "-rf", ".git")
    project.run("git", "init", "--quiet", "--object-format=sha256")
    project.commit()
    said = copier(*STEP, cwd=project.folder, check=False)
    assert project.run("git", "status", "--porcelain").stdout == ""
    typed_with(remedy(project, said), project, {})


def typed_with(remedy: str, project: Project, environ: dict[str, str]) -> None:
    """Take the step with what the README says to put in front of it."""
    [before] = re.findall(r"Put `(.+?)` in front", remedy)
    project.run("sh", "-ec", f"{before} copier {shlex.join(STEP)}", environ=environ)
    assert "infra/api.yml" in project.files()


def test_words_of_copier_about_a_project_of_somebody_else(project: Project) -> None:
    environ = {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
    said = copier(*STEP, cwd=project.folder, check=False, environ=environ)
    assert "safe.directory" in remedy(project, said)


@pytest.mark.full
def test_words_of_copier_about_work_that_is_not_committed(project: Project) -> None:
    project.write("own.txt", "mine\n")
    said = copier(*STEP, cwd=project.folder, check=False)
    assert "Commit first" in remedy(project, said)


# --- In a larger repository, and what git is told to ignore


@pytest.fixture
def larger(project: Project) -> tuple[Project, Project]:
    """A project in a folder of a larger repository, and that repository; nothing is committed."""
    project.run("rm", "-rf", ".git")
    whole = Project(project.folder.parent)
    whole.run("git", "init", "--quiet")
    return whole, project


RULES = [
    "*.txt",
    "docs/",
    "/*/tools",
    "*.md",
    "*.py",
    ".npmrc",
    "package-lock.json",
    ".*",
    "*api*",
    "tests/*/test_*",
]


@pytest.mark.parametrize("where", ["outer .gitignore", "own settings"])
def test_no_rule_of_elsewhere_hides_a_file(
    larger: tuple[Project, Project], tmp_path: Path, where: str, fresh: Fresh
) -> None:
    whole, project = larger
    rules = "\n".join(RULES)
    if where == "own settings":
        (tmp_path / "ignore").write_text(rules + "\n")
        environ = settings(core_excludesFile=tmp_path / "ignore")
    else:
        whole.write(".gitignore", rules + "\n")
        environ = {}
    whole.run("git", "add", "--all", environ=environ)
    whole.run("git", "commit", "--quiet", "--message=all", environ=environ)
    edited = ("tools/pins.txt", "docs/1-skateboard.md", ".npmrc", "service/pricing.py", "README.md")
    for name in edited:
        with (project.folder / name).open("a") as file:
            file.write("# mine\n")
    project.run("git", "add", "--update", environ=environ)
    project.run("git", "commit", "--quiet", "--message=mine", environ=environ)
    before = {name: (project.folder / name).read_bytes() for name in fresh(1).files()}
    copier(*STEP, cwd=project.folder, environ=environ)
    after = {name: (project.folder / name).read_bytes() for name in fresh(2).files()}
    assert before.items() <= after.items()
    project.run("git", "add", ".", environ=environ)
    assert set(project.run("git", "ls-files").stdout.split()) >= set(fresh(2).files())


def test_what_the_tools_make_and_secrets_stay_ignored(render: Render) -> None:
    project = render(STAGES[-1])
    for name in (".env", "service/.env", ".tox/a.py", "service/__pycache__/a.pyc", ".build/x.py"):
        project.write(name, "x\n")
    for name in ("tests/unit/__pycache__/a.pyc", "node_modules/a/service/b.py", ".venv/tools/c.py"):
        project.write(name, "x\n")
    assert project.run("git", "status", "--porcelain").stdout == ""


def hidden(project: Project, environ: dict[str, str]) -> str:
    """What the project's own check says of files that git passes over."""
    done = project.run("python3", "tools/check_update.py", check=False, environ=environ)
    assert done.returncode == bool(done.stdout)
    return done.stdout


@pytest.mark.parametrize("where", ["outer .gitignore", "own settings"])
def test_a_rule_that_hides_the_whole_folder_is_named(
    larger: tuple[Project, Project], tmp_path: Path, where: str
) -> None:
    """No .gitignore in a hidden folder is looked at: only the rule itself can be changed."""
    whole, project = larger
    whole.run("git", "add", "--all")
    whole.run("git", "commit", "--quiet", "--message=all")
    assert hidden(project, {}) == ""
    if where == "own settings":
        (tmp_path / "ignore").write_text("# mine\nproject/\n")
        environ = settings(core_excludesFile=tmp_path / "ignore")
    else:
        whole.write(".gitignore", "\nproject/\n")
        environ = {}
    project.write("docs/2-new.md", "new\n")
    project.write("notes.txt", "mine, and nobody's business\n")
    said = hidden(project, environ)
    for name in ("docs/1-skateboard.md", "docs/2-new.md", "tox.ini", ".npmrc"):
        assert f"  {name} (" in said
    assert "ignore, line 2: project/)" in said
    assert "notes.txt" not in said
    assert "Next: take the rule out" in said


def test_the_check_for_hidden_files_needs_no_repository(project: Project) -> None:
    project.run("rm", "-rf", ".git")
    assert hidden(project, {"GIT_CEILING_DIRECTORIES": str(project.folder.parent)}) == ""


def test_the_readme_tells_what_a_larger_repository_needs(fresh: Fresh) -> None:
    """The line to add makes each step of the workflow run in the project's folder."""
    readme = fresh(1).files()["README.md"].decode()
    section = readme.partition("## In a larger repository")[2].partition("\n## ")[0]
    assert "defaults: {run: {working-directory: services/example}}" in section
    workflow = fresh(1).files()[".github/workflows/ci.yml"].decode()
    assert workflow.count("\njobs:\n") == 1
    assert "defaults:" not in workflow


# --- The end of the README

LAST = "\n## Where it comes from\n"
LAST_SECTION = "f741c5b1f39257aed3d263b8d53c3599ee57998b37c5cda93a0a8635b754ddf7"
PARAGRAPH = "\n## Who we are\n\nTeam blue. Ask at the coffee machine.\n"

# What releases had as the project's README; no later one comes after these lines.
RELEASED = {
    "v0.2.0": "f309da482e70e5f7b711af863789266ad7ab2030",
    "v0.3.0": "7fb8de2af0259099229e71168460d96c88ec2fef",
    "v0.3.1": "6a0479561548c0cd9fd15a9be58e410b080abfbb",
}


def with_paragraph(old: str, new: str, folder: Path, context: int) -> str:
    """A README with a paragraph at its end, after an update; no conflict may be in it."""
    base, ours, theirs = ({"README.md": text} for text in (old, old + PARAGRAPH, new))
    merged = update(base, ours, theirs, folder, context)
    assert not merged.conflicts
    return merged.files["README.md"]


def test_the_last_section_of_the_readme_never_changes(render: Render) -> None:
    """Whatever is answered, and in whatever release: people write at the end of it."""
    for project in (render(1), render(STAGES[-1], service_name="rides", region="eu-west-1")):
        _, found, last = project.files()["README.md"].decode().partition(LAST)
        assert found
        assert hashlib.sha256(last.encode()).hexdigest() == LAST_SECTION


@pytest.mark.parametrize("context", [DEFAULT_CONTEXT, WHOLE_FILE])
def test_a_paragraph_at_the_end_outlives_each_change_above(
    fresh: Fresh, tmp_path: Path, context: int
) -> None:
    old = fresh(1).files()["README.md"].decode()
    above, found, last = old.partition(LAST)
    lines = above.splitlines()
    for number in range(len(lines)):
        changed = [*lines[:number], "Changed by a release.", *lines[number + 1 :]]
        new = "\n".join([*changed, ""]) + found + last
        assert with_paragraph(old, new, tmp_path, context) == new + PARAGRAPH
    new = "All is new above.\n" + found + last
    assert with_paragraph(old, new, tmp_path, context) == new + PARAGRAPH


@pytest.mark.parametrize("version", RELEASED)
@pytest.mark.parametrize("context", [DEFAULT_CONTEXT, WHOLE_FILE])
def test_a_paragraph_at_the_end_outlives_the_way_from_a_release(
    tmp_path: Path, version: str, context: int
) -> None:
    path = "template/README.md.jinja"
    shown = subprocess.run(
        ["git", "show", f"{RELEASED[version]}:{path}"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
    )
    if shown.returncode:
        pytest.skip(f"{version} is not in this clone: {shown.stderr.strip()}")
    new = (ROOT / path).read_text(encoding="utf-8")
    assert with_paragraph(shown.stdout, new, tmp_path, context) == new + PARAGRAPH


def test_copier_keeps_a_paragraph_at_the_end(template: Path, tmp_path: Path) -> None:
    releases, project = copied(template, tmp_path)
    readme = project.folder / "README.md"
    readme.write_text(readme.read_text(encoding="utf-8") + PARAGRAPH, encoding="utf-8")
    project.commit()
    release(releases, "README.md.jinja", "take that rule out.", "that rule must go.")
    copier("update", "--defaults", cwd=project.folder)
    assert project.run("git", "ls-files", "--unmerged").stdout == ""
    text = readme.read_text(encoding="utf-8")
    assert "that rule must go." in text
    assert text.endswith(PARAGRAPH)
