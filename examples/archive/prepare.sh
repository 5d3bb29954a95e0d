#!/bin/sh
# Compiles the objects that the traced step takes as its inputs.
set -eu
for name in main area perimeter legacy; do
    "${CC:-gcc}" -c "src/$name.c" -o "build/$name.o"
done
