"""The read models, one module each: table, fold, queries."""
