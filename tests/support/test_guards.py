"""Each guard of the suite is shown a violation, and must fail the run because of it."""

import os

import pytest

from tests.support.process import ROOT

CONFTEST = "from tests.support.guards import *"


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """`run(source)` runs that test file under the suite's own settings and guards."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TEST_LOOP_LAG", "0.3")
    pytester.makeconftest(CONFTEST)
    (pytester.path / "pytest.ini").write_text(
        "[pytest]\naddopts = --async-test-timeout=20\nfilterwarnings =\n"
        "    error\n"
        "    ignore::pytest.PytestRemovedIn10Warning\n"
        "    ignore:.*pkg_resources.*\n"
    )

    def run_source(source: str, *args: str) -> pytest.RunResult:
        pytester.makepyfile(test_planted=source)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *args)

    return run_source


def test_a_well_behaved_test_passes_under_all_guards(run):
    result = run(
        """
        import asyncio, logging

        async def test_good(expect_log):
            expect_log("the disk is .* full")
            logging.getLogger("anmei.db").warning("the disk is %s full", "90 %")
            await asyncio.sleep(0.01)
        """
    )
    result.assert_outcomes(passed=1)


def test_an_async_test_really_runs_without_a_marker(run):
    result = run("async def test_wrong():\n    assert 1 == 2")
    result.assert_outcomes(failed=1)


def test_a_task_left_behind_fails_the_run(run):
    result = run(
        """
        import asyncio

        async def test_leaves_a_task():
            asyncio.get_running_loop().leaked = asyncio.create_task(asyncio.sleep(60))
        """
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*a task was left behind*sleep*"])


def test_a_warning_in_the_log_fails_the_run(run):
    result = run("import logging\ndef test_logs():\n    logging.getLogger('tornado').error('ouch')")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*unexpected log line: ERROR tornado: ouch*"])


def test_an_expected_log_line_that_never_comes_fails_the_run(run):
    result = run("def test_silent(expect_log):\n    expect_log('ouch')")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*expected a log line with 'ouch', and none came*"])


def test_an_exception_in_a_task_that_nobody_awaits_fails_the_run(run):
    result = run(
        """
        import asyncio

        async def fail():
            raise LookupError("lost")

        async def test_forgets_a_task():
            task = asyncio.create_task(fail())
            await asyncio.sleep(0)
            del task
        """
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*Task exception was never retrieved*"])


def test_a_python_warning_fails_the_run(run):
    result = run("import warnings\ndef test_warns():\n    warnings.warn('old', stacklevel=1)")
    result.assert_outcomes(failed=1)


def test_a_coroutine_that_is_never_awaited_fails_the_run(run):
    result = run("async def idle(): pass\ndef test_forgets():\n    idle()")
    result.assert_outcomes(failed=1)


def test_a_blocked_event_loop_fails_the_run_and_shows_where(run):
    result = run(
        """
        import time

        async def test_sleeps_on_the_loop():
            time.sleep(0.8)
        """
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*the event loop was blocked for*", "*time.sleep(0.8)*"])


def test_a_loop_blocked_by_code_that_holds_the_interpreter_lock_fails_the_run(run):
    result = run(
        """
        import asyncio, re

        async def test_computes_on_the_loop():
            await asyncio.sleep(0)
            assert not re.match(r"(a+)+$", "a" * 26 + "b")
            await asyncio.sleep(0)
        """
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*the event loop was blocked for*"])


def test_a_sync_test_may_wait_between_two_runs_of_the_loop(run):
    result = run(
        """
        import asyncio, time

        def test_waits(io_loop):
            io_loop.run_sync(lambda: asyncio.sleep(0.1))
            time.sleep(0.8)
            io_loop.run_sync(lambda: asyncio.sleep(0.1))
        """
    )
    result.assert_outcomes(passed=1)


def test_a_test_may_wait_for_a_program_it_starts(run):
    result = run(
        """
        import sys
        from tests.support.child import Child

        async def test_waits():
            child = Child([sys.executable, "-c", "import time; time.sleep(0.8); print('ready')"])
            child.wait_for_line("ready")
            child.wait()
            child.close()
        """
    )
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "call",
    ["time.sleep(0.001)", "pathlib.Path(__file__).read_text()", "lock.acquire(timeout=0.001)"],
)
def test_a_blocking_call_of_the_product_on_the_loop_fails_the_run(run, pytester, call):
    # A package of the product's name, found before the real one.
    pytester.mkpydir("actors")
    (pytester.path / "actors" / "planted.py").write_text(
        "import pathlib, threading, time\nlock = threading.Lock()\nlock.acquire()\n"
        f"def block():\n    {call}\n"
    )
    result = run(
        """
        from actors.planted import block

        def test_off_the_loop():
            block()

        async def test_on_the_loop():
            block()
        """
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*Blocking call to*"])


def test_the_product_may_log_on_the_loop(run, pytester):
    pytester.mkpydir("actors")
    (pytester.path / "actors" / "planted.py").write_text(
        "import logging, sys\ndef log():\n    logging.basicConfig(stream=sys.stderr, level=0)\n"
        "    logging.getLogger('x').info('hello')\n    print('hello', flush=True)\n"
    )
    result = run("from actors.planted import log\nasync def test_logs():\n    log()", "-s")
    result.assert_outcomes(passed=1)


def test_an_async_test_that_hangs_is_ended_by_its_timeout(run):
    result = run(
        "import asyncio\nasync def test_hangs():\n    await asyncio.Event().wait()",
        "--async-test-timeout=0.5",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*Operation timed out after 0.5 seconds*"])


def test_a_sync_test_that_hangs_is_ended_by_its_timeout(run):
    # Long enough for a busy machine to get as far as the test.
    result = run("import time\ndef test_hangs():\n    time.sleep(60)", "--timeout=3")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*Timeout (>3.0s)*"])


def test_the_suite_itself_has_these_guards_and_timeouts(request, log_watch):
    assert request.config.getini("timeout") == "300"
    assert request.config.getoption("async_test_timeout") == 120
    assert "error" in request.config.getini("filterwarnings")
    assert os.environ.get("ASYNC_TEST_TIMEOUT") is None
