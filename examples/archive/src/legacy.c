int old_area(int side) { return side * side; }
