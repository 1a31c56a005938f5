"""What the repository holds, and what it must not hold."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.process import ROOT

TOP_LEVEL = {
    *("anmei", "db", "actors", "handlers", "web"),
    *("tests", "loadtest", "docs", "scripts", ".ci", ".gitignore"),
    *(
        "run.py",
        "requirements.txt",
        "requirements-test.txt",
        "requirements-load.txt",
        "requirements-s3.txt",
    ),
    *("Makefile", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE"),
}

#: Where files, found on the machine they were written on, would not be on another. The words are
#: put together here, so that this file does not hold them.
HOME_PATHS = re.compile(
    r"(?<![\w.~$}])/(?:" + "|".join(("home", "Users", "root", "work")) + r")/\w"
)

#: Packages come from wherever the machine is set up to take them from.
REGISTRY_HOSTS = re.compile(
    "|".join(
        rf"\b{name}\.{ending}\b".replace("!", "")
        for name, ending in (
            ("p!ypi", "org"),
            ("pyth!onhosted", "org"),
            ("registry.n!pmjs", "org"),
            ("un!pkg", "com"),
            ("jsde!livr", "net"),
            ("cdn!js", "com"),
        )
    )
    + r"|--(?:extra-)?index-url|--registry[ =]"
)

LEFT_OUT = re.compile(r"\b(?:mark\.|pytest\.|unittest\.|@)(?:skip|skipif|xfail|importorskip)\b")

TEXT = (".py", ".md", ".txt", ".toml", ".sh", ".js", ".mjs", ".ts", ".css", ".html", ".json", "")


def tracked() -> list[Path]:
    """Every file of the repository, as git sees it: what is ignored is not part of it."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    paths = (ROOT / name for name in listing.split("\0") if name)
    return [path for path in paths if path.is_file()]


def findings(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    found = []
    for path in paths:
        if path.suffix in TEXT:
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                if pattern.search(line):
                    found.append(f"{path.name}:{number}: {line.strip()[:120]}")
    return found


def test_the_top_level_holds_what_it_should_and_nothing_else():
    assert {path.relative_to(ROOT).parts[0] for path in tracked()} <= TOP_LEVEL


def test_no_file_names_a_place_on_somebodys_machine():
    assert findings(HOME_PATHS, tracked()) == []


def test_no_file_says_where_packages_come_from():
    assert findings(REGISTRY_HOSTS, tracked()) == []


def test_no_test_is_left_out():
    tests = [path for path in tracked() if path.is_relative_to(ROOT / "tests")]
    assert len(tests) > 10
    assert findings(LEFT_OUT, [path for path in tests if path != Path(__file__)]) == []


def test_every_folder_of_tests_is_a_package():
    """Or two test files of the same name in different folders would be taken for one."""
    folders = {path.parent for path in tracked() if path.match("tests/**/test_*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_every_script_can_be_run_and_stops_at_the_first_failure():
    scripts = [path for path in tracked() if path.parent.name in ("scripts", ".ci")]
    scripts = [path for path in scripts if path.suffix in ("", ".sh")]
    assert len(scripts) >= 4
    for script in scripts:
        assert script.stat().st_mode & 0o111, f"{script.name} cannot be run"
        assert re.search(r"^set -eu", script.read_text(), re.MULTILINE), script.name


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (HOME_PATHS, "see /" + "home/ada/notes"),
        (HOME_PATHS, 'open("/' + 'work/main/x")'),
        (REGISTRY_HOSTS, "https://" + "p" + "ypi.org/simple"),
        (REGISTRY_HOSTS, "pip install --" + "index-url x"),
        (LEFT_OUT, "@pytest.mark." + "skip"),
        (LEFT_OUT, "    pytest." + "skip('no redis')"),
        (LEFT_OUT, "@pytest.mark." + "xfail(strict=True)"),
    ],
)
def test_a_planted_line_is_found(tmp_path, pattern, line):
    planted = tmp_path / "planted.py"
    planted.write_text(f"fine = 1\n{line}\n")
    assert findings(pattern, [planted]) == [f"planted.py:2: {line.strip()}"]


@pytest.mark.parametrize("line", ["https://example.org/home/x", "~/home/x", "a/home/b"])
def test_a_harmless_path_is_not_found(tmp_path, line):
    harmless = tmp_path / "harmless.md"
    harmless.write_text(line)
    assert findings(HOME_PATHS, [harmless]) == []
