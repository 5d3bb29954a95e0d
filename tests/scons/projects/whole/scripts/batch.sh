for file; do cat "$file" data/hidden > "${file%.txt}.up"; done
