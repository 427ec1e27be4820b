#!/usr/bin/env bash
# From nothing to the shipped checkpoint `gallery`: every stage in the order in which it was trained, with its minutes.
# Seven hours of training on one core. `FACTOR=0.01 recipes/gallery.sh` runs through all of it in a few minutes.
# The first forcing and resampling stages ran beside other work: on an idle core fewer minutes reach the same.
set -euo pipefail

run=${RUN:-gallery}           # the checkpoint is written to runs/$run
factor=${FACTOR:-1}           # of all minutes and ticks
data=${DATA:-data/gallery}
worldsim=${WORLDSIM:-worldsim}

scaled() { awk -v a="$1" -v f="$factor" 'BEGIN { printf "%.3f", a * f }'; }
ticks() { awk -v a="$1" -v f="$factor" 'BEGIN { n = int(a * f); print n < 800 ? 800 : n }'; }
collect() { "$worldsim" collect gallery --ticks "$(ticks "$1")" --held-out "$(ticks 8000)" --out "$data"; }
train() { "$worldsim" train "$1" gallery --minutes "$(scaled "$2")" --name "$run" --data "$data" --threads 1 "${@:3}"; }

collect 64000
train codec 17 --fresh        # frames <-> 60 tokens of 32 numbers
train place 20                # the place by heart, from single frames and true poses
train odometry 5              # how far an action carries the player, walls included
train forcing 60              # the generator, teacher forcing on noised history
train resampling 69           # the generator, on its own mistakes
train place 25
train codec 12                # from here on the decoder alone, half of it on what the place memory recalls
train resampling 20
collect 192000                # three times as many frames: the memory had begun to know its frames, not the place
train place 26
train resampling 20
train place 26
train codec 9
train place 50
train codec 11
train place 32

"$worldsim" evaluate "runs/$run" --save
"$worldsim" evaluate "runs/$run" --seeds promote --save
