# The bus knows us, and shows what can be called.
busctl introspect io.nmstate.Daemon /io/nmstate/Daemon >seen
for method in Show Plan Apply Submit Commit Rollback GetStatus; do grep -E "^\.$method +method" seen; done
rm seen
busctl tree io.nmstate.Daemon | grep /io/nmstate/Daemon
"${bus[@]}" Apply sa'{sv}' "$(document lab0)" 0
has_link lab0
"${bus[@]}" Apply sa'{sv}' "$(printf 'interfaces:\n- name: lab0\n  state: absent\n')" 0
lacks_link lab0
