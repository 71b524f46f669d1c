"""Article 7888: gradients through time, of five recurrent cells."""
