"""A change of somebody's that an update does not keep is named, with what brings it back.

Copier runs git with the person's own settings, passes over the exit code of `git apply`, and reads
what it prints as UTF-8. So an update can take changes back, and end well.
"""

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from demo.snapshot import ROOT
from tests.conftest import Environ, Project, copier, run
from tests.newer import copied, release, twin
from tests.published import Publish

README, PRICING = "README.md", "service/pricing.py"
BLANKS = "Two blanks at the end of a line break it.  \n"
STEP = ("update", "--defaults", "--vcs-ref=:current:", "--data=stage=2")
RELEASE = ("update", "--defaults")


def check(project: Project, *, environ: Environ = {}) -> str:  # noqa: B006
    """What the project's own check says, or "" when all is well."""
    command = (sys.executable, "-B", "tools/check_update.py")
    done = project.run(*command, check=False, environ=environ)
    assert "Traceback" not in done.stdout, done.stdout
    return done.stdout if done.returncode else ""


def edited(project: Project) -> Project:
    """A project that somebody has worked in."""
    project.write(README, (project.folder / README).read_text() + f"\nOur words. {BLANKS}")
    project.edit(PRICING, "8_000", "7_500")
    project.commit()
    return project


@pytest.fixture(scope="module")
def start(fresh: Callable[[int], Project], tmp_path_factory: pytest.TempPathFactory) -> Project:
    return edited(twin(fresh(1), tmp_path_factory.mktemp("start")))


@pytest.fixture
def project(start: Project, tmp_path: Path) -> Project:
    return twin(start, tmp_path)


def settings(folder: Path, text: str) -> Environ:
    """A person's own git configuration."""
    (folder / "gitconfig").write_text(text)
    return {"GIT_CONFIG_GLOBAL": str(folder / "gitconfig")}


REFUSES = "[apply]\n\twhitespace = error-all\n"


