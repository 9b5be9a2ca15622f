"""Monitoring: metrics, logs, traces, drift and alarms."""
