int plain(void);
int main(void) { return plain() - 1; }
