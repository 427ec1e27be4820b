#!/usr/bin/env bash
# The living gallery from nothing: every stage in its order, one core each. The minutes are about those the shipped checkpoint
# has had, in pieces and not in one go (its world.yaml says which): see docs/ablations.md. It takes one denoising step: write
# `steps: 1` under `sampler:` in world.yaml.
# `FACTOR=0.01 recipes/gallery.sh` runs through all of it in a few minutes.
set -euo pipefail

run=${RUN:-living}            # the checkpoint is written to runs/$run
factor=${FACTOR:-1}           # of all minutes and ticks
data=${DATA:-data/gallery}
worldsim=${WORLDSIM:-worldsim}

scaled() { awk -v a="$1" -v f="$factor" 'BEGIN { printf "%.3f", a * f }'; }
ticks() { awk -v a="$1" -v f="$factor" 'BEGIN { n = int(a * f); print n < 800 ? 800 : n }'; }
collect() { "$worldsim" collect gallery --ticks "$(ticks "$1")" --stills "$(ticks "$2")" --held-out "$(ticks 8000)" --out "$data"; }
train() { "$worldsim" train "$1" gallery --minutes "$(scaled "$2")" --name "$run" --data "$data" --threads 1 "${@:3}"; }

collect 24000 10000
train codec 15                # frames <-> 144 tokens of 32 numbers
train place 210 --set depth=1 # the place by heart, its depth from the engine, and what moves and happens there
train painter 29              # how entities look; the place itself stays as it is
train odometry 10             # how far an action carries the player; walls, doors and creatures included
train transitions 120         # how entities move, react and keep their state; nothing is drawn
train transitions 14 --adam-lr 5e-4 --muon-lr 0.004
train codec 33                # from here on the decoder alone, half of it on what is expected
train forcing 15 --clips 4    # the generator, teacher forcing on noised history
train resampling 42 --clips 4 # the generator, on its own mistakes

"$worldsim" evaluate "runs/$run" --save
"$worldsim" evaluate "runs/$run" --seeds promote --save
