echo "#define VERSION \"$(cat "$1")\""
date > build/version.log