@pytest.fixture(scope="module")
def lossy(start: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which a step took all changes back, and ended well."""
    folder = tmp_path_factory.mktemp("lossy")
    project = twin(start, folder)
    copier(*STEP, cwd=project.folder, environ=settings(folder, REFUSES))
    assert "7_500" not in (project.folder / PRICING).read_text()
    return project


@pytest.fixture
def lost(lossy: Project, tmp_path: Path) -> Project:
    return twin(lossy, tmp_path)


def bring_back(project: Project, said: str) -> None:
    """Type what the check suggests."""
    commands = re.findall(r"^    (git (?:checkout|stash push) .*)$", said, re.MULTILINE)
    assert commands
    for command in commands:
        project.run("sh", "-ec", command)


def same(project: Project, start: Project, *names: str) -> bool:
    return all(
        (project.folder / name).read_bytes() == (start.folder / name).read_bytes()
        for name in names or (README, PRICING)
    )


def test_a_step_that_took_changes_back_is_told_of_before_the_commit(
    lost: Project, start: Project
) -> None:
    said = check(lost)
    assert "The last update has changed files of yours: 2, listed above." in said
    assert f"{README}: changed, but a step only adds files" in said
    bring_back(lost, said)
    assert same(lost, start)
    assert check(lost) == ""
    lost.commit()
    assert check(lost) == ""


@pytest.mark.parametrize("committed", [False, True], ids=["in-the-index", "committed"])
def test_it_is_told_of_later_as_well(lost: Project, start: Project, committed: bool) -> None:
    lost.run("git", "add", "--all")
    if committed:
        lost.commit()
    said = check(lost)
    assert f"{README}: lines are gone, but a step only adds files" in said
    assert f"{PRICING}: lines are gone" in said
    bring_back(lost, said)
    assert same(lost, start)
    assert check(lost) == ""
    lost.commit()
    assert check(lost) == ""


def test_it_is_told_of_where_the_history_begins_with_the_changes(
    fresh: Callable[[int], Project], tmp_path: Path
) -> None:
    project = twin(fresh(1), tmp_path)
    shutil.rmtree(project.folder / ".git")
    project.run("git", "init", "--quiet")
    edited(project)
    copier(*STEP, cwd=project.folder, environ=settings(tmp_path, REFUSES))
    assert f"{PRICING}: changed" in check(project)
    project.commit()
    assert f"{PRICING}: lines are gone" in check(project)


def test_a_deletion_that_was_taken_back_is_told_of(
    fresh: Callable[[int], Project], tmp_path: Path
) -> None:
    project = twin(fresh(1), tmp_path)
    project.edit("tox.ini", "# Time to stop the emulator after Ctrl-C, in seconds.\n", "")
    project.write("own.md", BLANKS)
    project.edit(README, "## Run it\n", f"## Run it\n\n{BLANKS}")
    project.commit()
    copier(*STEP, cwd=project.folder, environ=settings(tmp_path, REFUSES))
    assert "tox.ini: changed" in check(project)
    project.commit()
    assert "tox.ini: lines are gone" in check(project)


def test_the_hook_refuses_to_commit_it(lost: Project) -> None:
    lost.run(sys.executable, "tools/check_update.py", "--install")
    lost.run("git", "add", "--all")
    done = lost.run("git", "commit", "--message=step", check=False)
    assert done.returncode != 0
    assert f"{PRICING}: lines are gone" in done.stdout


def test_what_is_brought_back_is_not_lost_either(project: Project) -> None:
    """Before the commit, most such changes are new ones of their owner's."""
    project.advance(2)
    project.edit(PRICING, "7_500", "7_000")
    bring_back(project, check(project))
    assert "7_500" in (project.folder / PRICING).read_text()
    project.run("git", "stash", "pop")
    assert "7_000" in (project.folder / PRICING).read_text()


def test_a_change_that_the_hook_finds_in_a_step_is_committed_by_itself(project: Project) -> None:
    project.run(sys.executable, "tools/check_update.py", "--install")
    project.advance(2)
    project.edit(PRICING, "7_500", "7_000")
    project.run("git", "add", "--all")
    done = project.run("git", "commit", "--message=step", check=False)
    assert done.returncode != 0
    [command] = re.findall(r"(git commit -m 'My change' -- FILE)", done.stdout)
    project.run("sh", "-ec", command.replace("FILE", PRICING))
    project.run("git", "commit", "--message=step")
    assert check(project) == ""


def test_a_step_that_is_taken_back_is_no_loss(project: Project) -> None:
    project.advance(2)
    project.commit()
    project.run("git", "revert", "--no-commit", "HEAD")
    assert check(project) == ""
    project.commit()
    assert check(project) == ""


def test_changes_of_ones_own_after_a_step_are_ones_own(project: Project) -> None:
    project.run(sys.executable, "tools/check_update.py", "--install")
    project.advance(2)
    assert check(project) == ""
    project.edit(PRICING, "7_500", "7_000")
    project.edit(README, "Our words.", "Our new words.")
    said = check(project)
    assert f"{PRICING}: changed" in said
    project.run("git", "add", PRICING, README)
    assert check(project) == ""
    project.run("git", "commit", "--message=own")
    assert check(project) == ""
    project.commit()
    assert check(project) == ""
    project.edit(PRICING, "7_000", "6_000")
    assert check(project) == ""
    project.commit()
    assert check(project) == ""


def test_lines_added_after_a_step_may_be_committed_with_it(project: Project) -> None:
    project.advance(2)
    project.write(README, (project.folder / README).read_text() + "More of our words.\n")
    project.commit()
    assert check(project) == ""


def test_what_is_committed_with_a_step_can_be_kept(project: Project) -> None:
    project.advance(2)
    project.edit(PRICING, "7_500", "7_000")
    project.commit()
    said = check(project)
    assert f"{PRICING}: lines are gone" in said
    [command] = re.findall(r"(git commit --allow-empty -m 'Keep FILE')", said)
    project.run("sh", "-ec", command.replace("FILE", PRICING))
    assert check(project) == ""
    message = f"All in one (#1)\n\n* step\n\n* Keep {PRICING}\n"  # squashed on the web
    project.run("git", "reset", "--soft", "HEAD~2")
    project.run("git", "commit", f"--message={message}")
    assert check(project) == ""


def test_another_answer_may_change_files(project: Project) -> None:
    copier(*("update", "--defaults", "--vcs-ref=:current:", "--data=team=blue"), cwd=project.folder)
    assert "blue" in (project.folder / "serverless.yml").read_text()
    assert check(project) == ""
    project.commit()
    assert check(project) == ""


def test_a_history_that_is_not_there_tells_nothing(lost: Project, tmp_path: Path) -> None:
    lost.commit()
    run("git", "clone", "--quiet", "--depth=1", f"file://{lost.folder}", "clone", cwd=tmp_path)
    assert check(Project(tmp_path / "clone")) == ""


def test_it_works_in_a_folder_of_a_repository_and_with_another_answers_file(
    template: Path, tmp_path: Path
) -> None:
    whole = Project(tmp_path / "whole")
    whole.folder.mkdir()
    whole.run("git", "init", "--quiet")
    answers = ".copier-answers.skate.yml"
    copier("copy", "--quiet", "--defaults", f"-a={answers}", template, "p", cwd=whole.folder)
    whole.commit()
    project = edited(Project(whole.folder / "p"))
    (tmp_path / "settings").mkdir()
    environ = settings(tmp_path / "settings", REFUSES)
    copier(*STEP, f"-a={answers}", cwd=project.folder, environ=environ)
    assert f"{PRICING}: changed" in check(project)
    whole.commit()
    said = check(project)
    bring_back(project, said)
    assert "7_500" in (project.folder / PRICING).read_text()
    assert check(project) == ""


def test_the_check_speaks_where_names_cannot_be_printed(project: Project) -> None:
    project.write("価格.md", "<<<<<<< before updating\n")
    said = check(project, environ={"PYTHONIOENCODING": "ascii"})
    assert "\\u4fa1\\u683c.md, line 1" in said


def test_a_gitignore_is_not_needed(project: Project) -> None:
    (project.folder / ".gitignore").write_bytes("価格\n".encode("shift-jis"))
    assert check(project) == ""
    (project.folder / ".gitignore").unlink()
    assert check(project) == ""


def test_an_old_python_can_run_it(project: Project) -> None:
    """git programs with a window find the system's own Python."""
    roots = [Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")]
    found = [each for root in roots for each in root.glob("versions/3.9*/bin/python3")]
    if not found:
        pytest.skip("there is no Python 3.9 here")
    project.advance(2)
    project.edit(PRICING, "7_500", "7_000")
    done = project.run(str(found[0]), "tools/check_update.py", check=False)
    assert f"{PRICING}: changed" in done.stdout
    assert "Traceback" not in done.stdout


# --- Every setting and every encoding that was tried


class Case(NamedTuple):
    """A person's git configuration, ignore and attributes files, and what they do to a project."""

    config: str = ""
    ignore: str = ""
    attributes: str = ""
    files: Callable[[Project], None] = lambda _: None


def setting(name: str) -> Case:
    """A setting such as ``apply.whitespace=fix``."""
    key, value = name.split("=", 1)
    section, variable = key.rsplit(".", 1)
    return Case(config=f"[{section}]\n\t{variable} = {value}\n")


def section(encoding: str) -> Case:
    """A section in README.md in another encoding."""

    def write(project: Project) -> None:
        with (project.folder / README).open("ab") as file:
            file.write("\n## 料金\n\nスケートボードの価格\n".encode(encoding))

    return Case(files=write)


def latin(project: Project) -> None:
    with (project.folder / README).open("ab") as file:
        file.write("\nPreise in Größe M\n".encode("latin-1"))


def whole_in_utf_16(project: Project) -> None:
    text = (project.folder / README).read_text()
    (project.folder / README).write_bytes(text.encode("utf-16"))


def with_mark(project: Project) -> None:
    path = project.folder / PRICING
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())


def without_last_newline(project: Project) -> None:
    path = project.folder / README
    path.write_bytes(path.read_bytes().rstrip())


def carriage_returns(project: Project) -> None:
    path = project.folder / README
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r"))


def own_files(project: Project) -> None:
    (project.folder / "own.png").write_bytes(bytes(range(256)))
    project.write("own 価格.md", BLANKS)
    (project.folder / "own-sjis.md").write_bytes("価格\n".encode("shift-jis"))


def folder_of_the_same_name(project: Project) -> None:
    (project.folder / "docs/1-skateboard.md").unlink()
    project.write("docs/1-skateboard.md/index.md", "Our own lesson.\n")


def link_of_the_same_name(project: Project) -> None:
    (project.folder / "docs/1-skateboard.md").unlink()
    (project.folder / "docs/1-skateboard.md").symlink_to("../README.md")


def executable(project: Project) -> None:
    (project.folder / "tools/audit.py").chmod(0o755)


CASES = {
    **{
        name: setting(name)
        for name in (
            "apply.ignoreWhitespace=change",
            "apply.whitespace=error",
            "apply.whitespace=error-all",
            "apply.whitespace=fix",
            "apply.whitespace=nowarn",
            "blame.ignoreRevsFile=nowhere",
            "color.ui=always",
            "commit.cleanup=scissors",
            "commit.gpgSign=true",
            "commit.verbose=true",
            "core.autocrlf=input",
            "core.autocrlf=true",
            "core.eol=crlf",
            "core.fileMode=false",
            "core.ignoreCase=true",
            "core.quotePath=false",
            "core.safecrlf=true",
            "core.whitespace=tab-in-indent,cr-at-eol",
            "diff.algorithm=histogram",
            "diff.context=0",
            "diff.external=false",
            "diff.ignoreSubmodules=all",
            "diff.indentHeuristic=false",
            "diff.interHunkContext=99",
            "diff.mnemonicPrefix=true",
            "diff.noprefix=true",
            "diff.orderFile=nowhere",
            "diff.renames=copies",
            "diff.suppressBlankEmpty=true",
            "diff.wsErrorHighlight=all",
            "feature.manyFiles=true",
            "grep.fullName=true",
            "grep.patternType=perl",
            "i18n.commitEncoding=Shift_JIS",
            "i18n.logOutputEncoding=Shift_JIS",
            "init.defaultBranch=trunk",
            "init.defaultObjectFormat=sha256",
            "log.showSignature=true",
            "merge.conflictStyle=diff3",
            "merge.conflictStyle=zdiff3",
            "safe.bareRepository=explicit",
            "status.relativePaths=false",
            "status.renames=false",
            "status.short=true",
            "status.showUntrackedFiles=no",
            "submodule.recurse=true",
            "user.useConfigOnly=true",
        )
    },
    "core.excludesFile: .npmrc": Case(ignore=".npmrc\n"),
    "core.excludesFile: *.md": Case(ignore="*.md\n"),
    "core.excludesFile: service/": Case(ignore="service/\n"),
    "core.excludesFile: *": Case(ignore="*\n"),
    "core.attributesFile: *.md -diff": Case(attributes="*.md -diff\n"),
    "core.attributesFile: * -text": Case(attributes="* -text\n"),
    "core.attributesFile: *.py binary": Case(attributes="*.py binary\n"),
    "core.attributesFile: *.py whitespace=tab-in-indent": Case(
        attributes="*.py whitespace=tab-in-indent\n"
    ),
    "core.attributesFile: * eol=crlf": Case(attributes="* text eol=crlf\n"),
    "core.attributesFile: *.md merge=union": Case(attributes="*.md merge=union\n"),
    "a section in Shift_JIS": section("shift-jis"),
    "a section in EUC-JP": section("euc-jp"),
    "a section in ISO-2022-JP": section("iso2022-jp"),
    "a line in Latin-1": Case(files=latin),
    "README.md in UTF-16": Case(files=whole_in_utf_16),
    "a byte order mark": Case(files=with_mark),
    "no newline at the end": Case(files=without_last_newline),
    "README.md with the line ends of an old Mac": Case(files=carriage_returns),
    "files of one's own: binary, Japanese name, Shift_JIS": Case(files=own_files),
    "a folder in place of a file": Case(files=folder_of_the_same_name),
    "a link in place of a file": Case(files=link_of_the_same_name),
    "a file made executable": Case(files=executable),
}
SAMPLE = {
    "apply.whitespace=fix",
    "core.excludesFile: *.md",
    "submodule.recurse=true",
    "core.attributesFile: *.md -diff",
    "a section in Shift_JIS",
    "a folder in place of a file",
}


def with_case(project: Project, case: Case, folder: Path) -> Environ:
    """Make the person's changes and settings; give the environment that has the settings."""
    case.files(project)
    project.edit(".npmrc", "omit-lockfile", "# ours\nomit-lockfile")
    project.commit()
    folder.mkdir()
    config = case.config
    for key, text in (("excludesFile", case.ignore), ("attributesFile", case.attributes)):
        if text:
            (folder / key).write_text(text)
            config += f"[core]\n\t{key} = {folder / key}\n"
    return settings(folder, config)


def kept(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    """The files that are not what they were."""
    return {name for name, text in before.items() if after.get(name) != text}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in SAMPLE else pytest.mark.full) for name in CASES]
)
def test_a_step_keeps_all_changes_or_they_are_named(
    project: Project, tmp_path: Path, publish: Publish, name: str
) -> None:
    environ = with_case(project, CASES[name], tmp_path / "home")
    before = project.files()
    done = run("copier", *STEP, cwd=project.folder, check=False, environ=environ)
    changed = kept(before, project.files())
    if done.returncode != 0 and not changed:
        publish("merges.md", "settings", name, "Copier refuses; nothing is changed")
        return
    for moment in ("before", "after"):
        said = check(project, environ=environ)
        named = set(re.findall(r"^  (\S.*): (?:changed|lines are gone)", said, re.MULTILINE))
        assert named == changed, (moment, said)
        assert bool(said) == bool(changed), said
        project.commit()
    how = f"taken back in {len(changed)} of 3 files, and named" if changed else "kept"
    publish("merges.md", "settings", name, how)
    if changed:
        bring_back(project, said)
        assert kept(before, project.files()) == set()
        assert check(project, environ=environ) == ""


