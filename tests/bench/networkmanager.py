"""What is measured through NetworkManager, in the lab and on a host alike, and beside the best direct way."""

import statistics
import sys

from measure import ROUNDS, alone, batch, compare, links, ms, ours, output, spread, timed, write


def theirs(verb, *arguments):
    return timed("nmstatectl", verb, *arguments)


def direct(count, way):
    """Seconds that so many bridges take by the best direct way."""
    return float(output("bench-direct", str(count), way)) / 1000


def bridges(state, count=30):
    text = "interfaces:\n"
    for i in range(count):
        text += f"- name: br{i}\n  type: linux-bridge\n  state: {state}\n"
        if state == "up":
            text += "  bridge: {options: {stp: {enabled: false}}, port: []}\n"
            text += f"  ipv4: {{enabled: true, address: [{{ip: 10.{88 + i // 250}.{i % 250}.1, prefix-length: 24}}]}}\n"
    return text


def managed_bridges(settle, budget, way):
    """30 bridges with an address each: made, asked for again, shown with what else there is (35 interfaces), removed;
    and made by the best direct way."""
    batch(f"link add other{i} type veth peer name peer{i}" for i in range(2))
    there, gone = write("there.yml", bridges("up")), write("gone.yml", bridges("absent"))
    works = ["apply 30 bridges", "apply them again", "show 35 interfaces", "remove them"]
    budgets = [budget, "at most 1/50", "at most 1/50", ""]
    mine, other, best = [[] for _ in works], [[] for _ in works], []
    for _ in range(ROUNDS):
        for times, apply in ((mine, ours), (other, theirs)):
            for number, step in enumerate((["apply", there], ["apply", there], ["show"], ["apply", gone])):
                times[number].append(apply(*step))
                if links("bridge") != (0 if number == 3 else 30):
                    sys.exit(f"{step}: {links('bridge')} bridges afterwards")
                settle()
        best.append(direct(30, way))
        settle()
    for number, work in enumerate(works):
        compare(f"{work}, through NetworkManager", budgets[number], mine[number], other[number])
    ratio = statistics.median(mine[0]) / statistics.median(best)
    alone.row("30 bridges by the best direct way through NetworkManager", spread(best), "")
    alone.row("nmctl apply of 30 bridges, of that", f"{ratio:.2f}", "1.3")
    batch(f"link delete other{i}" for i in range(2))


def managed_stack(settle):
    """A bond of two cables, a VLAN on it with an address, a route and a name server."""
    batch(
        line
        for i in (0, 1)
        for line in (f"link add eth{i} type veth peer name far{i}", f"link set far{i} up", f"link set eth{i} up")
    )
    settle()
    there = write(
        "there.yml",
        """interfaces:
- name: bond0
  type: bond
  link-aggregation: {mode: active-backup, options: {miimon: 100}, port: [eth0, eth1]}
- name: bond0.7
  type: vlan
  vlan: {base-iface: bond0, id: 7}
  ipv4: {enabled: true, address: [{ip: 192.0.2.7, prefix-length: 24}]}
routes:
  config: [{destination: 198.51.100.0/24, next-hop-address: 192.0.2.1, next-hop-interface: bond0.7}]
dns-resolver:
  config: {server: [192.0.2.53], search: [bench.example]}
""",
    )
    gone = write(
        "gone.yml",
        "interfaces: [{name: bond0.7, state: absent}, {name: bond0, state: absent}]\ndns-resolver: {config: {}}\n",
    )
    mine, other = [], []
    for _ in range(ROUNDS):
        for times, apply in ((mine, ours), (other, theirs)):
            times.append(apply("apply", there))
            if "198.51.100.0/24" not in output("ip", "route"):
                sys.exit("the route is not there")
            settle()
            apply("apply", gone)
            settle()
    compare("apply a bond, a VLAN, a route and a name server, through NetworkManager", "at most 1/4", mine, other)
    batch(f"link delete eth{i}" for i in (0, 1))


def managed_many(settle, way, counts=(125, 250, 500)):
    """500 interfaces in one document, and fewer, so that growth is seen."""
    for count in counts:
        there, gone = write("there.yml", bridges("up", count)), write("gone.yml", bridges("absent", count))
        best = direct(count, way)
        settle()
        took = ours("apply", there)
        alone.row(
            f"apply {count} bridges, through NetworkManager", f"{ms(took)} ms; the best direct way: {ms(best)} ms", ""
        )
        settle()
        alone.row(f"apply them again, through NetworkManager", f"{ms(ours('apply', there))} ms", "")
        alone.row(f"remove {count} bridges, through NetworkManager", f"{ms(ours('apply', gone))} ms", "")
        settle()


def managed_window(settle, count=500):
    """So many interfaces in one document come, are rolled back, and come again."""
    there = write("there.yml", "interfaces:\n" + "".join(f"- {{name: many{i}, type: dummy, state: up}}\n" for i in range(count)))
    gone = write("gone.yml", "interfaces:\n" + "".join(f"- {{name: many{i}, type: dummy, state: absent}}\n" for i in range(count)))
    steps = [
        (f"apply {count} dummies, to be committed or not", ("apply", "--no-commit", "--timeout", "3600", there), count),
        ("roll them back", ("rollback",), 0),
        (f"apply {count} dummies", ("apply", there), count),
        ("apply them again", ("apply", there), count),
        ("remove them", ("apply", gone), 0),
    ]
    for work, command, left in steps:
        alone.row(f"{work}, through NetworkManager", f"{ms(ours(*command))} ms", "")
        if links("dummy") != left:
            sys.exit(f"{work}: {links('dummy')} dummies afterwards")
        settle()
