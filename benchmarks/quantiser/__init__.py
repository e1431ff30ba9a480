"""Speed and memory of LEDA's pyramid quantiser."""
