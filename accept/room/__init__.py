"""Room for every task: contracts that none needs an exception to, and figures that widening them left alone."""
