"""What is measured with netplan: a change through nmstated beside `netplan apply` of the file that it writes."""

import os
import statistics
import sys
import time

from measure import ROUNDS, alone, batch, links, ms, ours, output, run, spread, write

OURS = "/etc/netplan/90-nmstated.yaml"
THEIRS = "/etc/netplan/60-bench.yaml"
SECONDS_MAX = 120


def dummies(state, count):
    text = "interfaces:\n"
    for i in range(count):
        text += f"- name: lab{i}\n  type: dummy\n  state: {state}\n"
        if state == "up":
            text += f"  ipv4: {{enabled: true, address: [{{ip: 10.88.{i}.1, prefix-length: 24}}]}}\n"
    return text


def there():
    return output("ip", "-o", "-4", "address", "show", "up").count("inet 10.88.")


def until(count):
    """netplan does not wait for what it hands over; nmctl does."""
    end = time.monotonic() + SECONDS_MAX
    while there() != count:
        if time.monotonic() > end:
            sys.exit(f"{there()} addresses of {count} after {SECONDS_MAX} s")
        time.sleep(0.01)


def by_netplan(text, count):
    with open(THEIRS, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write(text)
    start = time.perf_counter()
    run("netplan", "apply")
    until(count)
    return time.perf_counter() - start


def away(count):
    os.remove(THEIRS)
    run("netplan", "apply")
    batch(f"link delete lab{i}" for i in range(count) if os.path.exists(f"/sys/class/net/lab{i}"))
    until(0)


def applies(settle, renderer):
    for count in (1, 30):
        up, gone = write("there.yml", dummies("up", count)), write("gone.yml", dummies("absent", count))
        mine, again, other, starts = [], [], [], []
        for _ in range(ROUNDS):
            mine.append(ours("apply", up))
            if there() != count:
                sys.exit(f"{there()} addresses of {count} after nmctl apply")
            text = open(OURS).read()
            settle()
            again.append(ours("apply", up))
            starts.append(ours("version"))
            ours("apply", gone)
            settle()
            other.append(by_netplan(text, count))
            settle()
            away(count)
            settle()
        ratio = statistics.median(mine) / statistics.median(other)
        what = f"{count} dumm{'y' if count == 1 else 'ies'} with an address, netplan with {renderer}"
        alone.row(f"netplan apply of {what}, until the addresses are there", spread(other), "")
        alone.row(f"nmctl apply of {what}", f"{spread(mine)}: {ratio:.2f} of that", "1.2")
        alone.row(f"nmctl apply of {what}, once more", f"{spread(again)}; nmctl version: {spread(starts)}", "10 ms")
    if links("dummy") != 1:
        sys.exit(f"{links('dummy')} dummies afterwards")