# --- Releases, which do change files

LESSON = "docs/1-skateboard.md"


class Released(NamedTuple):
    """A template that can have newer releases, and a project that somebody has worked in."""

    releases: Path
    project: Project

    def move(self, old: str, new: str | None) -> None:
        """Make a release that renames a file, or removes it."""
        command = ("mv", old, new) if new else ("rm", "--quiet", old)
        run("git", *command, cwd=self.releases / "template")
        run("git", "commit", "--quiet", "--message=move", cwd=self.releases)
        run("git", "tag", "v1000.0.0", cwd=self.releases)


@pytest.fixture
def released(template: Path, tmp_path: Path) -> Released:
    releases, project = copied(template, tmp_path)
    project.commit()
    return Released(releases, edited(project))


@pytest.mark.parametrize("committed", [False, True], ids=["before", "committed"])
@pytest.mark.parametrize("new", [None, "docs/1-board.md"], ids=["removed", "renamed"])
def test_a_file_with_changes_that_a_release_takes_away_is_named(
    released: Released, committed: bool, new: str | None
) -> None:
    project = released.project
    project.edit(LESSON, "# ", "# Our own ")
    project.commit()
    released.move(LESSON, new)
    copier(*RELEASE, cwd=project.folder)
    assert not (project.folder / LESSON).exists()
    if committed:
        project.commit()
    said = check(project)
    assert f"{LESSON}: lines of yours are gone, such as: # Our own" in said
    assert (f"now in {new}: put your lines there" in said) == bool(new)
    bring_back(project, said)
    assert "# Our own" in (project.folder / LESSON).read_text()
    assert check(project) == ""


