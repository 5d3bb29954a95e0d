#!/bin/sh
# Makes a C header from a table: generate.sh TABLE HEADER
set -eu
prefix=
. ./settings.conf
{
    echo "/* made by generate.sh from $1 */"
    while read -r name value; do
        echo "#define $prefix$name $value"
    done < "$1"
} > "$2"
