"""Learning a scanner's noise from its low-dose series alone, and pairs made with it (Chen K. et al., TDDL)."""
