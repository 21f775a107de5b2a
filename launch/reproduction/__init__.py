"""What `launch/reproduce.py` reads of runs, and the two tables that it writes."""
