"""Times whole commands from start to exit, and keeps what is measured in tables."""

import os
import statistics
import subprocess
import sys
import time

ROUNDS = int(os.environ.get("ROUNDS", "5"))


class Table:
    """What is measured, a row each: printed at once, and written as Markdown."""

    def __init__(self, *head):
        self.rows = [head, ["---"] * len(head)]

    def row(self, *cells):
        print(" | ".join(cells), flush=True)
        self.rows.append(cells)

    def text(self):
        return "".join(f"| {' | '.join(row)} |\n" for row in self.rows)


beside = Table("work", "nmstatectl", "nmctl", "peer / ours", "budget")
alone = Table("work", "figure", "budget")


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def timed(*command):
    """Seconds from start to exit. A command that fails ends the measurement."""
    with open("/tmp/said", "w") as said:
        start = time.perf_counter()
        done = subprocess.run(command, stdout=said, stderr=subprocess.STDOUT)
        took = time.perf_counter() - start
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}: {open('/tmp/said').read()[-2000:]}")
    return took


def ms(seconds):
    return f"{seconds * 1000:,.{1 if seconds < 0.1 else 0}f}"


def spread(times):
    return f"{ms(statistics.median(times))} ms ({ms(min(times))} to {ms(max(times))})"


def compare(work, budget, ours, theirs):
    ratio = statistics.median(theirs) / statistics.median(ours)
    beside.row(work, spread(theirs), spread(ours), f"{ratio:.1f}", budget)


def write(name, text):
    with open(name, "w") as file:
        file.write(text)
    return name


def batch(lines):
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True)


def links(kind):
    return len(output("ip", "-o", "link", "show", "type", kind).splitlines())


def ours(verb, *arguments):
    return timed("nmctl", verb, *arguments)
