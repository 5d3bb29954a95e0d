b.o: b.c \
 a\ b.h c\#d.h e$$f.h

c.h:
