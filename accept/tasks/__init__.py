"""Room for every task: contracts that a task needs no exception to, and figures that widening them left alone."""
