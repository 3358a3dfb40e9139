"""From the configuration of the Momentum mail server (ecelerity.conf) to manifests and a report; pure."""
