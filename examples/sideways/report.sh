#!/bin/sh
# Counts the lines of a file: report.sh FILE REPORT
set -eu
lines=0
while read -r _; do
    lines=$((lines + 1))
done < "$1"
echo "$lines lines in $1" > "$2"
echo "counted $1" > "$2.log"
