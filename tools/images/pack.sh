# For scripts that pack container images (source it): layers, and docker-archives made of them.
# The same files give the same bytes.
say() { printf 'torpor: %s\n' "$*" >&2; }

# 2026-01-01, as in the jars. Not 0, which the JVM takes for "no time" when it compares the jars with its archive.
image_epoch=1767225600

archive() { # folder, tar
  tar --sort=name --mtime=@$image_epoch --owner=0 --group=0 --numeric-owner -C "$1" -cf "$2" .
}

pack() { # name of the image, its config as JSON without braces, archive to write, tars of the layers from below
  local name=$1 config=$2 out=$3 scratch ids=() links=() file n=0
  shift 3
  scratch=$(mktemp -d)
  for layer in "$@"; do
    n=$((n + 1))
    cp "$layer" "$scratch/layer$n.tar"
    ids+=("\"sha256:$(sha256sum <"$layer" | cut -d' ' -f1)\"")
    links+=("\"layer$n.tar\"")
  done
  local IFS=,
  echo "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{$config},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[${ids[*]}]}}" \
    >"$scratch/config"
  file=$(sha256sum <"$scratch/config" | cut -d' ' -f1).json
  mv "$scratch/config" "$scratch/$file"
  echo "[{\"Config\":\"$file\",\"RepoTags\":[\"torpor-$name:local\"],\"Layers\":[${links[*]}]}]" >"$scratch/manifest.json"
  archive "$scratch" "$out.new"
  mv "$out.new" "$out"
  rm -rf "$scratch"
  say "packed $(basename "$out") ($(du -h "$out" | cut -f1))"
}
