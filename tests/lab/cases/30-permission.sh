# Who is not root may look, without secrets, and may change nothing: refused before anything is queued.
as_nobody nmctl show lo
as_nobody nmctl status
document lab0 >/tmp/lab0.yml
chmod 644 /tmp/lab0.yml
before=$(nmctl history | wc -l)
refused PermissionError as_nobody nmctl apply /tmp/lab0.yml
refused PermissionError as_nobody nmctl show --show-secrets
refused PermissionError as_nobody nmctl commit
refused PermissionError as_nobody varlinkctl call $socket io.nmstate.Daemon.Submit "$(jq -Rs '{document: .}' </tmp/lab0.yml)"
refused "may not do this" as_nobody "${bus[@]}" Apply sa'{sv}' "$(document lab0)" 0
refused "may not do this" as_nobody "${bus[@]}" Show a'{sv}' 1 show_secrets b true
as_nobody "${bus[@]}" Show a'{sv}' 0 >/dev/null
[ "$(nmctl history | wc -l)" = "$before" ]
lacks_link lab0

# A rule of polkit gives one of them the right.
cat >/etc/polkit-1/rules.d/10-lab.rules <<'RULE'
polkit.addRule(function(action, subject) {
  if (action.id == "io.nmstate.daemon.apply" && subject.user == "nobody") return polkit.Result.YES;
});
RULE
chmod 755 /etc/polkit-1/rules.d
systemctl restart polkit
as_nobody nmctl apply /tmp/lab0.yml
has_link lab0
refused "may not do this" as_nobody "${bus[@]}" Commit t 0
nmctl history | head -n 3
rm /etc/polkit-1/rules.d/10-lab.rules
systemctl restart polkit
refused PermissionError as_nobody nmctl apply /tmp/lab0.yml
printf 'interfaces:\n- name: lab0\n  state: absent\n' | nmctl apply -
