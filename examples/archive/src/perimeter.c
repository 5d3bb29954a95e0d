int perimeter(int side) { return 4 * side; }