def test_a_file_without_changes_may_go(released: Released) -> None:
    released.move(LESSON, "docs/1-board.md")
    copier(*RELEASE, cwd=released.project.folder)
    assert check(released.project) == ""
    released.project.commit()
    assert check(released.project) == ""


@pytest.mark.parametrize("committed", [False, True], ids=["before", "committed"])
def test_lines_that_a_release_takes_back_are_named(
    released: Released, tmp_path: Path, committed: bool
) -> None:
    project = released.project
    release(released.releases, "README.md.jinja", "## Run it", "## How to run it")
    (tmp_path / "home").mkdir()
    copier(*RELEASE, cwd=project.folder, environ=settings(tmp_path / "home", REFUSES))
    if committed:
        project.commit()
    said = check(project)
    assert f"{README}: lines of yours are gone, such as: Our words." in said
    assert f"{PRICING}: lines of yours are gone" in said
    bring_back(project, said)
    assert check(project) == ""


def test_blanks_that_a_release_takes_out_are_named(released: Released, tmp_path: Path) -> None:
    project = released.project
    release(released.releases, "infra/quote.yml", "QuoteRole:", "QuoteRole: # of its own")
    (tmp_path / "home").mkdir()
    fixes = settings(tmp_path / "home", "[apply]\n\twhitespace = fix\n")
    copier(*RELEASE, cwd=project.folder, environ=fixes)
    assert not (project.folder / README).read_text().endswith(BLANKS)
    assert f"{README}: lines of yours are gone, such as: Our words." in check(project)


