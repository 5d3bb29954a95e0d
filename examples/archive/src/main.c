int area(int side);
int old_area(int side);

int main(void) { return area(3) == old_area(3) ? 0 : 1; }
