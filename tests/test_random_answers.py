"""Whatever is answered: a refusal that names its rule, or a project that holds just that answer.

What an answer did to a file is seen in its parsed meaning: it must be that of a file with a
harmless answer, but for the places that hold the answer.
"""

import functools
import operator
import re
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml
from copier.errors import UserMessageError
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from demo.snapshot import GIT, ROOT, VERSION, git
from tests.conftest import STAGES, load, run

Answers = dict[str, Any]
Forms = Path  # the template, without the files that no answer can change

# None of these is anywhere else in a project.
TAME = {
    "service_name": "tame-service",
    "description": "Tame words.",
    "team": "tame team",
    "region": "af-south-1",
    "python_version": "3.12",
}
QUOTED = {"service_name", "team", "region", "python_version"}  # in what osls reads
PYTHONS = ["3.12", "3.13"]

# What means something to one of the languages that a project is written in.
LOADED = [
    *("${self:service}", "${env:SECRET}", "${AWS::AccountId}", "${{ secrets.X }}", "${", "}"),
    *("{{ team }}", "{% raw %}", "{% include 'x' %}", "{#", "%(x)s", "{0}", "$(id)", "`id`", ";"),
    *(
        "*/",
        "//",
        "#",
        " # x",
        "-->",
        "<!--",
        "<b>",
        '"',
        "'",
        '"""',
        "'''",
        "\\",
        '\\"',
        "\\u0022",
    ),
    *("\n", "\r\n", "\n---\n", "\n...\n", "\n  x: y\n", "\n[x]\n", "\n- x", "---", "...", "%YAML"),
    *(
        "&anchor",
        "*alias",
        "!tag",
        "!!python/none",
        "!Sub x",
        "<<",
        "? ",
        ": ",
        "- ",
        "|",
        ">",
        "@",
    ),
    *("\t", "\0", "\x07", "\x1b[2J", "\x7f", "\x85", "\u2028", "\u2029", "\ufeff", "\ud800"),
    *("\u202e", "\u200b", "\xa0", "\U0001f6f9", "\U0001ffff", "日本語", "é", "e\u0301", " "),
]
# What YAML or TOML takes for something else than text, where nothing says that it is text.
WORDS = [
    *("null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf", "e1", "e3", "x-1"),
    *("0", "1e3", "0x1F", "0o7", "1_000", "12:30:45", "2026-11-25", "3.12", "=", "~", ".5", "+1"),
]

hostile = st.lists(st.sampled_from(LOADED) | st.text(max_size=4), max_size=6).map("".join)
word = st.sampled_from(WORDS)
other = st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.lists(st.just("x"))


service_name = st.from_regex(r"[a-z][a-z0-9]{0,9}(-[a-z0-9]{1,5}){0,3}", fullmatch=True)
description = st.lists(st.sampled_from(LOADED) | st.text(max_size=4), min_size=1, max_size=6)
team = st.from_regex(r"\w[\w .:/=+@-]{0,63}", fullmatch=True)
region = st.sampled_from(["ap-southeast-7", "cn-north-1", "eu-central-2", "us-isob-east-1"])


def documents() -> Iterator[Any]:
    """The parts of copier.yml; the names of other files stay names."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!include", lambda _, node: str(node.value))
    yield from yaml.load_all((ROOT / "copier.yml").read_text(encoding="utf-8"), Loader)


[RULES] = [part["rules"]["default"] for part in documents() if "rules" in part]


def kept(question: str) -> Callable[[Any], bool]:
    """Tell whether an answer keeps all rules of a question."""
    return lambda answer: (
        isinstance(answer, str) and all(re.search(rule, answer) for rule in RULES[question])
    )


GOOD = {
    "service_name": (service_name | word).filter(kept("service_name")),
    "description": description.map(
        lambda parts: "".join(part for part in parts if kept("description")(f"x{part}"))
    ).filter(kept("description")),
    "team": (team | word).filter(kept("team")),
    "region": region.filter(kept("region")),
    "python_version": st.sampled_from(PYTHONS),
    "stage": st.sampled_from(STAGES),
}
good = st.fixed_dictionaries(GOOD)
BAD = {question: hostile | hostile.map(lambda text: text * 40) | word | other for question in GOOD}
bad = st.sampled_from(sorted(BAD)).flatmap(
    lambda question: st.fixed_dictionaries({question: BAD[question]})
)
# Half of them good, but for luck.
ANSWERS = st.builds(operator.or_, good, st.just({}) | bad)


def broken(answers: Answers) -> set[str]:
    """What must be said of answers: one of these, if there are any."""
    says = {
        f"{question} is refused. {rule}"
        for question, rules in RULES.items()
        for pattern, rule in rules.items()
        if not (isinstance(answers[question], str) and re.search(pattern, answers[question]))
    }
    if str(answers["python_version"]) not in PYTHONS:
        says.add("python_version is refused. Choose one of: 3.12, 3.13.")
    if str(answers["stage"]) not in map(str, STAGES):
        says.add(f"stage is refused. Choose a whole number from 1 to {STAGES[-1]}.")
    return says


def parsed(folder: Path) -> dict[str, Any]:
    """The meaning of each file that answers are in."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or ".git" in path.relative_to(folder).parts:
            continue
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".toml":
            found[name] = tomllib.loads(path.read_text(encoding="utf-8"))
        elif path.suffix in {".yml", ".json"}:
            found[name] = load(path)
        else:
            found[name] = path.read_bytes().decode()
    return found


