"""What tests share: time that a test moves by hand (`clock`, `loop`), MCMT messages (`mcmt`),
and the search for secrets in what is said (`leaks`)."""
