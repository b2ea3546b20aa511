# systemd's own varlink client understands us.
varlinkctl info $socket | grep -F io.nmstate.Daemon
varlinkctl list-interfaces $socket | grep -xF io.nmstate.Daemon
varlinkctl introspect $socket io.nmstate.Daemon >idl
varlinkctl validate-idl idl
rm idl
varlinkctl call $socket io.nmstate.Daemon.GetStatus '{}' | jq -e '.status.backend == "kernel"'
varlinkctl call /run/varlink/registry/io.nmstate.Daemon io.nmstate.Daemon.Show '{}' | jq -e '.state.interfaces | length > 0'
json=$(document lab0 | jq -Rs '{document: .}')
varlinkctl call --more $socket io.nmstate.Daemon.Apply "$json" | tr -d '\036' >steps
jq -se 'length > 1 and .[-1].transaction.stage == "committed"' steps
rm steps
has_link lab0
refused io.nmstate.Daemon.InvalidArgument \
  varlinkctl call $socket io.nmstate.Daemon.Apply '{"document": "interfaces: 7"}'
printf 'interfaces:\n- name: lab0\n  state: absent\n' | nmctl apply -
lacks_link lab0