def test_a_release_that_keeps_all_lines_is_no_reason_to_worry(released: Released) -> None:
    project = released.project
    release(released.releases, "README.md.jinja", "## Run it", "## How to run it")
    copier(*RELEASE, cwd=project.folder)
    assert check(project) == ""
    project.commit()
    assert check(project) == ""
    project.edit(PRICING, "7_500", "7_000")
    assert check(project) == ""


def test_a_conflict_is_told_of_once(released: Released) -> None:
    project = released.project
    release(released.releases, PRICING, '"skateboard": 8_000', '"skateboard": 8_500')
    copier(*RELEASE, cwd=project.folder)
    assert "is not finished: 1 to decide" in check(project)
    text = (project.folder / PRICING).read_text()
    (project.folder / PRICING).write_text(
        re.sub(r"<{7}.*\n((?:.*\n)*?)={7}\n(?:.*\n)*?>{7}.*\n", r"\1", text)
    )
    project.commit()
    assert check(project) == ""


@pytest.mark.parametrize("settled", ["7_900", "8_500"])
def test_a_conflict_may_be_settled_in_any_way(released: Released, settled: str) -> None:
    project = released.project
    release(released.releases, PRICING, '"skateboard": 8_000', '"skateboard": 8_500')
    copier(*RELEASE, cwd=project.folder)
    text = (project.folder / PRICING).read_text()
    mixed = re.sub(r"<{7}(?:.*\n)*?>{7}.*\n", f'    "skateboard": {settled},\n', text)
    (project.folder / PRICING).write_text(mixed)
    project.run("git", "add", "--all")
    assert check(project) == ""
    project.commit()
    assert check(project) == ""