def with_answers(tame: Any, answers: dict[str, str]) -> Any:
    """A parsed file as it must be with other answers than ``TAME``."""
    if isinstance(tame, dict):
        return {with_answers(key, answers): with_answers(tame[key], answers) for key in tame}
    if isinstance(tame, list):
        return [with_answers(part, answers) for part in tame]
    if isinstance(tame, str):
        known = {TAME[question]: answers[question] for question in TAME}
        return re.sub("|".join(map(re.escape, known)), lambda found: known[found[0]], tame)
    return tame


def expected(tame: dict[str, Any], answers: Answers) -> dict[str, Any]:
    texts = {question: str(answers[question]) for question in TAME}
    line = texts | {"description": texts["description"].replace("\n", " ").strip()}
    return {
        name: with_answers(meaning, line if name == "README.md" else texts)
        for name, meaning in tame.items()
    }


def rendered(forms: Forms, answers: Answers) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        copier.run_copy(str(forms), folder, data=answers, defaults=True, quiet=True)
        return parsed(Path(folder))


@functools.cache
def tame(forms: Forms, stage: int) -> dict[str, Any]:
    return rendered(forms, TAME | {"stage": stage})


def outcome(forms: Forms, answers: Answers) -> str:
    """Try some answers: ``refused`` or ``taken``, and rightly so."""
    rules = broken(answers)
    if rules:
        with pytest.raises(UserMessageError, match="|".join(map(re.escape, rules))):
            rendered(forms, answers)
        return "refused"
    found = rendered(forms, answers)
    assert not [question for question in QUOTED if "$" in str(answers[question])]
    assert found == expected(tame(forms, int(answers["stage"])), answers)
    return "taken"


@pytest.fixture(scope="module", autouse=True)
def gits_settings() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in GIT.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def forms(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Forms:
    """The template without the files that are copied as they are: no answer gets into them."""
    folder = tmp_path_factory.mktemp("forms") / "template"
    git("clone", "--quiet", str(template), str(folder), cwd=template)
    for path in (folder / "template").rglob("*"):
        if path.is_file() and path.suffix != ".jinja":
            path.unlink()
    git("commit", "--quiet", "--all", "--message=forms", cwd=folder)
    git("tag", "--force", VERSION, cwd=folder)
    return folder


def examples(number: int) -> settings:
    """The same ones each time. They are small, and to make a found one smaller takes minutes."""
    return settings(
        max_examples=number,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def try_answers(forms: Forms, number: int) -> None:
    outcomes: Counter[str] = Counter()

    @examples(number)
    @given(ANSWERS)
    def try_some(answers: Answers) -> None:
        outcomes[outcome(forms, answers)] += 1

    try_some()
    assert min(outcomes["taken"], outcomes["refused"]) >= number / 10, outcomes


def test_any_answers_are_refused_or_stay_what_they_are(forms: Forms) -> None:
    try_answers(forms, 40)


@pytest.mark.full
def test_many_answers_are_refused_or_stay_what_they_are(forms: Forms) -> None:
    try_answers(forms, 500)


def typed(forms: Forms, template: Path, folder: Path, answers: Answers) -> None:
    """Give the answers on the command line, to the whole template."""
    project = folder / "project"
    data = [f"--data={question}={answer}" for question, answer in answers.items()]
    done = run("copier", "copy", "--defaults", *data, template, project, cwd=folder, check=False)
    assert "Traceback" not in done.stdout
    if rules := broken({question: str(answer) for question, answer in answers.items()}):
        assert done.returncode == 1
        assert any(rule in done.stdout for rule in rules)
        assert not project.exists()
    else:
        assert done.returncode == 0, done.stdout
        with_forms = expected(tame(forms, int(answers["stage"])), answers)
        with_forms[".copier-answers.yml"]["_src_path"] = str(template)
        found = parsed(project)
        assert {name: found[name] for name in with_forms} == with_forms
        for path in project.rglob("*.py"):
            compile(path.read_text(encoding="utf-8"), path.name, "exec")


def can_be_typed(answers: Answers) -> bool:
    text = "".join(map(str, answers.values()))
    return "\0" not in text and text.isprintable() | text.isascii()


@pytest.mark.full
def test_answers_on_the_command_line_are_refused_or_stay_what_they_are(
    forms: Forms, template: Path
) -> None:
    @examples(20)
    @given(ANSWERS.filter(can_be_typed))
    def try_some(answers: Answers) -> None:
        with tempfile.TemporaryDirectory() as folder:
            typed(forms, template, Path(folder), answers)

    try_some()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{{ description | to_json(ensure_ascii=False) }}", '"{{ description }}"'),
        ("{{ team | to_json(ensure_ascii=False) }}", "{{ team }}"),
    ],
)
def test_an_answer_that_is_not_quoted_is_found(
    forms: Forms, tmp_path: Path, old: str, new: str
) -> None:
    bad = tmp_path / "bad"
    git("clone", "--quiet", str(forms), str(bad), cwd=tmp_path)
    for path in (bad / "template").rglob("*.jinja"):
        path.write_text(path.read_text().replace(old, new))
    git("commit", "--quiet", "--all", "--message=bad", cwd=bad)
    git("tag", "--force", VERSION, cwd=bad)
    answers = TAME | {"stage": 2, "description": 'a", "b', "team": "1e3: x"}
    assert outcome(forms, answers) == "taken"
    with pytest.raises((AssertionError, yaml.YAMLError, tomllib.TOMLDecodeError)):
        outcome(bad, answers)
