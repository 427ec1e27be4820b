#!/usr/bin/env bash
# The living gallery from nothing: every stage in its order. The minutes of codec, transitions and the first 40 of place are
# those of a run on one core (docs/ablations.md has what they gave); the others are a plan that nobody has run whole.
# `FACTOR=0.01 recipes/gallery.sh` runs through all of it in a few minutes.
# The shipped checkpoint `gallery` is still of the former gallery, which stood still.
set -euo pipefail

run=${RUN:-living}            # the checkpoint is written to runs/$run
factor=${FACTOR:-1}           # of all minutes and ticks
data=${DATA:-data/gallery}
worldsim=${WORLDSIM:-worldsim}

scaled() { awk -v a="$1" -v f="$factor" 'BEGIN { printf "%.3f", a * f }'; }
ticks() { awk -v a="$1" -v f="$factor" 'BEGIN { n = int(a * f); print n < 800 ? 800 : n }'; }
collect() { "$worldsim" collect gallery --ticks "$(ticks "$1")" --held-out "$(ticks 8000)" --out "$data"; }
train() { "$worldsim" train "$1" gallery --minutes "$(scaled "$2")" --name "$run" --data "$data" --threads 1 "${@:3}"; }

collect 24000
train codec 15                # frames <-> 144 tokens of 32 numbers
train place 240               # the place by heart, and what moves and happens in it, from single frames
train painter 25              # what moves, alone: a step costs a tenth of one of place
train odometry 8              # how far an action carries the player; walls, doors and creatures included
train transitions 28          # how entities move, react and keep their state; nothing is drawn
train codec 10                # from here on the decoder alone, half of it on what is expected
train forcing 60              # the generator, teacher forcing on noised history
train resampling 60           # the generator, on its own mistakes

"$worldsim" evaluate "runs/$run" --save
"$worldsim" evaluate "runs/$run" --seeds promote --save
