"""The consensus core alone: committees of replicas in virtual time, faults, twins, an oracle."""
