#!/bin/sh
# Puts two objects into a library and links the program. The linker script names one more object.
set -eu
ar rcD build/libshapes.a build/area.o build/perimeter.o
"${CC:-gcc}" -o build/shapes build/main.o shapes.ld
