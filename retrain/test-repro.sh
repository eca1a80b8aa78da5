#!/usr/bin/env bash
# Runs dvc.yaml in a copy of what it names and holds every run to the stages it may run.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
raw=${DATASET:-$root/data/raw/UCI_Credit_Card.csv}
[ -f "$raw" ] || { echo "make test-repro needs the dataset: DATASET=FILE, or make data first" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export DVC_SITE_CACHE_DIR=$work/.dvc/tmp/site

mkdir -p "$work"/{.dvc,data/raw,model,retrain/requirements}
cp "$root"/.dvc/config "$work"/.dvc/
cp "$root"/{dvc.yaml,params.yaml,.dvcignore} "$work"/
cp -r "$root"/retrain/credit_retrain "$work"/retrain/
cp "$root"/retrain/requirements/train.txt "$work"/retrain/requirements/
cp "$raw" "$work"/data/raw/UCI_Credit_Card.csv
cp -r "$root"/model/shipped "$work"/model/
ln -s "$root"/.venv "$root"/bin "$work"/
cd "$work"
export PYTHONPATH=$work/retrain # or the checkout's code would run, which .venv points at

# Three thousand decisions with their outcomes: enough for every stage, and trained on in seconds.
awk -F, 'NR == 1 { names = tolower($0); gsub(/"/, "", names); sub(/^id,/, "", names)
    sub(/default.payment.next.month/, "default", names)
    print "application_id,applied_at,decided_at,model_version,default_probability,decision," names; next }
  NR <= 3001 { id = $1; sub(/^[^,]*,/, "")
    print "A-" id ",2026-11-01T00:00:00Z,2026-11-01T00:00:01Z,one,0.1,approve," $0 }' \
  data/raw/UCI_Credit_Card.csv >data/raw/decisions.csv
sed -i -e 's/source: uci /source: export /' -e 's/n_iter: 12 /n_iter: 2 /' \
  -e 's/flags: "" /flags: "--champion none --force as_a_test" /' params.yaml

ran() { # ran WHY STAGE…: dvc repro runs these stages and no other
  local why=$1 got
  shift
  "$root"/.venv-dvc/bin/dvc repro >log 2>&1 || { cat log >&2; exit 1; }
  got=$(sed -n "s/^Running stage '\(.*\)':$/\1/p" log | paste -sd' ')
  if [ "$got" != "$*" ]; then
    cat log >&2
    echo "$why: dvc repro ran '$got', expected '$*'" >&2
    exit 1
  fi
  echo "$why: ran ${got:-nothing}"
}

ran "the first time" prepare validate train evaluate export
ran "nothing changed"
sed -i 's/seed: 42/seed: 43/' params.yaml
ran "another seed" train evaluate export
touch data/raw/unfinished.csv.partial
ran "a file beside the data, with no effect on what is prepared" prepare
echo "# A line that changes nothing." >>retrain/credit_retrain/model/search.py
ran "a module of training, with no effect on the bundle" train evaluate
echo "# A line that changes nothing." >>retrain/credit_retrain/drift/daily.py
ran "a module of no stage"
echo "# Another lock." >>retrain/requirements/train.txt
ran "the locked libraries, with no effect on the bundle" prepare validate train evaluate export
