"""An APNs to develop and test against."""
