"""What `launch.reproduction.reproduce` reads of runs, and the two tables that it writes."""
