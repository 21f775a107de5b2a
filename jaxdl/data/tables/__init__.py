"""Tables: CSV, Parquet and data frames, and their columns as features of vectors."""
