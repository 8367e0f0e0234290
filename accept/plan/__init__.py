"""Plans before runs: counts, fields and memory of any network, without computing it, against what is published."""
