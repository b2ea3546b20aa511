# Messages have fields, and ids with an explanation.
document lab0 | nmctl apply -
printf 'interfaces:\n- name: lab0\n  state: absent\n' | nmctl apply -
journalctl --sync
journalctl -b -u nmstated MESSAGE_ID=b5715b1f1158459d8c2f17491012001b -o json >entries
jq -se 'map(select(.STAGE == "committed")) | length > 0' entries
jq -se 'all(.[]; (.TRANSACTION | tonumber > 0) and (.CLIENT_UID | tonumber >= 0) and .CLIENT_VIA != null)' entries
rm entries
journalctl -b -u nmstated MESSAGE_ID=98bb52467e224a86aceab4e4bafa5666 -x --no-pager | grep -F 'What an earlier daemon left is recovered'
