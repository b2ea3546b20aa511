# An unprivileged user is asked for a password by polkit's agent at the terminal: the change is made with the
# right one, refused with a wrong one, and refused at once where nobody can be asked; nothing is queued before.
id labuser >/dev/null 2>&1 || useradd --create-home labuser
echo 'root:right-one' | chpasswd
document lab0 >/tmp/lab0.yml
chmod 644 /tmp/lab0.yml
cat >/tmp/at-terminal <<'PYTHON'
"""Runs a command as labuser on a terminal of its own. When it is asked for a password: runs --while,
and types --password; with --hang-up, closes the terminal instead."""
import argparse, os, pwd, pty, re, select, subprocess, sys, termios, time
parser = argparse.ArgumentParser()
parser.add_argument("--password")
parser.add_argument("--while", dest="meanwhile")
parser.add_argument("--hang-up", action="store_true")
parser.add_argument("command", nargs=argparse.REMAINDER)
options = parser.parse_args()
if options.command[0] == "--":
    del options.command[0]
pid, terminal = pty.fork()
if pid == 0:
    user = pwd.getpwnam("labuser")
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    os.execvp(options.command[0], options.command)
seen, asked, end = b"", 0, time.monotonic() + 110
while time.monotonic() < end:
    if not select.select([terminal], [], [], 1)[0]:
        continue
    try:
        some = os.read(terminal, 4096)
    except OSError:
        break
    if not some:
        break
    seen += some
    sys.stdout.buffer.write(some)
    sys.stdout.flush()
    if len(re.findall(rb"Password: ", seen)) > asked:
        asked += 1
        if options.meanwhile:
            subprocess.run(options.meanwhile, shell=True, check=True)
        if options.hang_up:
            break
        # What is typed before the echo is off is thrown away.
        while termios.tcgetattr(terminal)[3] & termios.ECHO and time.monotonic() < end:
            time.sleep(0.01)
        os.write(terminal, (options.password or "").encode() + b"\n")
os.close(terminal)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(f"\nasked {asked} times, exit status {status}")
sys.exit(0 if status == 0 else 1)
PYTHON
as_user() { python3 /tmp/at-terminal "$@"; }
count() { nmctl history | wc -l; }
before=$(count)

# Nobody to ask: refused at once.
began=$(date +%s%N)
refused "the call does not let it ask" setpriv --reuid=labuser --regid=labuser --clear-groups nmctl apply /tmp/lab0.yml </dev/null
refused "has no agent to ask for it" setpriv --reuid=labuser --regid=labuser --clear-groups varlinkctl call $socket \
  io.nmstate.Daemon.Rollback '{"allowInteractiveAuthentication": true}'
refused "may not do this" setpriv --reuid=labuser --regid=labuser --clear-groups "${bus[@]}" Apply sa'{sv}' "$(document lab0)" 0
figure "refused three times without an agent in $((($(date +%s%N) - began) / 1000000)) ms"

# Looking takes no password, also at a terminal.
as_user nmctl show lo | tee said
grep -F 'asked 0 times' said

# A wrong one.
refused "asked 1 times, exit status 1" as_user --password wrong-one -- nmctl apply /tmp/lab0.yml
refused "PermissionError" as_user --password wrong-one -- nmctl apply /tmp/lab0.yml
[ "$(count)" = "$before" ]
lacks_link lab0

# The terminal goes away while the password is asked for: the question goes too, and nothing is done.
as_user --hang-up -- nmctl apply /tmp/lab0.yml || true
[ "$(count)" = "$before" ]

# The right one; others are served, and nothing is queued, while it is asked for.
as_user --password right-one --while "nmctl show lo >/dev/null && nmctl list --json | jq -e 'length == 0'" -- nmctl apply /tmp/lab0.yml | tee said
grep -F 'Authentication is required to change the network configuration' said
grep -F 'asked 1 times, exit status 0' said
has_link lab0
nmctl history --limit 1 | grep "uid $(id -u labuser)"

# What is asked is said: secrets, and which change is to be kept.
as_user --password right-one -- nmctl show -s lo | grep -F 'passwords and keys'
printf 'interfaces:\n- name: lab0\n  state: absent\n' >/tmp/absent.yml
as_user --password right-one -- nmctl apply --no-commit /tmp/absent.yml
id=$(nmctl list --json | jq '.[0].id')
as_user --password right-one -- nmctl commit "$id" | tee said
grep -F "to keep the change $id of the network" said
lacks_link lab0

# A rule sees the method and the transaction.
mkdir -p /etc/polkit-1/rules.d
cat >/etc/polkit-1/rules.d/10-lab.rules <<'RULE'
polkit.addRule(function(action, subject) {
  if (subject.user == "labuser" && action.id == "io.nmstate.daemon.checkpoint" &&
      action.lookup("method") == "Commit" && action.lookup("transaction") == "77") return polkit.Result.YES;
});
RULE
chmod 755 /etc/polkit-1/rules.d
systemctl restart polkit
labuser() { setpriv --reuid=labuser --regid=labuser --clear-groups "$@"; }
refused "no live transaction 77" labuser nmctl commit 77 </dev/null
refused "PermissionError" labuser nmctl commit 78 </dev/null
refused "PermissionError" labuser nmctl rollback 77 </dev/null
rm /etc/polkit-1/rules.d/10-lab.rules said
systemctl restart polkit
