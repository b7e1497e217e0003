"""The benchmark that anyone can run: `make bench`. How to read it: bench/README.md."""
