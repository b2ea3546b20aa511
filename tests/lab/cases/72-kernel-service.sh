# Every document for the kernel backend, through the service: applied in a commit window, put back, and the
# network is as before.
shown() { nmctl show -k; }
bad=0
for document in "$repository"/docs/examples/kernel/*.yml; do
  shown >before
  if ! nmctl apply --no-commit --timeout 60 "$document" >said 2>&1; then
    echo "== $document: $(cat said)"
    bad=$((bad + 1))
    continue
  fi
  [ -z "$(nmctl list | sed 1d)" ] || nmctl rollback >/dev/null || { echo "== $document: rollback"; bad=$((bad + 1)); }
  shown >after
  diff before after || { echo "== $document: not as before"; bad=$((bad + 1)); }
done
figure "$(ls "$repository"/docs/examples/kernel/*.yml | wc -l) documents, $bad bad"
[ $bad = 0 ]
