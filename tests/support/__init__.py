"""What tests share: time that a test moves by hand (`clock`, `loop`) and MCMT messages (`mcmt`)."""
