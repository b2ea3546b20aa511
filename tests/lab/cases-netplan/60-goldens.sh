# netplan's own generator renders every golden of both renderers, and has nothing to say about any.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
generator=/usr/libexec/netplan/generate
for goldens in "$repository"/tests/netplan/*.txt; do
  renderer=$(basename "$goldens" .txt)
  mkdir "$scratch/$renderer"
  # One file for each; those of refusals have no `network:`.
  awk -v folder="$scratch/$renderer" '/^### /{gsub("/", "-", $2); file = folder "/" $2; next} {print > file}' "$goldens"
  grep -l '^network:' "$scratch/$renderer"/* >"$scratch/list"
  while read -r file; do
    rm -rf "$scratch/root"
    mkdir -p "$scratch/root/etc/netplan"
    install -m 600 "$file" "$scratch/root/etc/netplan/90-nmstated.yaml"
    said=$("$generator" --root-dir "$scratch/root" 2>&1) || { echo "$renderer $file: $said"; exit 1; }
    [ -z "$said" ] || { echo "$renderer $file: $said"; exit 1; }
  done <"$scratch/list"
  count=$(wc -l <"$scratch/list")
  echo "figure: $count goldens rendered for $renderer"
  [ "$count" -gt 15 ]
done
