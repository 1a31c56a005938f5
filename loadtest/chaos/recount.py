"""Recount: judge the raw history of a chaos run again, from the file alone."""

import argparse
from pathlib import Path

from loadtest.chaos.journal import read
from loadtest.chaos.scenario import report_on
from loadtest.chaos.verdict import judge
from loadtest.progress import Progress
from loadtest.report import Report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("history", type=Path, help="a history.jsonl")


def run(options: argparse.Namespace, progress: Progress) -> Report:
    progress.begin("counting")
    report = report_on(judge(read(options.history)), [])
    report.title = f"Recount of {options.history}"
    report.folder = options.history.parent
    return report