def test_a_project_that_has_moved_in_its_repository_is_known(
    released: Released, tmp_path: Path
) -> None:
    whole = Project(tmp_path)
    project = released.project
    (project.folder / ".git").rename(tmp_path / ".git")
    shutil.rmtree(tmp_path / "home", ignore_errors=True)
    project.write("../.gitignore", "/template/\n")
    whole.run("git", "add", "--all")
    whole.run("git", "commit", "--quiet", "--message=into a folder")
    release(released.releases, "README.md.jinja", "## Run it", "## How to run it")
    copier(*RELEASE, cwd=project.folder)
    assert check(project) == ""


# --- What a release of ours must not do


def missing(old: Iterator[str], new: Iterator[str]) -> set[str]:
    """The files of projects that a newer template has no more, under the same name."""
    return {name.removesuffix(".jinja") for name in old} - {
        name.removesuffix(".jinja") for name in new
    }


def test_no_release_renames_or_removes_a_file() -> None:
    """Copier would delete it with all changes in it."""
    tags = run("git", "tag", "--list", "v*", "--sort=-version:refname", cwd=ROOT).stdout.split()
    if not tags:
        pytest.skip("this copy of the repository has no tags to compare with")
    former = run("git", "ls-tree", "-r", "--name-only", f"{tags[0]}:template", cwd=ROOT).stdout
    now = (path.relative_to(ROOT / "template") for path in ROOT.glob("template/**/*"))
    assert missing(iter(former.splitlines()), map(str, now)) == set()


def test_a_renamed_file_is_found() -> None:
    assert missing(iter(["a.md.jinja", "b.py"]), iter(["a.md", "c.py"])) == {"b.py"}
