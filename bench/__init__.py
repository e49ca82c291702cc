"""What is measured, by programs that anyone can run; the last figures stand in bench/RESULTS.md."""
